"""Counting and logging problems."""

from __future__ import annotations

import logging

import pytest

from procfs_fuse.transport.problems import Problems


def test_each_kind_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """All problems are counted; of each kind one is logged, and again only after the quiet time."""
    now = [0.0]
    problems = Problems(logging.getLogger("test"), 60.0, lambda: now[0])
    for second in (0.0, 1.0, 59.9):
        now[0] = second
        problems.report("READ: ValueError", ValueError(f"at {second}"))
    problems.report("OPEN: KeyError", KeyError("other kind"))
    assert [message.split(" (")[0] for message in caplog.messages] == [
        "READ: ValueError: ValueError('at 0.0')",
        "OPEN: KeyError: KeyError('other kind')",
    ]
    now[0] = 60.0
    problems.report("READ: ValueError", ValueError("later"))
    assert caplog.messages[-1].endswith("(seen 4 times)")
    assert problems.counts == {"READ: ValueError": 4, "OPEN: KeyError": 1}
