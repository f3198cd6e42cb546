"""What somebody who is new to cgscope does, in an empty Debian: the README's commands, then each quick start."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, REPOSITORY, eventually
from tests.integration.engines import oci_runtime, podman, truth
from tests.integration.typed import Typed, sessions
from tests.packages.debian import Debian, copy_of
from tests.packages.sources import copy_sources

pytestmark = [pytest.mark.long, pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

HOME: Final = "/root/cgscope"
MAKE_TEST: Final = bool(os.environ.get("CGSCOPE_NEWCOMER_TESTS"))
"""Whether to run the second command, too: a whole suite within a suite."""

SYSTEMD: Final = "systemd"
"""The page's section for machines where it is the first process."""

NEEDED: Final = ("git", "make", "python3", "python3-venv")
"""What the README asks for."""

LATER: Final = "trixie"
"""A release after the oldest that is promised: another Python, newer tools."""

ENGINES: Final = ("docker.io", "podman", "containerd", "runc", "lxc", "busybox-static", "catatonit")
PARENT: Final = f"/cgscope-newcomer-{os.getpid()}"
CGROUPS: Final = (PARENT, "/default", podman.DEFAULT_PARENT)
"""Where engines put what the page has them start, and which they leave behind."""

# What only this machine needs: no network of their own, cgroups under a name of ours, no more rights than we have.
_CONFIGURATION: Final = {
    "etc/docker/daemon.json": """\
{"iptables": false, "ip6tables": false, "ip-forward": false, "ip-masq": false, "bridge": "none",
 "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": "PARENT"}
""",
    "etc/containerd/config.toml": """\
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
""",
    "etc/containers/containers.conf": podman.MODEST,
    "etc/lxc/default.conf": """\
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
""",
}
_DAEMONS: Final = (
    ("containerd", "ctr version"),
    ("dockerd --containerd /run/containerd/containerd.sock", "docker info"),
)
# In the place of a registry, which has this image.
_PACK: Final = "tar -C / --one-file-system --exclude=./root --exclude=./opt --exclude=./tmp -cf /opt/debian.tar ."
_IMAGES: Final = (
    "docker import /opt/debian.tar debian:12",
    "docker save --output /opt/saved.tar debian:12",
    "ctr image import /opt/saved.tar",
    "podman import /opt/debian.tar docker.io/library/debian:12",
)


def readme_commands() -> list[str]:
    """The commands of the first block."""
    block = re.search(r"(?ms)^```\n(.*?)^```", (REPOSITORY / "README.md").read_text("utf-8"))
    assert block
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Iterator[Debian]:
    """A Debian with what the README asks for, and these sources in it."""
    with copy_of(tool, NEEDED, tmp_path_factory.mktemp("newcomer") / "debian") as debian:
        copy_sources(debian.root / HOME.lstrip("/"))
        yield debian


@pytest.fixture(scope="module")
def shown(newcomer: Debian) -> str:
    """What the README's first command shows."""
    return newcomer.run(readme_commands()[0], folder=HOME).stdout


@pytest.fixture(scope="module")
def ready(newcomer: Debian, shown: str) -> Debian:
    """The same Debian after the first command, with `free`."""
    assert shown
    newcomer.run("apt-get update -q && apt-get install -qy procps")
    return newcomer


@pytest.fixture(scope="module")
def engines(ready: Debian) -> Iterator[Debian]:
    """The same Debian with engines that run, and an image."""
    ready.run(_PACK)
    ready.run(f"apt-get install -qy --no-install-recommends {' '.join(ENGINES)}")
    for name, text in _CONFIGURATION.items():
        file = ready.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("PARENT", PARENT), "utf-8")
    ours = [cgroup for cgroup in CGROUPS if not oci_runtime.exists(cgroup)]
    for daemon, question in _DAEMONS:
        ready.run(f"{daemon} >>/tmp/daemons 2>&1 &")
        assert eventually(partial(ready.succeeds, question)), daemon
    for command in _IMAGES:
        ready.run(command)
    yield ready
    for cgroup in ours:
        oci_runtime.discard(cgroup)


def type_all(debian: Debian, typed: list[Typed]) -> None:
    """Type the commands of a session one after the other; each does what it should."""
    environment = {"PATH": f"{HOME}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    for one in typed:
        done = debian.run(one.command, environment=environment)
        assert one.fits(done.stdout), (one.command, done.stdout, done.stderr)


def sections(*, of_engines: bool) -> list[object]:
    """Those of the page that need engines, or the others; test_systemd.py has those for machines with systemd."""
    page = (REPOSITORY / "docs/quickstart.md").read_text("utf-8")
    found = [(title, typed) for title, typed in sessions(page) if of_engines != all(one.is_ours for one in typed)]
    return [pytest.param(typed, id=title) for title, typed in found if title != SYSTEMD]


def test_readme(newcomer: Debian, shown: str) -> None:
    """The first command sets itself up and shows the machine's memory beside the container's; the second one passes."""
    assert readme_commands() == ["make run", "make test"]
    assert re.search(r"Mem: +[0-9]{4,} .*\| Mem: +256 ", shown), shown
    if MAKE_TEST:
        newcomer.run(readme_commands()[1], folder=HOME)


def test_a_later_release(tmp_path: Path, tool: Callable[[str], Tool]) -> None:
    """There the first command shows the same, and that release's tools read what they should."""
    with copy_of(tool, NEEDED, tmp_path / "debian", LATER) as debian:
        copy_sources(debian.root / HOME.lstrip("/"))
        assert re.search(r"Mem: +[0-9]{4,} .*\| Mem: +256 ", debian.run(readme_commands()[0], folder=HOME).stdout)
        debian.run("make .venv/dev.stamp && .venv/bin/python -m pytest -q tests/integration/test_tools.py", folder=HOME)


@pytest.mark.parametrize("typed", sections(of_engines=False))
def test_quick_start(ready: Debian, typed: list[Typed]) -> None:
    """Each command ends with 0 and prints what stands below it."""
    type_all(ready, typed)


@pytest.mark.parametrize("typed", sections(of_engines=True))
def test_quick_start_with_an_engine(engines: Debian, typed: list[Typed]) -> None:
    """The same, with the engine's own commands among them."""
    type_all(engines, typed)
