"""Load averages follow the kernel's arithmetic."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.loadavg import LoadAverage, calc_load

MINUTE = 12  # periods


def test_one_period_by_hand() -> None:
    """(0 * 1884 + 2048 * (2048 - 1884) + 2047) / 2048, as include/linux/sched/loadavg.h has it."""
    assert calc_load(0, 1884, 2048) == 164


def test_one_thread_for_a_minute() -> None:
    """After one time constant the average is 1 - 1/e of the way, for each of the three (rounding up adds a little)."""
    average = LoadAverage()
    average.update(1, MINUTE)
    assert math.isclose(average.load().one, 1 - math.exp(-1), abs_tol=0.03)
    average.update(1, 4 * MINUTE)
    assert math.isclose(average.load().five, 1 - math.exp(-1), abs_tol=0.03)
    average.update(1, 10 * MINUTE)
    assert math.isclose(average.load().fifteen, 1 - math.exp(-1), abs_tol=0.03)


def test_steady_load_is_reached_and_zero_again() -> None:
    """A long steady load shows exactly, and an idle container comes back to 0.00."""
    average = LoadAverage()
    average.update(3, 4000)
    assert average.load().fifteen == 3.0
    average.update(0, 4000)
    assert average.load().one == average.load().five == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=20))
def test_bounds(samples: list[tuple[int, int]]) -> None:
    """No average is below zero or above the highest count of threads ever seen."""
    average = LoadAverage()
    for active, periods in samples:
        average.update(active, periods)
    highest = max((active for active, _ in samples), default=0)
    load = average.load()
    assert all(0 <= value <= highest for value in (load.one, load.five, load.fifteen))
