"""Looks at all containers for those who have the page open: one look for everybody who asks at about the same time.

Names and limits are large and change seldom: they have a version, and a page asks for them only when the version is
another one. Numbers are sent at each look, as columns in the order of the names.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from exporters.collector import Scraper
from exporters.web.figures import NEEDED, Column, Table, gather

SHARED_SECONDS: Final = 1.0  # a look that is no older serves others, too
LEAST_INTERVAL_SECONDS: Final = 2
MOST_INTERVAL_SECONDS: Final = 15
COST: Final = 20  # pages are told to wait so many times as long as a look takes: at most 5 % of a CPU

Made = TypeVar("Made")


class Runner(Protocol):
    """Runs something in the thread that reads."""

    def __call__(self, function: Callable[[], Made], /) -> Awaitable[Made]:
        """Give what the function gives."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found, as it is sent: JSON, compressed. ``clock`` is in seconds of the boot clock."""

    clock: float
    version: str
    ids: frozenset[str]
    containers: bytes
    usage: bytes


class Looks:
    """Makes looks. ``scraper`` is asked for each, so that it can be replaced; ``run`` gets to its thread."""

    def __init__(self, scraper: Callable[[], Scraper], run: Runner) -> None:
        self._scraper = scraper
        self._run = run
        self._latest: Look | None = None
        self._running: asyncio.Task[Look] | None = None
        self._known: tuple[Any, ...] = ()
        self._containers = b""
        self._life = secrets.token_hex(4)  # versions of another process are others
        self._versions = 0
        self._cost_seconds = 0.0  # of the look before

    async def look(self) -> Look:
        """Look, or give what somebody else has just seen."""
        latest = self._latest
        if latest is not None and _boot_seconds() - latest.clock < SHARED_SECONDS:
            return latest
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._make())
        return await asyncio.shield(self._running)

    async def _make(self) -> Look:
        self._latest = await self._run(self._look)
        return self._latest

    def _look(self) -> Look:
        began = time.thread_time()
        scraper = self._scraper()
        clock, now = _boot_seconds(), time.time()
        table = gather(scraper.scrape(NEEDED & scraper.families.keys()))
        version = self._version(table)
        seconds = self._interval(time.thread_time() - began)
        usage = {
            "version": version,
            "time": round(now, 3),
            "clock": round(clock, 6),
            "interval_seconds": seconds,
            "values": table.moving,
            "machine": table.machine,
        }
        ids = frozenset(names.labels["id"] for names in table.names)
        return Look(clock, version, ids, self._containers, packed(usage))

    def _interval(self, cost_seconds: float) -> int:
        """Tell pages when to look again. The cheaper of two looks counts: the first one opens every file."""
        cheaper = min(cost_seconds, self._cost_seconds)
        self._cost_seconds = cost_seconds
        return max(LEAST_INTERVAL_SECONDS, min(MOST_INTERVAL_SECONDS, math.ceil(cheaper * COST)))

    def _version(self, table: Table) -> str:
        """Give names and limits a new version when they are not those of the look before."""
        known = (table.names, table.settled)
        if known != self._known:
            self._known = known
            self._versions += 1
            self._containers = packed(
                {
                    "version": f"{self._life}-{self._versions}",
                    "containers": [_described(table, place) for place in range(len(table.names))],
                }
            )
        return f"{self._life}-{self._versions}"


def packed(content: object) -> bytes:
    """Write JSON and compress it."""
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 5, mtime=0)


def _described(table: Table, place: int) -> dict[str, Any]:
    names = table.names[place]
    settled = {metric: _at(column, place) for metric, column in table.settled.items()}
    return {"labels": {**names.labels, **names.others}, "values": settled}


def _at(column: Column, place: int) -> int | float | None:
    return column[place]


def _boot_seconds() -> float:
    """Tell the time by a clock that nobody sets: what rates are worked out with."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
