"""The worker is killed while real containers read as their programs do: shells, a strict reader, `top`."""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import oci_runtime, truth
from tests.integration.engines.oci_runtime import Container, Runtime, started
from tests.integration.survival import Served, Target, changing, hot_readers_of

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

TOP = f"cgscope-test-inside-{os.getpid()}"
# Each turn is written down, and the first that is not as it has to be is the last.
CATS = """
(
set -e
trap 'echo ended: $name $*' EXIT
while :; do
    for name in meminfo stat uptime loadavg cpuinfo swaps; do /bin/cat /proc/$name >/dev/$name; done
    set -- MEMORY $(head -n 1 /dev/meminfo)
    [ $4 = $1 ] || [ $4 = $2 ]
    [ $(wc -l </dev/meminfo) = LINES ]
    grep -q ^softirq /dev/stat
    echo >>/dev/turns
done
) >/dev/cats 2>&1 &
"""


@pytest.fixture
def containers(tmp_path: Path, root_file_system: Path, tool: Callable[[str], Tool]) -> Iterator[list[Container]]:
    """Three of runc."""
    runc = Runtime(tool("runc"), tmp_path)
    with contextlib.ExitStack() as running:
        running.callback(oci_runtime.discard, f"/{TOP}")
        names = (os.urandom(32).hex() for _ in range(3))
        yield [
            running.enter_context(started(runc, root_file_system, name, cgroup=f"/{TOP}/docker/{name}"))
            for name in names
        ]


@pytest.mark.parametrize("kills", [100, pytest.param(1000, marks=pytest.mark.long)], ids=["few", "many"])
def test_containers_notice_nothing(command: CommandLine, place: Path, containers: list[Container], kills: int) -> None:
    """No program in them fails, ends, or is shown anything but its own container, however often a worker is killed."""
    served = Served(command, place)
    targets = [Target(one.cgroup.rpartition("/")[2], (64 + 2 * n, 65 + 2 * n), TOP) for n, one in enumerate(containers)]
    with changing(targets):
        for one in containers:
            assert command("attach", one.cgroup).returncode == 0
        shell, strict, watching = containers
        lines = Path("/proc/meminfo").read_text().count("\n")
        shell.sh(CATS.replace("MEMORY", " ".join(targets[0].memory_kb)).replace("LINES", str(lines)))
        watching.sh("top -b -d 0.1 >/dev/top 2>/dev/errors &")
        root = Path("/")
        moment = random.Random(kills)  # noqa: S311 - repeatable, not secret
        with hot_readers_of((root, root), [replace(targets[1], name=".")], inside=strict.pid) as reports:
            for _ in range(kills):
                served.kill_worker(after_seconds=moment.random() * 0.01)
        turns, rounds = shell.sh("wc -l </dev/turns"), watching.sh("grep -c ^CPU: /dev/top")
        assert eventually(lambda: shell.sh("wc -l </dev/turns") != turns)
        assert eventually(lambda: watching.sh("grep -c ^CPU: /dev/top") != rounds)
    assert shell.sh("cat /dev/cats") + watching.sh("cat /dev/errors") == ""
    memory = re.findall(r"^Mem: (\d+)K used, (\d+)K free", watching.sh("cat /dev/top"), re.MULTILINE)
    assert {str(int(used) + int(free)) for used, free in memory} <= set(targets[2].memory_kb)
    assert reports[0]["calls"] > kills
