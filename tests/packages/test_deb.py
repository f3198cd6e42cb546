"""The Debian package: built, installed, used, upgraded and removed in a Debian of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from scripts import deb
from scripts.deb import CONFIGURATION, Release
from scripts.debian_tools import Tool
from tests.packages.debian import Debian, copy_of

RELEASE: Final = Release("1.2.3", "amd64", (3, 11))


def test_control() -> None:
    """One stanza, pinned to the Python that dependencies were compiled for."""
    control = RELEASE.control(1000)
    fields = dict(line.split(": ", 1) for line in control.splitlines() if not line.startswith(" "))
    assert fields["Depends"] == "python3 (>= 3.11~), python3 (<< 3.12~), libc6"
    assert (fields["Version"], fields["Installed-Size"], RELEASE.file) == ("1.2.3", "1000", "cgscope_1.2.3_amd64.deb")
    assert all(len(line) <= 80 for line in control.splitlines())


@pytest.mark.parametrize("script", deb.MAINTAINER_SCRIPTS)
def test_maintainer_scripts(script: str) -> None:
    """They are shell, and stop at the first error."""
    file = deb.DEPLOY / "debian" / script
    subprocess.run(["sh", "-n", str(file)], check=True)
    assert "\nset -e\n" in file.read_text(encoding="utf-8")


def test_packaged_settings_are_in_order() -> None:
    """What is installed in /etc is accepted by the program that reads it."""
    file = deb.DEPLOY / "debian/cgroup-exporter.yaml"
    words = [sys.executable, "-m", "exporters", "--check-config", "--config", str(file)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


# --------------------------------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Iterator[Debian]:
    """A minimal Debian with Python."""
    with copy_of(tool, ["python3", "procps"], tmp_path_factory.mktemp("deb") / "debian") as debian:
        yield debian


@pytest.mark.long
def test_from_installation_to_removal(debian: Debian, tmp_path: Path) -> None:
    """Commands work, an upgrade keeps edited settings, a purge leaves nothing behind."""
    before = debian.files()
    for version in ("1.0", "1.1"):
        shutil.copy(deb.build(tmp_path, version), debian.root / "tmp" / f"{version}.deb")
    debian.run("dpkg -i /tmp/1.0.deb")
    assert debian.run("dpkg --verify cgscope").stdout == ""
    assert "cgscope" in debian.run("cgscope doctor || test $? = 1").stdout
    assert "CPU" in debian.run("ctop --once").stdout
    assert "cgroup_" in debian.run("cgroup-exporter --once").stdout
    shown = debian.run("procfs-fuse run --memory 256M --cpus 1 -- free -b").stdout
    assert shown.splitlines()[1].split()[1] == str(256 << 20)
    settings = debian.root / "etc/cgscope" / CONFIGURATION[0]
    settings.write_text("ttl: 20\n", encoding="utf-8")
    debian.run("dpkg -i /tmp/1.1.deb")
    assert settings.read_text(encoding="utf-8") == "ttl: 20\n"
    assert "1.1" in debian.run("procfs-fuse --version").stdout
    debian.run("dpkg --purge cgscope")
    assert debian.files() - before == set()
