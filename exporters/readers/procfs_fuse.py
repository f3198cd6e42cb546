"""The virtual /proc of this machine as it describes itself, asked over its own sockets.

Nothing is counted for this that ``procfs-fuse`` does not count anyway, and what it has counted is asked for at a scrape
only: between scrapes this costs nothing. Its sockets answer root.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cgroup_model.procfs import NoSuchTask, Proc
from cgscope import state
from cgscope.errors import Failure
from cgscope.sockets import ask

_PATIENCE_SECONDS: Final = 2.0  # for all questions of one scrape together: one that hangs must not hold up the page
_OURS: Final = b"procfs-"  # what its processes call themselves
_TIMES: Final = ("timed_total", "late_total", "delay_seconds_total")
_UTIME, _STIME, _RSS_PAGES = 11, 12, 21  # behind the name in /proc/PID/stat: three less than in proc(5)


@dataclass(frozen=True, slots=True)
class Process:
    """What one of its processes uses."""

    cpu_seconds: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Attached:
    """What ``mount --attach`` did; ``lacking`` are containers that should have virtual files and have none now.

    Of ``timed_total`` it is known when their program started, which was ``delay_seconds_total`` before they had all
    files; ``late_total`` waited for more than 50 ms. None: a watcher of an older version does not say.
    """

    attached: int
    lacking: int
    attached_total: int
    failed_total: Mapping[str, int]  # by reason
    timed_total: int | None = None
    late_total: int | None = None
    delay_seconds_total: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Attached | None:
        """Count what its report lists; None without one."""
        told = document or {}
        try:
            rows = told["containers"]
            lacking = sum(row["problem"] is not None for row in rows)
            totals = int(told["attached_total"]), dict(told["failed_total"])
            return cls(len(rows) - lacking, lacking, *totals, **{name: told[name] for name in _TIMES if name in told})
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Instance:
    """One mounted /proc. ``control`` is what its keeper tells, ``service`` its worker; None: it did not answer.

    ``processes`` are by their part: keeper, worker, standby, nursery.
    """

    mountpoint: str
    transport: str
    started_epoch: float | None
    control: Mapping[str, Any] | None = None
    service: Mapping[str, Any] | None = None
    attached: Attached | None = None
    processes: Mapping[str, Process] = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether the process that holds the mounts answers."""
        return self.control is not None

    @property
    def serving(self) -> bool | None:
        """Whether somebody answers containers; None: nobody is there who could tell."""
        return None if self.control is None else bool(self.control.get("served")) and self.service is not None

    def told(self, key: str) -> Any:  # noqa: ANN401 - a value of its JSON
        """A value that the keeper tells, else the worker; None: unknown."""
        found = (self.control or {}).get(key)
        return found if found is not None else (self.service or {}).get(key)


@dataclass(frozen=True, slots=True)
class Health:
    """All instances, and what the agent for system calls tells (None: there is none)."""

    instances: tuple[Instance, ...]
    agent: Mapping[str, Any] | None = None


class ProcfsFuseReader:
    """Asks every instance below one state directory."""

    def __init__(self, base: str, proc: Proc, clock: Callable[[], float] = time.monotonic) -> None:
        self._base = base
        self._proc = proc
        self._clock = clock
        self._deadline = 0.0
        self._health: Health | None = None

    def begin(self) -> None:
        """Begin a scrape: what was told before is over."""
        self._health = None

    def read(self) -> Health:
        """Ask all of them, once a scrape; without root, or without any, nobody answers."""
        if self._health is None:
            self._health = self._look()
        return self._health

    def _look(self) -> Health:
        self._deadline = self._clock() + _PATIENCE_SECONDS
        try:
            found = tuple(filter(None, map(self._instance, state.folders(self._base))))
        except OSError:
            return Health(())
        return Health(found, self._ask(os.path.join(self._base, state.AGENT)))

    def _instance(self, folder: str) -> Instance | None:
        record = _document(os.path.join(folder, state.RECORD))
        if record is None or not isinstance(record.get("mountpoint"), str):
            return None
        started = record.get("started_at")
        control = self._ask(os.path.join(folder, state.CONTROL))
        return Instance(
            record["mountpoint"],
            str(record.get("transport", "")),
            float(started) if isinstance(started, int | float) else None,
            control,
            self._ask(os.path.join(folder, state.SERVICE)) if control is not None else None,
            Attached.of(_document(os.path.join(folder, state.ATTACHED))),
            dict(self._processes(control or {})),
        )

    def _ask(self, path: str) -> Mapping[str, Any] | None:
        patience = self._deadline - self._clock()
        if patience <= 0 or not os.path.exists(path):
            return None
        try:
            answer = ask(path, "status", patience)
        except Failure:
            return None
        return answer if isinstance(answer, dict) else None

    def _processes(self, control: Mapping[str, Any]) -> Iterator[tuple[str, Process]]:
        workers = control.get("worker_pids") or []
        pids = {"keeper": control.get("keeper_pid"), "nursery": control.get("nursery_pid")}
        pids |= dict(zip(("worker", "standby"), workers, strict=False))
        for part, pid in pids.items():
            if isinstance(pid, int):
                with contextlib.suppress(NoSuchTask, ValueError, IndexError, OSError):
                    process = self._process(pid)
                    if process is not None:
                        yield part, process

    def _process(self, pid: int) -> Process | None:
        """Look at a process, if it is one of theirs: in another pid namespace the number is somebody else's."""
        line = self._proc.read(f"{pid}/stat")
        name, _, rest = line.rpartition(b")")
        if not name.partition(b"(")[2].startswith(_OURS):
            return None
        fields = rest.split()
        ticks = int(fields[_UTIME]) + int(fields[_STIME])
        return Process(ticks / self._proc.ticks_per_second, int(fields[_RSS_PAGES]) * os.sysconf("SC_PAGESIZE"))


def state_dir(fs_root: str) -> str:
    """Where a machine has the state; ``fs_root`` is its file system as we see it."""
    if fs_root == "/":
        return os.environ.get(state.STATE_DIR_VARIABLE) or state.DEFAULT_STATE_DIR
    return fs_root.rstrip("/") + state.DEFAULT_STATE_DIR


def _document(path: str) -> Mapping[str, Any] | None:
    """Read a JSON object; None where there is none (yet, or any more). Raises PermissionError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            document = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) else None
