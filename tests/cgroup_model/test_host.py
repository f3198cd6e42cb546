"""The machine's own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cgroup_model.host import HostFiles
from cgroup_model.snapshot import Host, Need

ALL = ~Need.NOTHING


class Clock:
    """A clock that stands still until it is told."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Make a proc and a sys tree with every file."""
    proc, sys = tmp_path / "proc", tmp_path / "sys"
    (proc / "sys" / "kernel").mkdir(parents=True)
    (sys / "devices" / "system" / "cpu").mkdir(parents=True)
    for name in ("meminfo", "stat", "cpuinfo", "swaps", "diskstats"):
        (proc / name).write_text(f"{name}\n")
    (proc / "sys" / "kernel" / "pid_max").write_text("32768\n")
    (proc / "sys" / "kernel" / "threads-max").write_text("1000\n")
    (sys / "devices" / "system" / "cpu" / "online").write_text("0-1,4\n")
    return proc, sys


def test_every_file_arrives_raw(roots: tuple[Path, Path]) -> None:
    """All needs: all files as they are, numbers as numbers."""
    with HostFiles(*map(str, roots)) as host:
        assert host.read(ALL) == Host(
            meminfo=b"meminfo\n",
            stat=b"stat\n",
            cpuinfo=b"cpuinfo\n",
            swaps=b"swaps\n",
            diskstats=b"diskstats\n",
            online_cpus=(0, 1, 4),
            pid_max=32768,
            threads_max=1000,
        )


@pytest.mark.parametrize(
    ("need", "fields"),
    [
        (Need.NOTHING, set()),
        (Need.MEMORY, set()),
        (Need.HOST_MEMINFO, {"meminfo"}),
        (Need.HOST_STAT, {"stat", "online_cpus"}),
        (Need.HOST_CPUINFO, {"cpuinfo", "online_cpus"}),
        (Need.HOST_SWAPS, {"swaps"}),
        (Need.HOST_DISKSTATS, {"diskstats"}),
        (Need.HOST_LIMITS, {"pid_max", "threads_max"}),
        (Need.CPUS, {"online_cpus"}),
    ],
)
def test_only_what_is_needed_is_read(roots: tuple[Path, Path], need: Need, fields: set[str]) -> None:
    """A view pays for its own files only."""
    with HostFiles(*map(str, roots)) as host:
        read = host.read(need)
    nothing = Host()
    assert {name for name in Host.__dataclass_fields__ if getattr(read, name) != getattr(nothing, name)} == fields


def test_files_are_those_of_before_the_mount(roots: tuple[Path, Path]) -> None:
    """What replaces a file after the start, as a mount over it does, is not read: it would be our own."""
    proc, sys = roots
    with HostFiles(str(proc), str(sys)) as host:
        (proc / "meminfo").rename(proc / "hidden")
        (proc / "meminfo").write_text("ours\n")
        assert host.read(Need.HOST_MEMINFO).meminfo == b"meminfo\n"
        (proc / "hidden").write_text("fresh\n")
        assert host.read(Need.HOST_MEMINFO).meminfo == b"fresh\n"


def test_long_files_are_read_to_the_end(roots: tuple[Path, Path]) -> None:
    """A machine with many CPUs has files of megabytes."""
    proc, sys = roots
    long = b"cpu0 1 2 3\n" * 100_000
    (proc / "stat").write_bytes(long)
    with HostFiles(str(proc), str(sys)) as host:
        assert host.read(Need.HOST_STAT).stat == long
        (proc / "stat").write_bytes(b"short\n")
        assert host.read(Need.HOST_STAT).stat == b"short\n"


def test_cpuinfo_is_kept_for_a_second(roots: tuple[Path, Path]) -> None:
    """It is costly on large machines and hardly changes; everything else is fresh at every read."""
    proc, sys = roots
    clock = Clock()
    with HostFiles(str(proc), str(sys), clock=clock) as host:
        host.read(Need.HOST_CPUINFO)
        (proc / "cpuinfo").write_text("new\n")
        clock.now += 0.9
        assert host.read(Need.HOST_CPUINFO).cpuinfo == b"cpuinfo\n"
        clock.now += 0.1
        assert host.read(Need.HOST_CPUINFO).cpuinfo == b"new\n"


def test_a_machine_without_the_files(tmp_path: Path) -> None:
    """What is missing is unknown, and there is always a CPU."""
    with HostFiles(str(tmp_path), str(tmp_path)) as host:
        assert host.read(ALL) == Host()


@pytest.mark.parametrize("online", [None, "", "nonsense\n", "3-1\n"])
def test_cpus_are_counted_where_sysfs_fails(roots: tuple[Path, Path], online: str | None) -> None:
    """Without /sys/devices/system/cpu/online the lines of /proc/stat say which CPUs there are."""
    proc, sys = roots
    (proc / "stat").write_text("cpu  9 9\ncpu0 1 1\ncpu3 1 1\nintr 5\nctxt 1\n")
    file = sys / "devices" / "system" / "cpu" / "online"
    file.unlink()
    if online is not None:
        file.write_text(online)
    with HostFiles(str(proc), str(sys)) as host:
        assert host.read(Need.CPUS).online_cpus == (0, 3)


@pytest.mark.parametrize("content", ["", "x\n", "-1\n", "9" * 30])
def test_nonsense_in_numbers_is_unknown(roots: tuple[Path, Path], content: str) -> None:
    """Numbers that are none, negative or absurd are None."""
    proc, sys = roots
    (proc / "sys" / "kernel" / "pid_max").write_text(content)
    with HostFiles(str(proc), str(sys)) as host:
        read = host.read(Need.HOST_LIMITS)
    assert (read.pid_max, read.threads_max) == (None, 1000)


def test_close_gives_the_descriptors_back(roots: tuple[Path, Path]) -> None:
    """Afterwards nothing is open, and reading says unknown instead of reading a stranger's descriptor."""
    before = os.listdir("/proc/self/fd")
    host = HostFiles(*map(str, roots))
    host.close()
    host.close()
    assert os.listdir("/proc/self/fd") == before
    assert host.read(ALL) == Host()


def test_the_real_machine() -> None:
    """The kernel's own files are whole: first and last line of each."""
    with HostFiles() as host:
        read = host.read(ALL)
    assert read.meminfo is not None
    assert read.meminfo.startswith(b"MemTotal:")
    assert read.meminfo.endswith(b"\n")
    assert read.stat is not None
    assert read.stat.count(b"\ncpu") == len(read.online_cpus)
    assert b"\nsoftirq " in read.stat
    assert read.cpuinfo == Path("/proc/cpuinfo").read_bytes() or b"MHz" in (read.cpuinfo or b"")
    assert read.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    assert read.threads_max == int(Path("/proc/sys/kernel/threads-max").read_text(encoding="ascii"))
    assert len(read.online_cpus) == os.sysconf("SC_NPROCESSORS_ONLN")
