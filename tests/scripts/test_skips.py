"""The list of skips that are allowed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from scripts.skips import ALLOWED, unexpected

TESTS = Path(__file__).resolve().parents[1]


def test_a_skip_is_allowed_only_where_it_is_true() -> None:
    """Cgroup v1 has no pressure; on v2 the same reason means that something broke."""
    skips = Counter({"this kernel accounts no pressure for cgroups": 17})
    assert unexpected("guest v1", skips) == []
    assert unexpected("guest v2", skips) == list(skips)


def test_reasons_that_nobody_listed_are_told() -> None:
    """Sorted, each once; the whole reason counts, and not its beginning."""
    skips = Counter({"too hard": 2, "a bad day": 1, "this machine has one CPU too few": 1})
    assert unexpected("native v2", skips) == sorted(skips)


def test_no_reason_outlives_its_test() -> None:
    """Every plain reason on the list is some test's or the suite's: others are forgotten rows."""
    sources = [*TESTS.rglob("*.py"), *TESTS.parent.joinpath("scripts").glob("*.py")]
    text = "".join(path.read_text() for path in sources if path.name not in {"skips.py", "test_skips.py"})
    words = {row.reason: re.split(r"\.\*|\\.|hugetlb|cgroup2", row.reason)[0].strip() for row in ALLOWED}
    assert {reason for reason, beginning in words.items() if beginning not in text} == set()
