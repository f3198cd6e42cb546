"""Rates exist between two looks at the same cgroup, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.rates import Interface, Moment, increase, rates
from cgroup_model.snapshot import Cpu, Host, Io, IoDevice, Memory, MemoryEvents, Snapshot, Throttling

COUNTER = st.none() | st.integers(0, 1 << 62)


def look(seconds: float, **parts: object) -> Moment:
    """Return a look at ``/a`` that many seconds after boot."""
    return Moment(7, Snapshot(path="/a", host=Host(), taken_at=seconds, **parts))  # type: ignore[arg-type]


def test_cpu_time_is_cores() -> None:
    """Half a second of CPU time in two seconds is a quarter of a CPU; user and system likewise."""
    found = rates(look(10, cpu=Cpu(1_000_000, 600_000, 400_000)), look(12, cpu=Cpu(1_500_000, 700_000, 800_000)))
    assert found is not None
    assert (found.interval_seconds, found.cpu_cores, found.user_cores, found.system_cores) == (2, 0.25, 0.05, 0.2)


def test_first_look_has_no_rates() -> None:
    """One look tells nothing about a rate: no average since boot."""
    assert rates(None, look(10, cpu=Cpu(1_000_000))) is None


def test_recreated_cgroup_starts_afresh() -> None:
    """The same path with another inode is another cgroup, even where its counters are higher."""
    before = look(10, cpu=Cpu(1))
    assert rates(before, replace(look(11, cpu=Cpu(2)), inode=8)) is None


def test_clock_that_stands_still_gives_no_rates() -> None:
    """Nothing is divided by an interval of zero or less."""
    assert rates(look(10, cpu=Cpu(1)), look(10, cpu=Cpu(2))) is None


def test_fallen_counter_is_unknown() -> None:
    """A counter that fell gives None, not zero and not a negative rate; the others are not touched."""
    found = rates(look(1, cpu=Cpu(100, user_usec=0)), look(2, cpu=Cpu(50, user_usec=1_000_000)))
    assert found is not None
    assert found.cpu_cores is None
    assert found.user_cores == 1.0


@given(COUNTER, COUNTER)
def test_increase_is_never_negative(before: int | None, after: int | None) -> None:
    """Whatever two values are read: None, or what was added."""
    risen = increase(before, after)
    if before is None or after is None or after < before:
        assert risen is None
    else:
        assert risen == after - before


@pytest.mark.parametrize(("throttled", "expected"), [(5, 0.5), (0, 0.0), (10, 1.0)])
def test_throttled_share_is_of_periods(throttled: int, expected: float) -> None:
    """The share counts enforcement periods of the interval, not since the cgroup was made."""
    before = look(1, cpu=Cpu(throttling=Throttling(nr_periods=100, nr_throttled=90)))
    after = look(2, cpu=Cpu(throttling=Throttling(nr_periods=110, nr_throttled=90 + throttled)))
    found = rates(before, after)
    assert found is not None
    assert found.throttled_ratio == expected


def test_a_device_that_is_new_had_done_nothing() -> None:
    """The kernel lists a device from its first operation on, so that counts from zero; totals are sums over devices."""
    before = look(1, io=Io((IoDevice(8, 0, 100, 0, 1, 0),)))
    after = look(3, io=Io((IoDevice(8, 0, 300, 50, 5, 1), IoDevice(8, 16, 1000, 0, 2, 0))))
    found = rates(before, after)
    assert found is not None
    assert (found.read_bytes, found.write_bytes, found.read_ios) == (600.0, 25.0, 3.0)
    assert [(one.major, one.minor, one.read_bytes) for one in found.devices] == [(8, 0, 100.0), (8, 16, 500.0)]


def test_io_unknown_before_is_no_rate() -> None:
    """Without the controller at the first look the totals since boot must not appear as a rate."""
    found = rates(look(1), look(2, io=Io((IoDevice(8, 0, 1 << 40, 0, 1, 0),))))
    assert found is not None
    assert found.read_bytes is None


def test_loopback_is_not_traffic() -> None:
    """Interfaces are summed without lo; one that appeared between the looks has no rate yet."""
    zero = (0, 0, 0, 0)
    before = replace(look(1), interfaces=(Interface("lo", *zero, *zero), Interface("eth0", *zero, *zero)))
    after = replace(
        look(2),
        interfaces=(
            Interface("lo", 999, 1, 0, 0, 999, 1, 0, 0),
            Interface("eth0", 100, 1, 0, 0, 50, 1, 0, 0),
            Interface("eth1", 7777, 1, 0, 0, 7777, 1, 0, 0),
        ),
    )
    found = rates(before, after)
    assert found is not None
    assert (found.rx_bytes, found.tx_bytes) == (100.0, 50.0)


def test_oom_kills_of_the_interval() -> None:
    """Kills are counted between the looks."""
    before, after = (look(t, memory=Memory(events=MemoryEvents(oom_kill=n))) for t, n in ((1, 3), (2, 5)))
    found = rates(before, after)
    assert found is not None
    assert found.oom_kills == 2
