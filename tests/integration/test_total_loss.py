"""Everything that serves is killed at once: the next start heals the containers that run, and no counter falls."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from procfs_fuse.attach import mountinfo
from procfs_fuse.transport import mounting
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, CommandLine, eventually
from tests.integration.survival import IN_GUEST, NATIVE_ONLY, Served

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

# Mounts of its own, files that are covered twice over, and somebody who reads them while the upper cover is exchanged.
EXCHANGES = """
import os, signal, sys
from procfs_fuse import syscalls
from procfs_fuse.attach import mountfd
from procfs_fuse.attach.repair import exchange
from procfs_fuse.attach.sources import Clone

syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
top, layers, count = sys.argv[1], int(sys.argv[2]), 200
syscalls.mount("tmpfs", top, "tmpfs")
for name in ("dead", "living", *map(str, range(count))):
    with open(f"{top}/{name}", "w") as file:
        file.write(name if name in {"dead", "living"} else "machine")
for number in range(count):
    for _ in range(layers):
        syscalls.mount(f"{top}/dead", f"{top}/{number}", flags=syscalls.MS_BIND)
turns, turn = os.pipe()
if os.fork() == 0:
    syscalls.set_parent_death_signal(signal.SIGKILL)
    seen = set()
    for number in range(count):
        os.read(turns, 1)
        while "living" not in seen:
            seen.add(open(f"{top}/{number}").read())
        seen.discard("living")
    print("seen", *sorted(seen), flush=True)
    os._exit(0)
for number in range(count):
    source = os.open(f"{top}/living", os.O_PATH)
    clone = mountfd.clone(source)
    flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID
    restricted = mountfd.restrict(clone, flags)
    os.write(turn, b"x")
    exchange(Clone(clone, f"{top}/{number}", flags, "", "", restricted), layers)
    os.close(clone)
    os.close(source)
os.wait()
mounts = [line.split()[5] for line in open("/proc/self/mountinfo") if line.split()[4].startswith(f"{top}/")]
print("mounts", len(mounts) == count, all(options.startswith("ro,nosuid") for options in mounts))
"""

# The command, which tells how many mounts were on a path whenever the uppermost was taken away.
LAYERS = """
import mmap, sys
from procfs_fuse import cli, syscalls
shared, take_away = mmap.mmap(-1, mmap.PAGESIZE), syscalls.umount
def umount(path, flags=0):
    with open("/proc/self/mountinfo") as lines:
        shared.write_byte(sum(line.split()[4] == path for line in lines))
    take_away(path, flags)
syscalls.umount = umount
code = cli.main(sys.argv[1:])
print("layers", *sorted({*shared[:]} - {0}))
sys.exit(code)
"""

SCRIPT = """
while read -r _; do
    head -n 1 /proc/meminfo; cat /proc/uptime; head -n 1 /proc/stat; cat /proc/cpuinfo | grep -c ^processor; echo $$ end
done 2>&1
"""


# Beside it, in one container: somebody who reads all the time, and writes down each whole line that is not its own.
WATCH = """
own=$(head -n 1 /proc/meminfo)
while :; do
    line=; read -r line </proc/meminfo
    case $line in "$own") ;; *kB) echo "$line" >>"$STRANGE" ;; esac
done 2>/dev/null &
"""


@dataclass(slots=True)
class Container:
    """`procfs-fuse run`, which looks at its files when asked; remembers what it saw."""

    process: subprocess.Popen[str]
    memory_mib: int
    seen: list[list[int]] = field(default_factory=list)

    def look(self) -> list[str]:
        """What it sees: lines."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("look\n")
        self.process.stdin.flush()
        lines = []
        while not (line := self.process.stdout.readline()).endswith("end\n"):
            assert line, "the container has ended"
            lines.append(line.rstrip("\n"))
        return lines

    def is_well(self) -> bool:
        """Whether it sees its own memory and CPU, and counters that are not less than ever before."""
        lines = self.look()
        if any("not connected" in line for line in lines):
            return False
        memory, uptime, stat, cpus = lines
        assert memory.split()[1] == str(self.memory_mib * 1024)
        assert cpus == "1"
        numbers = [int(float(word) * 100) for word in uptime.split()] + [int(word) for word in stat.split()[1:]]
        if self.seen:
            assert all(now >= before for now, before in zip(numbers, self.seen[-1], strict=True)), (
                self.seen[-1],
                lines,
            )
        self.seen.append(numbers)
        return True


