"""Each process of an instance holds the capabilities that it has a use for, also after a worker became the keeper."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from cgscope.capabilities import NUMBERS
from procfs_fuse import rights
from tests.integration.command_line import ANY_WORLD, NEEDS, REASON, CommandLine, eventually
from tests.integration.survival import Served
from tests.integration.sysinfo_agent import Agent, need_listeners

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), ANY_WORLD]


def effective(pid: int | str) -> int | None:
    """The capabilities of a process, a bit each; None when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))


def allowed(names: Collection[str]) -> int:
    """Those of ``names`` that this machine lets us have."""
    return (effective("self") or 0) & sum(1 << NUMBERS[name] for name in names)


def attachers(place: Path) -> Iterator[int]:
    """Processes that attach containers of the instance mounted there: the watcher and its parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(place) in words and b"--watch" in words:
                yield int(folder.name)


def are_right(served: Served) -> bool:
    """Whether keeper, nursery, the worker that serves and the one that stands by hold what they should, and no more."""
    state = served.complete()
    held = [effective(pid) for pid in (state["keeper_pid"], state["nursery_pid"], *state["worker_pids"])]
    return held == [allowed(rights.KEEPING), *[allowed(rights.SERVING)] * 3]


def test_who_may_do_what(command: CommandLine, place: Path) -> None:
    """Only the keeper can mount, only who attaches can enter namespaces; the keeper's successor can as much as it."""
    served = Served(command, place, "--attach", "all", "--attach-include", "name:nobody-is-called-this")
    assert eventually(lambda: [effective(pid) for pid in attachers(place)] == [allowed(rights.ATTACHING)] * 2)
    assert eventually(lambda: are_right(served))
    first = served.complete()["keeper_pid"]
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: served.complete()["keeper_pid"] != first and are_right(served))
    assert allowed(rights.SERVING) < allowed(rights.KEEPING) < allowed(rights.ATTACHING) < allowed(NUMBERS)


def test_the_agent_can_only_answer(command: CommandLine, place: Path, tmp_path: Path) -> None:
    """Who answers system calls of containers can neither mount nor enter them; its workers are forks of it."""
    need_listeners()
    Served(command, place)
    agent = Agent(command, tmp_path)
    assert effective(agent.process.pid) == allowed(rights.ANSWERING)
    agent.close()
