"""What every part of the benchmark is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from benchmarks.programs import Programs
from benchmarks.results import Results

QUICK_ROUNDS: Final = 2
ROUNDS: Final = 7

Candidate = TypeVar("Candidate")


@dataclass(frozen=True, slots=True)
class Kit:
    """A folder of the run's own, compiled programs, where figures go, and how much time there is."""

    folder: str
    programs: Programs
    results: Results
    quick: bool
    rounds: int

    def some(self, most: int) -> int:
        """Rounds of something slow."""
        return 1 if self.quick else min(most, self.rounds)


Part = Callable[[Kit], None]


def in_turn(candidates: Iterable[Candidate], rounds: int) -> Iterator[Candidate]:
    """Every candidate once per round, in changing order, so that the machine's moods hit all alike."""
    each = list(candidates)
    for number in range(rounds):
        yield from each if number % 2 == 0 else reversed(each)
