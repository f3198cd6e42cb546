"""Everything that serves is killed at once: the next start heals the containers that run, and no counter falls."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from procfs_fuse.transport import mounting
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, CommandLine, eventually
from tests.integration.survival import Served

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

SCRIPT = """
while read -r _; do
    head -n 1 /proc/meminfo; cat /proc/uptime; head -n 1 /proc/stat; cat /proc/cpuinfo | grep -c ^processor; echo $$ end
done 2>&1
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
def containers(command: CommandLine, count: int) -> Iterator[list[Container]]:
    """Containers that run until the end."""
    found: list[Container] = []
    try:
        for number in range(count):
            memory = 40 + number
            options = ["run", "--memory", f"{memory}M", "--cpus", "0.7", "--", "sh", "-c", SCRIPT]
            found.append(Container(command.start(*options, stdin=subprocess.PIPE), memory))
        yield found
    finally:
        for one in found:
            one.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("count", "times"), [(3, 2), pytest.param(20, 20, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_containers_heal(command: CommandLine, tmp_path: Path, count: int, times: int) -> None:
    """Dead files of running containers are replaced from outside; no container was restarted, `status` tells of it."""
    place = tmp_path / "mount"
    place.mkdir()
    served = Served(command, place)
    with containers(command, count) as found:
        assert all(one.is_well() for one in found)
        for _ in range(times):
            command.kill_all(served.complete())
            assert eventually(lambda: any("not connected" in line for line in found[0].look()))
            assert command("mount", str(place)).returncode == 0
            assert eventually(lambda: len(served.complete()["repaired"]) == count)
            assert all(one.is_well() for one in found)
        repaired = command.status()[0]["repaired"]
        assert {row["problem"] for row in repaired} == {None}
        assert all(row["files"] > 5 for row in repaired)
        assert f"{count} containers" in command("status").stdout
        for one in found:
            assert one.is_well()
    assert mounting.mount_at(str(place)) is not None
