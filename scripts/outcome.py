"""What a run of pytest came to, read from its own report, and the table that sums up."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.parts import Part
from scripts.skips import unexpected

_WORDS = {"failure": "failed", "passed": "passed", "skipped": "skipped", "error": "errors"}


@dataclass(slots=True)
class Outcome:
    """What one part did: results counted, reasons of skips counted, the tests (pytest's node ids) that failed.

    ``unsteady`` are tests that failed and passed when they were run again by themselves.
    """

    part: Part
    exit_code: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)

    @property
    def unexpected(self) -> list[str]:
        """Reasons of skips that `scripts.skips` does not know for this world."""
        return unexpected(self.part.world, self.skips)

    @property
    def is_good(self) -> bool:
        """Whether everything that should run has run, and passed."""
        return not self.exit_code and not self.unexpected

    @property
    def bad(self) -> int:
        """How many tests failed, or broke before they could."""
        return self.counts["failure"] + self.counts["error"]

    def count(self, report: Path) -> None:
        """Add up pytest's report; none means that pytest did not come to its end."""
        try:
            cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - written by pytest
        except (OSError, ET.ParseError):
            self.counts["error"] += 1
            return
        for case in cases:
            results = [child for child in case if child.tag in {"failure", "error", "skipped"}]
            self.counts.update({child.tag for child in results} or {"passed"})
            self.skips.update(child.get("message", "") for child in results if child.tag == "skipped")
            if any(child.tag != "skipped" for child in results):
                self.failed.append(_node(case))

    def forgive(self, again: Outcome) -> None:
        """Take the word of a second run of the failed tests; when any failed again, nothing changes."""
        if again.exit_code or again.bad or again.counts["passed"] < len(self.failed):
            return
        self.unsteady, self.failed = self.failed, []
        self.counts["passed"] += self.bad
        self.counts["failure"] = self.counts["error"] = 0
        self.exit_code = 0


def _node(case: ET.Element) -> str:
    """Return pytest's id of a test: file, classes, name."""
    file = case.get("file", "")
    classes = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", ".")).strip(".")
    return "::".join(filter(None, [file, *classes.split("."), case.get("name", "")]))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the summary: a row for each part; below it why tests were skipped, and which are unsteady."""
    lines = [f"{'suite':12} {'world':15} {'passed':>7} {'failed':>7} {'skipped':>8} {'time':>8}"]
    for outcome in outcomes:
        part, counts = outcome.part, outcome.counts
        lines.append(
            f"{part.suite:12} {part.world:15} {counts['passed']:7} {outcome.bad:7} {counts['skipped']:8} "
            f"{outcome.seconds:6.1f} s"
        )
        lines += _remarks(outcome)
    return "\n".join(lines)


def _remarks(outcome: Outcome) -> Iterator[str]:
    for reason, times in sorted(outcome.skips.items()):
        uninvited = "NOT ON THE LIST: " if reason in outcome.unexpected else ""
        yield f"    {times} x {uninvited}{reason}"
    for test in outcome.unsteady:
        yield f"    unsteady, failed at first and passed by itself: {test}"


def closing_line(outcomes: Sequence[Outcome]) -> str:
    """Return the sum over all parts in the words of pytest's own last line."""
    counts = sum((outcome.counts for outcome in outcomes), Counter[str]())
    said = ", ".join(f"{counts[key]} {word}" for key, word in _WORDS.items() if counts[key])
    return f" {said} in {sum(outcome.seconds for outcome in outcomes):.2f}s ".center(80, "=")
