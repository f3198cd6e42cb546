"""What every container of every engine has to be shown: its limits, as they were given and as the control files say."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgroup_model.mounts import Mounts, discover_mounts

NATIVE = pytest.mark.skipif(bool(os.environ.get("CGSCOPE_WORLD")), reason="engines run beside the native suite")
"""For tests of whole engines: a guest is slow, and what they prove depends little on the cgroup version."""

Read = Callable[[str], str]
"""Runs a shell command in a container and returns its output."""

FIRST_PID_MAX = 301  # what the kernel accepts at least, and the file therefore shows at least


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container was given."""

    memory_bytes: int = 128 << 20
    cpus: float = 1.0
    cpuset: str = "0"
    pids: int = 60


LIMITS = Limits()


def shown(read: Read, limits: Limits = LIMITS, *, path: str | None = None) -> None:
    """Check all that is shown inside; ``path`` of the container's cgroup for what the control files say."""
    words = read("/bin/free -b").splitlines()[1].split()
    assert int(words[1]) == limits.memory_bytes, words
    assert int(read("grep MemTotal /proc/meminfo").split()[1]) * 1024 == limits.memory_bytes
    cpus = min(math.ceil(limits.cpus), len(limits.cpuset.split(",")))
    assert read("grep -c ^processor /proc/cpuinfo").strip() == str(cpus)
    text = read("/bin/cat /proc/stat")
    assert len(re.findall(r"^cpu\d", text, re.MULTILINE)) == cpus, text
    started = float(Path("/proc/uptime").read_text().split()[0])
    assert float(read("/bin/cat /proc/uptime").split()[0]) < started
    assert int(read("/bin/cat /proc/sys/kernel/threads-max")) == limits.pids
    # The number itself is checked in test_attach.py: a runtime's helper that is in the cgroup, but not yet in the pid
    # namespace, makes it the machine's.
    assert "procfs-fuse" in read("grep ' /proc/sys/kernel/pid_max ' /proc/mounts")
    assert FIRST_PID_MAX <= int(read("/bin/cat /proc/sys/kernel/pid_max")) <= _pid_max()
    if path is not None:
        control_files(read, limits, path)


def _pid_max() -> int:
    return int(Path("/proc/sys/kernel/pid_max").read_text())


def control_files(read: Read, limits: Limits, path: str) -> None:
    """Compare with what the kernel's own files say about the container's cgroup."""
    mounts = discover_mounts()
    assert _limit_bytes(mounts, path) == limits.memory_bytes
    unified = next((one for one in mounts.hierarchies if one.version == 2), None)
    pressure = Path(unified.directory(path), "cpu.pressure") if unified is not None else None
    if pressure is not None and pressure.exists():
        before = _stalled(pressure.read_text())
        inside = _stalled(read("/bin/cat /proc/pressure/cpu"))
        assert before <= inside <= _stalled(pressure.read_text())


def untouched() -> list[str]:
    """What is mounted over the host's /proc and /sys/devices, to be compared before and after."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted(point for point in points if point.startswith(("/proc", "/sys/devices")))


def age_seconds(read: Read) -> float:
    """How old a container says it is."""
    return float(read("/bin/cat /proc/uptime").split()[0])


def _limit_bytes(mounts: Mounts, path: str) -> int:
    hierarchy = mounts.for_controller("memory")
    assert hierarchy is not None
    file = "memory.limit_in_bytes" if hierarchy.version == 1 else "memory.max"
    return int(Path(hierarchy.directory(path), file).read_text())


def _stalled(text: str) -> int:
    found = re.search(r"^some .*total=(\d+)", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def now() -> float:
    """Seconds of the clock that never goes back."""
    return time.monotonic()
