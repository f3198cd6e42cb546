"""How long a reader waits when whoever serves is killed, and how soon containers are well after everything was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.container import container
from benchmarks.kit import Kit
from benchmarks.servers import Server, ours
from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Registry

_CONTAINERS: Final = 20
_KILLS: Final = 30  # of a round
_PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.005


def measure(kit: Kit) -> None:
    """Measure both."""
    for number in range(kit.some(5)):
        with ours(kit.folder, name=f"killed-{number}") as we, container("a") as inside:
            with _Readers((f"{we.containers}/{inside.key}/proc/meminfo", f"{we.mountpoint}/proc/stat")) as readers:
                for _ in range(_KILLS):
                    _kill_worker(we)
            kit.results.add("worker killed", "ours", {"longest_msec": readers.longest_seconds * 1000})
    for number in range(kit.some(5)):
        kit.results.add("everything killed, 20 containers", "ours", {"healed_seconds": _healed(kit, f"lost-{number}")})


class _Readers:
    """Threads that read all the time: while one waits for a file, nothing holds the others up."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.longest_seconds = 0.0
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(path,)) for path in paths]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _read(self, path: str) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            Path(path).read_bytes()
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)


def _healed(kit: Kit, name: str) -> float:
    """Seconds from the start of another server until each container reads its own file again."""
    with contextlib.ExitStack() as stack:
        lost = stack.enter_context(ours(kit.folder, name=name))
        pids = [stack.enter_context(container(f"{number:02x}")).init for number in range(_CONTAINERS)]
        attach = [sys.executable, "-m", "procfs_fuse", "attach", "--mount", lost.mountpoint, "--state-dir", lost.state]
        subprocess.run([*attach, *(f"pid:{pid}" for pid in pids)], check=True, capture_output=True)
        files = [Path(f"/proc/{pid}/root/proc/meminfo") for pid in pids]
        before = [_total(file) for file in files]
        _kill_all(_status(lost))
        began = time.monotonic()
        stack.enter_context(ours(kit.folder, name=name))
        _until(lambda: [_total(file) for file in files] == before)
        return time.monotonic() - began


def _kill_worker(server: Server) -> None:
    """Kill whoever serves; returns when another one does, and one stands by."""
    before = _complete(server)["worker_pids"][0]
    os.kill(before, signal.SIGKILL)
    _until(lambda: _complete(server)["worker_pids"][0] != before)


def _complete(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_complete() -> bool:
        found.update(_status(server))
        return bool(found["served"]) and len(found["worker_pids"]) == 2  # one serves, one stands by

    _until(is_complete)
    return found


def _status(server: Server) -> dict[str, Any]:
    instance = Registry(server.state).select(server.mountpoint)
    return dict(ask(instance.control, "status", timeout_seconds=_PATIENCE_SECONDS))


def _kill_all(state: dict[str, Any]) -> None:
    """Nobody may notice that another one is gone: all stand still before the first is killed."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (state["keeper_pid"], state["nursery_pid"], *state["worker_pids"]):
            os.kill(pid, number)


def _total(file: Path) -> bytes | None:
    """The first line; None where nobody answers."""
    try:
        return file.read_bytes().partition(b"\n")[0]
    except OSError:
        return None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("what was killed did not come again")
        time.sleep(_PAUSE_SECONDS)
