"""Minima over the levels of a hierarchy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.dialects import MemoryLevel, Quota
from cgroup_model.effective import ROOT_MEMORY, as_level, is_limited, memory_bounds, minimum, own_bounds, shown_cpus
from cgroup_model.snapshot import UNLIMITED, Memory, MemoryBounds, MemoryStat

BYTES = st.integers(0, 2**63)
LIMITS = st.none() | st.just(UNLIMITED) | BYTES
LEVELS = st.lists(
    st.tuples(
        st.sampled_from(["/a", "/b", None]),
        st.builds(
            MemoryLevel,
            max=LIMITS,
            high=LIMITS,
            current=st.none() | BYTES,
            active_file=st.none() | BYTES,
            inactive_file=st.none() | BYTES,
            slab_reclaimable=st.none() | BYTES,
            swap_max=LIMITS,
            swap_current=st.none() | BYTES,
            hierarchical_max=LIMITS,
        ),
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], (None, None)),
        ([("/a", None)], (None, None)),
        ([("/a", None), ("/", UNLIMITED)], (UNLIMITED, None)),
        ([("/a", UNLIMITED), ("/", 5)], (5, "/")),
        ([("/a/b", 7), ("/a", 5), ("/", 9)], (5, "/a")),
        ([("/a/b", 5), ("/a", 5)], (5, "/a/b")),
        ([("/a/b", 0), ("/a", 5)], (0, "/a/b")),
    ],
)
def test_minimum(limits: list[tuple[str, int | None]], expected: tuple[int | None, str | None]) -> None:
    """Unknown, unlimited and zero are three things; of equal limits the innermost is the origin."""
    assert minimum(limits) == expected


def test_free_memory_counts_siblings() -> None:
    """A parent that siblings have filled leaves less than the own limit does."""
    own = MemoryLevel(max=100, current=10)
    parent = MemoryLevel(max=200, current=195)
    bounds = memory_bounds([("/a/b", own), ("/a", parent)])
    assert (bounds.max, bounds.max_origin, bounds.free) == (100, "/a/b", 5)


def test_available_memory_is_found_level_by_level() -> None:
    """What can be reclaimed counts at the level where it is; ``high`` limits what is available but not what is free."""
    own = MemoryLevel(max=100, current=90, active_file=20, inactive_file=30, slab_reclaimable=5)
    parent = MemoryLevel(max=UNLIMITED, high=150, current=140, active_file=21, inactive_file=12, slab_reclaimable=1)
    bounds = memory_bounds([("/a/b", own), ("/a", parent)])
    assert bounds == MemoryBounds(
        max=100,
        max_origin="/a/b",
        high=150,
        high_origin="/a",
        free=10,
        available=10 + 34,
        available_working_set=10 + 13,
    )


def test_swap_has_bounds_of_its_own() -> None:
    """Swap is minimised apart from memory."""
    levels = [("/a/b", MemoryLevel(swap_max=50, swap_current=0)), ("/a", MemoryLevel(swap_max=60, swap_current=55))]
    bounds = memory_bounds(levels)
    assert (bounds.swap_max, bounds.swap_max_origin, bounds.swap_free) == (50, "/a/b", 5)


def test_nothing_limited_means_no_bound() -> None:
    """Without any limit there is nothing to be left of it: None, not zero."""
    bounds = memory_bounds([("/a", MemoryLevel(max=UNLIMITED, high=UNLIMITED, current=5, swap_max=UNLIMITED))])
    assert bounds == MemoryBounds(max=UNLIMITED, high=UNLIMITED, swap_max=UNLIMITED)


def test_usage_above_a_lowered_limit_leaves_nothing() -> None:
    """A limit set below the usage leaves zero, never a negative number (which lxcfs printed as 2**64 - n)."""
    level = MemoryLevel(max=10, current=50, swap_max=0, swap_current=7)
    bounds = memory_bounds([("/a", level)])
    assert (bounds.free, bounds.available, bounds.swap_free) == (0, 0, 0)


def test_v1_knows_limits_of_unseen_ancestors() -> None:
    """The hierarchical limit of v1 also counts ancestors that no mount shows; nobody knows which."""
    level = MemoryLevel(max=UNLIMITED, current=10, inactive_file=4, hierarchical_max=64)
    bounds = memory_bounds([("/", level)])
    assert (bounds.max, bounds.max_origin, bounds.free, bounds.available) == (64, None, 54, 58)
    own = replace(level, max=32, hierarchical_max=32)
    assert memory_bounds([("/a", own)]).max_origin == "/a"


@given(LEVELS)
def test_bounds_are_consistent_for_any_levels(levels: list[tuple[str | None, MemoryLevel]]) -> None:
    """Whatever the files say: nothing negative, nothing above the limit, and no level may promise more."""
    bounds = memory_bounds(levels)
    for amount, limit in ((bounds.free, bounds.max), (bounds.swap_free, bounds.swap_max)):
        assert amount is None or (isinstance(limit, int) and 0 <= amount <= limit)
    limits = [limit for limit in (bounds.max, bounds.high) if isinstance(limit, int)]
    if bounds.available is None or bounds.available_working_set is None:
        assert bounds.available is bounds.available_working_set
    else:
        assert 0 <= bounds.available_working_set <= bounds.available <= min(limits)


@given(
    st.builds(
        Memory,
        max=BYTES,
        high=st.sampled_from([None, UNLIMITED, 5]),
        current=st.none() | BYTES,
        swap_max=st.sampled_from([None, UNLIMITED, 5]),
        stat=st.builds(MemoryStat, active_file=BYTES, inactive_file=st.none() | BYTES, slab_reclaimable=BYTES),
    ),
    st.sampled_from([MemoryLevel(max=UNLIMITED), ROOT_MEMORY, MemoryLevel(max=7), MemoryLevel()]),
)
def test_a_limit_of_its_own_alone_takes_the_short_way_to_the_same(memory: Memory, above: MemoryLevel) -> None:
    """Bounds worked out from a cgroup's own record are those of going over all levels."""
    bounds = own_bounds("/a", memory, memory_bounds([("/", above)]))
    assert bounds is None or bounds == memory_bounds([("/a", as_level(memory)), ("/", above)])


