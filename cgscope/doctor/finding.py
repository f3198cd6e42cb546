"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How good what was found is."""

    OK = "ok"
    NOTE = "note"
    """Something does less, or costs more, than it could."""

    PROBLEM = "problem"
    """Something does not work."""

    UNKNOWN = "unknown"
    """It could not be found out, for lack of rights in most cases."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, what it is like, and what to do unless all is well."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Finding:
    """All is well."""
    return Finding(subject, Verdict.OK, found)


def note(subject: str, found: str, advice: str) -> Finding:
    """It works, with less than there could be."""
    return Finding(subject, Verdict.NOTE, found, advice)


def problem(subject: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(subject, Verdict.PROBLEM, found, advice)


def unknown(subject: str, found: str, advice: str = "") -> Finding:
    """Nobody knows."""
    return Finding(subject, Verdict.UNKNOWN, found, advice)
