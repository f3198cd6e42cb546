"""The systemd units: hardened as far as their work allows, by figures that docs/security.md gives."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exporters.privileges import READING
from procfs_fuse.instances import DEFAULT_MOUNTPOINT
from procfs_fuse.integrations.install import systemd
from procfs_fuse.integrations.install.edits import Installation

ROOT = Path(__file__).parents[2]
UNITS = ("cgroup-exporter", "procfs-fuse")
NOTED = dict(re.findall(r"^\| `([\w-]+)\.service` \| ([\d.]+) ", (ROOT / "docs/security.md").read_text(), re.MULTILINE))
NOTED_BY_VERSION = "252"  # other versions of systemd weigh directives differently


def directives(unit: str) -> dict[str, list[str]]:
    """Give a unit's directives, each with all its values."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / f"deploy/systemd/{unit}.service").read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_what_both_have(unit: str) -> None:
    """Capabilities are bounded, no way to more rights, no system calls and kinds of sockets that nobody needs."""
    found = directives(unit)
    assert {"CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter"} <= found.keys()
    for name in ("NoNewPrivileges", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality"):
        assert found[name] == ["yes"], name
    assert found["SystemCallArchitectures"] == ["native"]


def test_the_server_keeps_what_its_work_takes() -> None:
    """It mounts, enters, reads and hears of new programs; what it needs for that is not taken away."""
    taken = {word for line in directives("procfs-fuse")["CapabilityBoundingSet"] for word in line.lstrip("~").split()}
    assert all(line.startswith("~") for line in directives("procfs-fuse")["CapabilityBoundingSet"])
    needed = {"SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "SYS_RESOURCE", "NET_ADMIN", "DAC_OVERRIDE", "DAC_READ_SEARCH"}
    assert not taken & {f"CAP_{name}" for name in (*needed, "KILL", "IPC_LOCK", "SETUID", "SETGID")}
    assert directives("procfs-fuse")["RestrictAddressFamilies"] == ["AF_UNIX AF_NETLINK"]


def test_the_mount_point_is_not_systemds() -> None:
    """What systemd prepares before each command must not be mounted: it would fail, and a restart drop all mounts."""
    prepared = [f"/var/lib/{name}" for name in directives("procfs-fuse").get("StateDirectory", [])]
    assert DEFAULT_MOUNTPOINT not in prepared
    (unit,) = systemd.edits(Installation(("procfs-fuse",)))
    assert "StateDirectory" not in str(unit.add(None))


def test_the_exporter_may_do_what_it_does() -> None:
    """It gives up rights and hurries a thread; a call that is refused is an error, and ends nothing."""
    found = directives("cgroup-exporter")
    assert found["SystemCallFilter"][-1] == "capset setpriority"
    assert found["SystemCallErrorNumber"] == ["EPERM"]
    assert found["CapabilityBoundingSet"][0].split() == list(READING)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_them(unit: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every directive, value and system call, and finds what is to be started."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    (tmp_path / unit).symlink_to("/bin/true")
    file = tmp_path / f"{unit}.service"
    text = (ROOT / f"deploy/systemd/{unit}.service").read_text(encoding="utf-8")
    file.write_text(text.replace("/usr/bin/", f"{tmp_path}/"), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if unit in line] == []  # others' units are not our concern


@pytest.mark.parametrize("unit", UNITS)
def test_noted_exposure(unit: str) -> None:
    """`systemd-analyze security --offline` comes to the figure in docs/security.md."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    command = ["systemd-analyze", "security", "--offline=true", str(ROOT / f"deploy/systemd/{unit}.service")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    exposure = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    if version.split()[1] == NOTED_BY_VERSION:
        assert exposure == [NOTED[unit]]
