"""CPU: time used, quota, throttling, weight.

Kernel: kernel/sched/fair.c, kernel/sched/cpuacct.c; Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from collections.abc import Iterable

from cgroup_model.snapshot import Cpu, Need, Throttling
from exporters.metric import Family, Group, LabelValues, counter, flag, gauge, only_limited, ratio, seconds
from exporters.subject import Subject


def _cpu(subject: Subject) -> Cpu | None:
    return subject.snapshot.cpu


def _cpu_without_shares(subject: Subject) -> Cpu | None:
    """Give v2's record: there is a weight, and shares have to be worked out."""
    cpu = subject.snapshot.cpu
    return cpu if cpu is not None and cpu.shares is None else None


def _throttling(subject: Subject) -> Throttling | None:
    """Give the statistics of the quota where there is one: without, they are zeros that say nothing."""
    cpu = subject.snapshot.cpu
    return cpu.throttling if cpu is not None and isinstance(cpu.quota_usec, int) else None


def _shares(weight: int) -> int:
    """Turn a v2 weight into v1 shares by the formula of OCI runtimes, as cAdvisor does."""
    return 2 + (weight - 1) * 262_142 // 9_999


class _PerCpu:
    """CPU time of one CPU; microseconds."""

    __slots__ = ("system", "user")

    def __init__(self, user: int, system: int) -> None:
        self.user = user
        self.system = system


def _per_cpu(subject: Subject) -> Iterable[tuple[LabelValues, _PerCpu]]:
    cpu = subject.snapshot.cpu
    for number, used in ((cpu.per_cpu_usec if cpu else None) or {}).items():
        yield (f"cpu{number:02}",), _PerCpu(*used)


_SHARES = "Share of CPU time beside others; default 1024."
_PER_CPU = "container_cpu_per_cpu_seconds_total"
_PER_CPU_TEXT = "CPU time by CPU and mode (v1)."

FAMILIES = (
    Family(
        "cpu",
        "CPU time, quota and throttling",
        (
            Group(
                Cpu,
                _cpu,
                (
                    counter("container_cpu_usage_seconds_total", "CPU time.", "usage_usec", seconds, cpu="total"),
                    counter("container_cpu_user_seconds_total", "CPU time in user mode.", "user_usec", seconds),
                    counter("container_cpu_system_seconds_total", "CPU time in the kernel.", "system_usec", seconds),
                    counter("container_cpu_nice_seconds_total", "CPU time of niced tasks.", "nice_usec", seconds),
                    counter(
                        "container_cpu_throttled_local_seconds_total",
                        "Time the cgroup was kept from running, by its own quota or an ancestor's.",
                        "throttling_local_usec",
                        seconds,
                    ),
                    gauge(
                        "container_spec_cpu_quota",
                        "CPU time per period, microseconds; absent without a quota.",
                        "quota_usec",
                        only_limited,
                    ),
                    gauge("container_spec_cpu_period", "Period of the quota, microseconds.", "period_usec"),
                    gauge("container_spec_cpu_burst_seconds", "Unused quota that may be kept.", "burst_usec", seconds),
                    gauge("container_spec_cpu_shares", _SHARES, "shares"),
                    gauge("container_spec_cpu_weight", "The same on v2's scale; default 100.", "weight"),
                    gauge("container_spec_cpu_idle", "1 when the cgroup only gets idle time.", "idle", flag),
                    gauge(
                        "container_spec_cpu_uclamp_min_ratio", "Least CPU performance asked for.", "uclamp_min", ratio
                    ),
                    gauge("container_spec_cpu_uclamp_max_ratio", "Most CPU performance used.", "uclamp_max", ratio),
                ),
            ),
            Group(
                Cpu,
                _cpu_without_shares,
                (gauge("container_spec_cpu_shares", _SHARES, "weight", _shares),),
            ),
            Group(
                Throttling,
                _throttling,
                (
                    counter("container_cpu_cfs_periods_total", "Periods in which the cgroup ran.", "nr_periods"),
                    counter(
                        "container_cpu_cfs_throttled_periods_total", "Periods it was throttled in.", "nr_throttled"
                    ),
                    counter(
                        "container_cpu_cfs_throttled_seconds_total",
                        "Time that its CPUs were throttled, added up.",
                        "throttled_usec",
                        seconds,
                    ),
                    counter("container_cpu_cfs_burst_periods_total", "Periods with more than the quota.", "nr_bursts"),
                    counter("container_cpu_cfs_burst_seconds_total", "Time above the quota.", "burst_usec", seconds),
                ),
            ),
        ),
        needs=Need.CPU,
        parts=("cpu",),
    ),
    Family(
        "percpu",
        "CPU time by CPU (v1 only: v2 does not count it)",
        (
            Group(
                Cpu,
                _per_cpu,
                (
                    counter(
                        _PER_CPU, _PER_CPU_TEXT, "user", seconds, labels=("cpu",), fields=("per_cpu_usec",), mode="user"
                    ),
                    counter(
                        _PER_CPU,
                        _PER_CPU_TEXT,
                        "system",
                        seconds,
                        labels=("cpu",),
                        fields=("per_cpu_usec",),
                        mode="system",
                    ),
                ),
                labels=("cpu",),
            ),
        ),
        needs=Need.CPU | Need.CPU_PER_CPU,
        default=False,
        why_off="two series per CPU and container",
        parts=("cpu",),
    ),
)
