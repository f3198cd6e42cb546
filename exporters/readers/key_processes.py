"""Processes that have to be there: how many there are, and what they hold, beside what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cgroup_model.processes import Tally, Wanted, tally


@dataclass(frozen=True, slots=True)
class KeyProcess:
    """What is expected of some processes, all that fit added up. None: no bound. ``level`` is the alert's severity."""

    name: str
    wanted: Wanted
    level: str = "critical"
    count_min: int = 1
    count_max: int | None = None
    threads_max: int | None = None
    descriptors_max: int | None = None
    memory_max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is expected, and what there is."""

    expected: KeyProcess
    there: Tally


def read(expected: Sequence[KeyProcess], proc_root: str = "/proc") -> list[Found]:
    """Look at all processes of the machine, if anything is expected of them."""
    if not expected:
        return []
    counted = tally([one.wanted for one in expected], proc_root)
    return [Found(one, there) for one, there in zip(expected, counted, strict=True)]
