"""CPU accounts: sums are exact, nothing ever falls, whatever quota, cpuset and counters do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.cputime import CpuClock
from cgroup_model.snapshot import UNLIMITED, Cpu, CpuTime, CpuTimes, ShownCpus

SECOND = 1_000_000


def shown(count: int, usable: int | None = None) -> ShownCpus:
    """``count`` CPUs shown of ``usable``."""
    cpus = tuple(range(usable or count))
    return ShownCpus(cpus[:count], cpus, UNLIMITED)


def used(user: int, system: int = 0, nice: int = 0) -> Cpu:
    """A cgroup that has used so many microseconds in all, as v2 says it."""
    return Cpu(usage_usec=user + system, user_usec=user, system_usec=system, nice_usec=nice)


def summed(times: CpuTimes) -> CpuTime:
    """The ``cpu`` line."""
    rows = (*times.cpus, times.hidden)
    return CpuTime(
        user=sum(row.user for row in rows),
        nice=sum(row.nice for row in rows),
        system=sum(row.system for row in rows),
        idle=sum(row.idle for row in rows),
        steal=sum(row.steal for row in rows),
    )


def test_idle_is_shown_time_minus_use() -> None:
    """Ten seconds on two CPUs with four seconds used leave sixteen idle, from the very first look."""
    times = CpuClock().update(10 * SECOND, used(3 * SECOND, SECOND), shown(2))
    assert summed(times) == CpuTime(user=3 * SECOND, system=SECOND, idle=16 * SECOND)


def test_v2_use_is_shared_evenly() -> None:
    """Without per-CPU counters every shown CPU gets the same."""
    times = CpuClock().update(10 * SECOND, used(4 * SECOND), shown(2))
    assert times.cpus[0] == times.cpus[1]


def test_v1_use_stays_with_its_cpu() -> None:
    """With per-CPU counters and all usable CPUs shown, each CPU has its own use."""
    cpu = Cpu(user_usec=3 * SECOND, system_usec=SECOND, per_cpu_usec={0: (3 * SECOND, 0), 1: (0, SECOND)})
    first, second = CpuClock().update(10 * SECOND, cpu, shown(2)).cpus
    assert (first.user, first.system) == (3 * SECOND, 0)
    assert (second.user, second.system) == (0, SECOND)


def test_quota_view_hides_on_which_cpu_it_ran() -> None:
    """With a quota of one CPU of two, use on either CPU shows on the one."""
    cpu = Cpu(user_usec=2 * SECOND, system_usec=0, per_cpu_usec={0: (SECOND, 0), 1: (SECOND, 0)})
    assert CpuClock().update(10 * SECOND, cpu, shown(1, 2)).cpus[0].user == 2 * SECOND


def test_nice_time_is_not_counted_twice() -> None:
    """v2's user_usec holds nice time; /proc/stat has them apart."""
    total = summed(CpuClock().update(10 * SECOND, used(5 * SECOND, 0, nice=2 * SECOND), shown(1)))
    assert (total.user, total.nice) == (3 * SECOND, 2 * SECOND)


def test_hidden_cpus_stay_in_the_sum() -> None:
    """When the quota shrinks, the hidden CPU's time is still in the total, and it grows no more."""
    clock = CpuClock()
    clock.update(10 * SECOND, used(4 * SECOND), shown(2))
    times = clock.update(20 * SECOND, used(5 * SECOND), shown(1, 2))
    assert times.hidden == CpuTime(user=2 * SECOND, idle=8 * SECOND)
    assert times.cpus[0] == CpuTime(user=3 * SECOND, idle=17 * SECOND)


def test_burst_makes_idle_wait() -> None:
    """Use that runs ahead of the clock never makes idle fall; it stands still until time has caught up."""
    clock = CpuClock()
    clock.update(10 * SECOND, used(2 * SECOND), shown(1))
    ahead = clock.update(10 * SECOND + 1000, used(3 * SECOND), shown(1)).cpus[0]
    assert ahead.idle == 8 * SECOND
    later = clock.update(12 * SECOND, used(3 * SECOND), shown(1)).cpus[0]
    assert later.idle == 9 * SECOND


