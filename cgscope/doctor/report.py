"""The report: for people, and as JSON. Neither names the host or its users: reports end up in bug trackers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from cgscope.doctor.finding import Finding, Verdict
from cgscope.errors import printable
from cgscope.terminal import paint

_MARKS: Final = {Verdict.OK: "ok", Verdict.NOTE: "note", Verdict.PROBLEM: "FAIL", Verdict.UNKNOWN: "?"}
_STYLES: Final = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.PROBLEM: "red", Verdict.UNKNOWN: "dim"}

Report = Sequence[tuple[str, Sequence[Finding]]]


def as_text(report: Report, *, colour: bool) -> str:
    """Return the report as lines; advice stands below what it is about."""
    width = max((len(one.subject) for _, findings in report for one in findings), default=0)
    lines = []
    for title, findings in report:
        lines.append(paint(title, "bold", colour=colour))
        for one in findings:
            mark = paint(f"{_MARKS[one.verdict]:>4}", _STYLES[one.verdict], colour=colour)
            lines.append(f"  {mark}  {one.subject:{width}}  {printable(one.found)}".rstrip())
            if one.advice:
                lines.append(f"        {'':{width}}  -> {printable(one.advice)}")
    return "\n".join([*lines, "", _summary(_all(report))]) + "\n"


def as_json(report: Report) -> str:
    """Return ``{"ok": …, "checks": [{"title", "findings": [{"subject", "verdict", "found", "advice"}]}]}``."""
    checks = [
        {
            "title": title,
            "findings": [
                {"subject": one.subject, "verdict": one.verdict.value, "found": one.found, "advice": one.advice or None}
                for one in findings
            ],
        }
        for title, findings in report
    ]
    return json.dumps({"ok": is_well(report), "checks": checks}, indent=2) + "\n"


def is_well(report: Report) -> bool:
    """Whether nothing fails."""
    return all(one.verdict is not Verdict.PROBLEM for one in _all(report))


def _all(report: Report) -> list[Finding]:
    return [one for _, findings in report for one in findings]


def _summary(findings: Iterable[Finding]) -> str:
    counts = dict.fromkeys(Verdict, 0)
    for one in findings:
        counts[one.verdict] += 1
    problems = f"{counts[Verdict.PROBLEM]} to be mended" if counts[Verdict.PROBLEM] else "No problem found"
    hidden = f", {counts[Verdict.UNKNOWN]} could not be looked at" if counts[Verdict.UNKNOWN] else ""
    notes = counts[Verdict.NOTE]
    return f"{problems}, {notes} {'note' if notes == 1 else 'notes'}{hidden}."