def test_the_usual_container_takes_the_short_way() -> None:
    """A limit of its own, nothing above."""
    memory = Memory(max=10, current=8, stat=MemoryStat(inactive_file=1))
    assert own_bounds("/a", memory, memory_bounds([("/", ROOT_MEMORY)])) is not None


@given(LEVELS, LEVELS)
def test_an_ancestor_can_only_take(
    inner: list[tuple[str | None, MemoryLevel]], outer: list[tuple[str | None, MemoryLevel]]
) -> None:
    """Adding ancestors never gives a container more."""
    before, after = memory_bounds(inner), memory_bounds(inner + outer)
    for name in ("max", "high", "free", "available", "available_working_set", "swap_max", "swap_free"):
        small, large = getattr(after, name), getattr(before, name)
        assert not isinstance(large, int) or (isinstance(small, int) and small <= large)


def test_the_own_record_is_a_level() -> None:
    """A cgroup's own memory record has all that a level has, so that nothing is read twice."""
    stat = MemoryStat(active_file=1, inactive_file=2, slab_reclaimable=3)
    memory = Memory(max=10, high=9, current=8, swap_max=7, swap_current=6, stat=stat)
    assert as_level(memory) == MemoryLevel(10, 9, 8, 1, 2, 3, 7, 6)


@pytest.mark.parametrize(
    ("level", "limited"),
    [
        (MemoryLevel(), False),
        (MemoryLevel(max=UNLIMITED, high=UNLIMITED), False),
        (MemoryLevel(max=0), True),
        (MemoryLevel(max=UNLIMITED, high=5), True),
        (MemoryLevel(swap_max=5), False),
    ],
)
def test_what_limits_memory(level: MemoryLevel, *, limited: bool) -> None:
    """Throttling limits too; zero is a limit; swap is something else."""
    assert is_limited(level) is limited


@pytest.mark.parametrize(
    ("quota_usec", "count"),
    [(50_000, 1), (100_000, 1), (100_001, 2), (150_000, 2), (200_000, 2), (1_000, 1), (0, 1), (900_000, 4)],
)
def test_cpus_are_cut_to_the_quota_rounded_up(quota_usec: int, count: int) -> None:
    """Half a CPU is one; a quota above the CPUs shows them all."""
    shown = shown_cpus((0, 2, 3, 7), [("/a", Quota(quota_usec, 100_000))], cut_to_quota=True)
    assert shown.physical == (0, 2, 3, 7)[:count]
    assert shown.usable == (0, 2, 3, 7)


def test_noise_in_a_quota_is_no_cpu() -> None:
    """2.0000001 CPUs are two."""
    assert shown_cpus((0, 1, 2), [("/a", Quota(20_000_001, 10_000_000))], cut_to_quota=True).count == 2


def test_the_smallest_quota_counts() -> None:
    """The quota of an ancestor binds; unlimited levels say nothing."""
    quotas = [("/a/b", Quota(UNLIMITED, 100_000)), ("/a", Quota(150_000, 100_000)), ("/", Quota(UNLIMITED))]
    shown = shown_cpus((0, 1, 2, 3), quotas, cut_to_quota=True)
    assert (shown.quota_cpus, shown.quota_origin, shown.physical) == (1.5, "/a", (0, 1))


@pytest.mark.parametrize("quota", [Quota(), Quota(50_000, None), Quota(50_000, 0), Quota(UNLIMITED, 100_000)])
def test_no_quota_shows_all_usable_cpus(quota: Quota) -> None:
    """Unknown or unlimited, also with a period of zero from a broken file."""
    shown = shown_cpus((0, 1), [("/a", quota)], cut_to_quota=True)
    assert shown.physical == (0, 1)
    assert shown.quota_cpus is (UNLIMITED if quota.quota_usec is UNLIMITED else None)


def test_the_cpuset_view_ignores_the_quota() -> None:
    """The operator can choose to show the whole cpuset; the quota is still told."""
    shown = shown_cpus((0, 1), [("/a", Quota(50_000, 100_000))], cut_to_quota=False)
    assert (shown.physical, shown.quota_cpus) == ((0, 1), 0.5)
