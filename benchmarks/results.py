"""What was measured: rows of figures, one value per round, and what they were measured on. No I/O but one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

FORMAT: Final = 1
FLOOR: Final = "floor"
"""Name of the candidate that does nothing but the system calls that nobody can avoid, in C."""


@dataclass(slots=True)
class Row:
    """One figure of one candidate in one case. Less is better in all of them."""

    case: str
    candidate: str
    figure: str  # with its unit: p50_usec, cpu_msec, rss_mib, size_bytes
    values: list[float] = field(default_factory=list)  # of each round
    size: float | None = None  # how many, for cases that are measured at several sizes
    of: str = ""  # what is counted by the size

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)

    @property
    def name(self) -> str:
        """The case with its size."""
        return self.case if self.size is None else f"{self.case}, {self.size:,.0f} {self.of}".rstrip()


@dataclass(slots=True)
class Results:
    """A whole run."""

    machine: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what could not be measured, and why

    def add(
        self, case: str, candidate: str, figures: Mapping[str, float], *, size: float | None = None, of: str = ""
    ) -> None:
        """Take in the figures of one round."""
        for figure, value in figures.items():
            row = self.find(case, candidate, figure, size)
            if row is None:
                row = Row(case, candidate, figure, [], size, of)
                self.rows.append(row)
            row.values.append(value)

    def find(self, case: str, candidate: str, figure: str, size: float | None = None) -> Row | None:
        """One row, None where it was not measured."""
        for row in self.rows:
            if (row.case, row.candidate, row.figure, row.size) == (case, candidate, figure, size):
                return row
        return None

    def groups(self) -> Iterator[tuple[str, str, list[Row]]]:
        """Yield (name of the case, figure, rows of all candidates), in the order in which they were measured."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.name, row.figure), []).append(row)
        for (name, figure), rows in found.items():
            yield name, figure, rows

    def series(self) -> Iterator[tuple[str, str, list[list[Row]]]]:
        """Yield (case, figure, rows by candidate in order of size) of cases with more than one size."""
        found: dict[tuple[str, str], dict[str, list[Row]]] = {}
        for row in self.rows:
            if row.size is not None:
                found.setdefault((row.case, row.figure), {}).setdefault(row.candidate, []).append(row)
        for (case, figure), candidates in found.items():
            lines = [sorted(rows, key=_size) for rows in candidates.values() if len(rows) > 1]
            if lines:
                yield case, figure, lines

    def to_json(self) -> str:
        """The run as text, a line per row so that two runs can be compared by eye."""
        rows = ",\n".join(f"  {json.dumps(_rounded(row))}" for row in self.rows)
        head = {"format": FORMAT, "machine": self.machine, "missing": self.missing}
        return f'{json.dumps(head, indent=1)[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`. Raises ValueError for what is not such a file."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"results of format {data['format']}, not {FORMAT}")
            return cls(data["machine"], [Row(**row) for row in data["rows"]], data["missing"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a file of results: {error!r}") from error

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file. Raises ValueError and OSError."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))


def ratio(ours: Row, theirs: Row) -> float | None:
    """How many times theirs ours is: median over rounds, pair by pair, since a machine's mood changes between rounds.

    CPU time comes in ticks of 10 ms, too coarse for one round: there it is sum by sum. None when theirs is nothing.
    """
    if "cpu" in ours.figure or len(ours.values) != len(theirs.values):
        below = sum(theirs.values) / len(theirs.values)
        return sum(ours.values) / len(ours.values) / below if below > 0 else None
    pairs = [us / them for us, them in zip(ours.values, theirs.values, strict=True) if them > 0]
    return median(pairs) if pairs else None


def merged(runs: Iterable[Results]) -> Results:
    """Put runs of several parts together; what they have in common must not be measured twice."""
    whole = Results()
    for run in runs:
        whole.machine |= run.machine
        whole.rows += run.rows
        whole.missing += run.missing
    return whole


def _size(row: Row) -> float:
    return row.size or 0


def _rounded(row: Row) -> dict[str, Any]:
    data = asdict(row)
    data["values"] = [float(f"{value:.4g}") if abs(value) < 10_000 else round(value) for value in row.values]
    return {key: value for key, value in data.items() if value not in (None, "")}
