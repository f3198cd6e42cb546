"""The suite's runner: what is run where, and what the table says about it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts import suite
from scripts.suite import Outcome, Part

GREEN = """
def test_passes(): pass
"""
MIXED = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip(reason="no such kernel")
def test_is_skipped(): pass
@pytest.fixture
def broken(): raise OSError("broken")
def test_has_a_broken_fixture(broken): pass
"""


def outcome_of(folder: Path, tests: str) -> Outcome:
    """Run ``tests`` through the runner."""
    (folder / "test_given.py").write_text(tests, encoding="utf-8")
    return suite.run(Part("given", "native v2", (str(folder),)), ["--rootdir", str(folder)])


@pytest.mark.parametrize(
    ("native", "worlds"),
    [
        ("v1", ["native v1", "guest v2"]),
        ("hybrid", ["native hybrid", "guest v2", "guest v1"]),
        ("v2", ["native v2", "guest v1"]),
    ],
)
def test_every_dialect_meets_a_real_kernel(native: str, worlds: list[str]) -> None:
    """Integration tests run here, and in a guest for each world that this machine has not."""
    parts = suite.parts(native, every_world=False)
    assert [part.world for part in parts if part.suite == "integration"] == worlds


def test_the_long_suite_sees_every_world() -> None:
    """`make test-long` boots all three worlds, whatever this machine has."""
    guests = [part.world for part in suite.parts("hybrid", every_world=True) if part.guest]
    assert guests == ["guest v2", "guest v1", "guest hybrid"]


def test_a_green_part(tmp_path: Path) -> None:
    """Passed tests are counted and the exit code is pytest's."""
    outcome = outcome_of(tmp_path, GREEN)
    assert (outcome.exit_code, outcome.counts) == (0, Counter(passed=1))


def test_a_mixed_part(tmp_path: Path) -> None:
    """Failures, errors and skips with their reasons are told apart."""
    outcome = outcome_of(tmp_path, MIXED)
    assert outcome.exit_code == 1
    assert outcome.counts == Counter(passed=1, failure=1, skipped=1, error=1)
    assert outcome.skips == Counter({"no such kernel": 1})


def test_a_part_without_a_report_is_an_error(tmp_path: Path) -> None:
    """A run that died before its report counts as an error instead of as nothing."""
    outcome = Outcome(Part("given", "guest v2", ()), 1, 1.0)
    suite.count(outcome, tmp_path / "absent.xml")
    assert outcome.counts == Counter(error=1)


def test_the_summary_names_what_was_skipped() -> None:
    """A row for each part, the reasons of skipped tests below it; the last line adds up in pytest's words."""
    outcomes = [
        Outcome(Part("unit", "native v2", ()), 0, 2.0, Counter(passed=9)),
        Outcome(Part("integration", "guest v1", ()), 1, 3.5, Counter(passed=1, failure=2, skipped=3), Counter(why=3)),
    ]
    head, unit, integration, reason = suite.table(outcomes).splitlines()
    assert head.split() == ["suite", "world", "passed", "failed", "skipped", "time"]
    assert unit.split() == ["unit", "native", "v2", "9", "0", "0", "2.0", "s"]
    assert integration.split() == ["integration", "guest", "v1", "1", "2", "3", "3.5", "s"]
    assert reason.strip() == "3 x why"
    assert suite.closing_line(outcomes).strip("= ") == "2 failed, 10 passed, 3 skipped in 5.50s"
