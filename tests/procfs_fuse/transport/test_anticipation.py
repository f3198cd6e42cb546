"""Learning after which kinds of request another one follows at once."""

from __future__ import annotations

from procfs_fuse.transport.anticipation import Anticipation

OPEN, RELEASE = 14, 18


def follow(anticipation: Anticipation, kind: int, gap_ns: int, times: int) -> int:
    """Answer a request of this kind, let the next one come after the gap; return the patience after the last."""
    patience_ns = 0
    now = 1_000_000
    for _ in range(times + 1):
        patience_ns = anticipation.answered(kind, now) - now
        now += gap_ns
        anticipation.arrived(now)
    return patience_ns


def test_habits_are_learned_by_kind() -> None:
    """What never comes at once is not waited for; another kind of request keeps its own record."""
    anticipation = Anticipation(100)
    assert follow(anticipation, RELEASE, 5000, times=0) == 100
    assert follow(anticipation, RELEASE, 5000, times=4) == 0
    assert follow(anticipation, OPEN, 20, times=4) == 100
    assert anticipation.answered(RELEASE, 0) == 0


def test_habits_change() -> None:
    """One exception changes nothing, a new habit is noticed."""
    anticipation = Anticipation(100)
    follow(anticipation, OPEN, 20, times=5)
    assert follow(anticipation, OPEN, 5000, times=1) == 100
    assert follow(anticipation, OPEN, 5000, times=5) == 0
    assert follow(anticipation, OPEN, 20, times=5) == 100


def test_without_a_horizon() -> None:
    """With horizon 0 nothing is ever waited for."""
    assert follow(Anticipation(0), OPEN, 0, times=10) == 0