def test_waiting_for_quota_is_steal_and_not_idle() -> None:
    """Ten seconds of which two were used and three waited leave five idle; waiting is cut to the time there is."""
    clock = CpuClock()
    first = clock.update(10 * SECOND, used(2 * SECOND), shown(1), 3 * SECOND).cpus[0]
    assert first == CpuTime(user=2 * SECOND, idle=5 * SECOND, steal=3 * SECOND)
    second = clock.update(20 * SECOND, used(3 * SECOND), shown(1), 90 * SECOND).cpus[0]
    assert (second.idle, second.steal) == (5 * SECOND, 17 * SECOND)


def test_state_survives_a_restart() -> None:
    """A clock restored from JSON goes on where the old one was, also across the quota change it has seen."""
    clock = CpuClock()
    clock.update(10 * SECOND, used(4 * SECOND), shown(2))
    clock.update(20 * SECOND, used(5 * SECOND), shown(1, 2), SECOND)
    copy = CpuClock.from_json(json.loads(json.dumps(clock.to_json())))
    later = (30 * SECOND, used(6 * SECOND), shown(2), 2 * SECOND)
    assert copy.update(*later) == clock.update(*later)


@dataclass(frozen=True)
class Step:
    """One look: time passed, use, CPUs shown and usable."""

    elapsed: int
    user: int
    system: int
    nice: int
    count: int
    usable: int
    per_cpu: bool
    counter_falls: bool
    waited: int


steps = st.lists(
    st.builds(
        Step,
        elapsed=st.integers(0, 100 * SECOND),
        user=st.integers(0, 500 * SECOND),
        system=st.integers(0, 500 * SECOND),
        nice=st.integers(0, 10 * SECOND),
        count=st.integers(1, 4),
        usable=st.integers(1, 4),
        per_cpu=st.booleans(),
        counter_falls=st.booleans(),
        waited=st.integers(0, 500 * SECOND),
    ),
    min_size=2,
    max_size=12,
)


@given(steps)
def test_no_field_of_any_line_ever_falls(history: list[Step]) -> None:
    """Over any sequence of quotas, cpusets, use, falling counters and lost per-CPU counters; and cpu is the sum."""
    clock = CpuClock()
    age = user = system = 0
    before: dict[int, CpuTime] = {}
    total_before = CpuTime()
    for step in history:
        age += step.elapsed
        user = step.user if step.counter_falls else user + step.user
        system = step.system if step.counter_falls else system + step.system
        usable = max(step.count, step.usable)
        per_cpu = dict.fromkeys(range(usable), (user // usable, system // usable)) if step.per_cpu else None
        cpu = Cpu(user_usec=user, system_usec=system, nice_usec=step.nice, per_cpu_usec=per_cpu)
        times = clock.update(age, cpu, shown(step.count, usable), step.waited)
        assert len(times.cpus) == step.count
        for number, row in enumerate(times.cpus):
            assert_not_fallen(before.get(number, CpuTime()), row)
            before[number] = row
        assert_not_fallen(total_before, summed(times))
        total_before = summed(times)


def assert_not_fallen(before: CpuTime, now: CpuTime) -> None:
    """Every field is at least what it was."""
    for field in ("user", "nice", "system", "idle", "steal"):
        assert getattr(now, field) >= getattr(before, field), field


@given(steps)
def test_total_follows_the_control_files(history: list[Step]) -> None:
    """However CPUs come and go, the total of user and system is the cgroup's use, to the microsecond per CPU shown."""
    clock = CpuClock()
    age = user = system = 0
    for step in history:
        age += step.elapsed
        user += step.user
        system += step.system
        total = summed(clock.update(age, used(user, system), shown(step.count, max(step.count, step.usable))))
        assert 0 <= user - total.user < 4
        assert 0 <= system - total.system < 4


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda x: st.lists(x, max_size=4)))
def test_damaged_state_is_refused(value: object) -> None:
    """Anything that is not a saved clock is one of the documented errors."""
    try:
        parts = ("age_usec", "accounts", "total", "per_cpu", "carry", "waited")
        CpuClock.from_json(dict.fromkeys(parts, value))
    except (ValueError, TypeError, KeyError):
        return
