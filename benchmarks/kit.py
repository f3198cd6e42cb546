"""What every part of the benchmark is given."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from benchmarks.programs import Programs
from benchmarks.results import Results

QUICK_ROUNDS: Final = 2
ROUNDS: Final = 7
QUICK_MINUTES: Final = 2.25
MINUTES: Final = 21

Candidate = TypeVar("Candidate")


@dataclass(frozen=True, slots=True)
class Kit:
    """A folder of the run's own, compiled programs, where figures go, and how much time there is."""

    folder: str
    programs: Programs
    results: Results
    quick: bool
    rounds: int
    until: float = math.inf  # CLOCK_MONOTONIC, seconds; what has not begun by then is left out

    def some(self, most: int) -> int:
        """Rounds of something slow."""
        return 1 if self.quick else min(most, self.rounds)


def at_sizes(kit: Kit, what: str, sizes: Sequence[int]) -> Iterator[int]:
    """Yield sizes as long as there is time; those that are left out are told of."""
    for size in sizes:
        if time.monotonic() > kit.until:
            kit.results.missing.append(f"{what} at {size:,}: no time was left")
        else:
            yield size


def end_in_order() -> None:
    """Have mounts and cgroups removed also where the run is ended, or interrupted as a job in the background."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


Part = Callable[[Kit], None]


def in_turn(candidates: Iterable[Candidate], rounds: int) -> Iterator[Candidate]:
    """Every candidate once per round, in changing order, so that the machine's moods hit all alike."""
    each = list(candidates)
    for number in range(rounds):
        yield from each if number % 2 == 0 else reversed(each)