@contextlib.contextmanager
def containers(command: CommandLine, count: int, strange: Path) -> Iterator[list[Container]]:
    """Containers that run until the end; the first one watches."""
    command.environment["STRANGE"] = str(strange)
    found: list[Container] = []
    try:
        for number in range(count):
            memory = 40 + number
            script = SCRIPT if number or IN_GUEST else WATCH + SCRIPT  # a guest has one slow CPU
            options = ["run", "--memory", f"{memory}M", "--cpus", "0.7", "--", "sh", "-c", script]
            found.append(Container(command.start(*options, stdin=subprocess.PIPE), memory))
        yield found
    finally:
        for one in found:
            one.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("count", "times"), [(6, 2), pytest.param(20, 20, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_containers_heal(command: CommandLine, tmp_path: Path, count: int, times: int) -> None:
    """Dead files of running containers are replaced from outside; no container was restarted, `status` tells of it."""
    place = tmp_path / "mount"
    place.mkdir()
    served = Served(command, place)
    with containers(command, count, tmp_path / "strange") as found:
        assert all(one.is_well() for one in found)
        for _ in range(times):
            command.kill_all(served.complete())
            assert eventually(lambda: any("not connected" in line for line in found[0].look()))
            assert command("mount", str(place)).returncode == 0
            # Also mount namespaces that other tests copied from the machine meanwhile.
            assert eventually(lambda: len(served.complete()["repaired"]) >= count)
            assert all(one.is_well() for one in found)
        repaired = command.status()[0]["repaired"]
        ours = [row for row in repaired if row["files"] > 5]
        assert [row["problem"] for row in ours] == [None] * count
        assert f"{len(repaired)} containers" in command("status").stdout
        for one in found:
            assert one.is_well()
    assert mounting.mount_at(str(place)) is not None
    if has_beneath():
        assert not (tmp_path / "strange").exists(), "the machine's memory was seen"


@NATIVE_ONLY
def test_another_instance_takes_dead_files_over(command: CommandLine, tmp_path: Path) -> None:
    """`attach` puts living files in the place of dead ones, each once, and takes none away but from above of one."""
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    served = Served(command, first)
    with containers(command, 1, tmp_path / "strange") as (one,):
        assert one.is_well()
        command.kill_all(served.complete())
        assert eventually(lambda: any("not connected" in line for line in one.look()))
        assert command("mount", str(second)).returncode == 0
        pid = inside(tmp_path / "strange")
        words = [sys.executable, "-P", "-c", LAYERS, "attach", "--mount", str(second), "--json", f"pid:{pid}"]
        done = subprocess.run(
            words, env=command.environment, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count('"repaired"') > 5
        assert done.stdout.splitlines()[-1] == ("layers 2" if has_beneath() else "layers 1")
        assert one.is_well()
        places = [line.mountpoint for line in mountinfo.of_process(pid) if line.is_ours]
        assert len(places) == len(set(places))
    assert command("umount", str(first)).returncode == 0
    if has_beneath():
        assert not (tmp_path / "strange").exists(), "the machine's memory was seen"


def inside(strange: Path) -> int:
    """A process in the container that writes there what is strange."""
    own = os.readlink("/proc/self/ns/mnt")
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "ns/mnt") != own and os.fsencode(strange) in (folder / "environ").read_bytes():
                return int(folder.name)
    raise AssertionError("no such process")


def has_beneath() -> bool:
    """Whether the kernel can mount below what is mounted: it refuses flags that it does not know."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(429), -1, b"", -1, b"", ctypes.c_uint(0x4 | 0x40 | 0x200))
    return ctypes.get_errno() == errno.EBADF


@pytest.mark.parametrize("layers", [1, 3])
def test_nobody_sees_what_is_below(tmp_path: Path, layers: int) -> None:
    """Who reads while a dead file is exchanged finds it dead, or living: never the machine's, where the kernel can."""
    words = [sys.executable, "-c", EXCHANGES, str(tmp_path), str(layers)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(
        words, env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert found.returncode == 0, found.stderr
    seen, mounts = found.stdout.splitlines()
    assert mounts == "mounts True True"
    assert set(seen.split()[1:]) <= ({"dead"} if has_beneath() else {"dead", "machine"})
