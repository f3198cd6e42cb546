"""What must hold, from `bars.toml`, and whether it does."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.results import Results, ratio

FILE: Final = Path(__file__).with_name("bars.toml")


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of ours that must not be above a number, or above that many times somebody else's figure."""

    case: str
    figure: str
    ours: str
    at_most: float
    against: str = ""  # empty: the figure itself is bound
    size: float | None = None

    @property
    def what(self) -> str:
        """For people."""
        name = self.case if self.size is None else f"{self.case}, {self.size:,.0f}"
        return f"{name}: {self.figure} of {self.ours}" + (f" / {self.against}" if self.against else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured for a bar; None: it was not."""

    bar: Bar
    measured: float | None

    @property
    def holds(self) -> bool | None:
        """None: not measured."""
        return None if self.measured is None else self.measured <= self.bar.at_most

    @property
    def word(self) -> str:
        """For people."""
        return {None: "not measured", True: "holds", False: "FAILS"}[self.holds]


def bars(path: Path = FILE) -> list[Bar]:
    """All of them. Raises OSError, ValueError and TypeError for a file that is not as it should be."""
    return [Bar(**one) for one in tomllib.loads(path.read_text(encoding="utf-8"))["bar"]]


def judge(bar: Bar, results: Results) -> Verdict:
    """Compare."""
    ours = results.find(bar.case, bar.ours, bar.figure, bar.size)
    if ours is None:
        return Verdict(bar, None)
    if not bar.against:
        return Verdict(bar, ours.median)
    theirs = results.find(bar.case, bar.against, bar.figure, bar.size)
    return Verdict(bar, None if theirs is None else ratio(ours, theirs))


def verdicts(results: Results, all_bars: Sequence[Bar] | None = None) -> list[Verdict]:
    """Judge all."""
    return [judge(bar, results) for bar in (bars() if all_bars is None else all_bars)]
