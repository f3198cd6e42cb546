"""The machine as a whole, from recorded files and from whatever else is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgroup_model.host import HostFiles
from cgroup_model.machine import Machine, MachineFiles, busy_ratio
from cgroup_model.snapshot import Load

FILES = {
    "stat": "cpu  100 10 50 800 40 0 0 0 60 5\ncpu0 50 5 25 400 20 0 0 0 30 2\ncpu1 50 5 25 400 20 0 0 0 30 3\n",
    "meminfo": "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    "loadavg": "0.50 1.25 2.00 3/456 789\n",
    "pressure/cpu": "some avg10=1.50 avg60=0.00 avg300=0.00 total=5\n",
}


def machine(root: Path, files: dict[str, str]) -> Machine:
    """Return what is read from these files."""
    (root / "pressure").mkdir()
    for name, text in files.items():
        (root / name).write_text(text, encoding="ascii")
    with HostFiles(str(root), str(root / "sys")) as host:
        return MachineFiles(host, str(root)).read()


def test_everything_is_read(tmp_path: Path) -> None:
    """Bytes, not KiB; guest time is in user time already; waiting for devices is idle; no PSI is None, not zero."""
    found = machine(tmp_path, FILES)
    assert (found.cpus, found.cpu_ticks) == (2, (160, 1000))
    assert (found.memory_total, found.memory_available, found.swap_total) == (1_024_000, 409_600, 0)
    assert (found.load, found.tasks_running, found.tasks) == (Load(0.5, 1.25, 2.0), 3, 456)
    assert found.pressure.cpu is not None
    assert found.pressure.memory is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["", "\n", "cpu x\n", "MemTotal:\n", "some avg10=x\n"])
def test_damaged_files_are_unknown(tmp_path: Path, name: str, content: str) -> None:
    """Garbage in any of them leaves the others alone."""
    found = machine(tmp_path, {**FILES, name: content})
    assert (found.load is None) == (name == "loadavg")
    assert (found.cpu_ticks is None) == (name == "stat")


def test_busy_is_between_two_looks() -> None:
    """Never an average since boot; a clock that stood still or counters that fell are unknown."""
    before, after = Machine(cpu_ticks=(100, 1000)), Machine(cpu_ticks=(150, 1200))
    assert busy_ratio(before, after) == 0.25
    assert busy_ratio(None, after) is None
    assert busy_ratio(after, after) is None
    assert busy_ratio(after, before) is None
