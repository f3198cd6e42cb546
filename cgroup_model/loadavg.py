"""Load averages of a cgroup, by the kernel's own arithmetic.

Kernel: include/linux/sched/loadavg.h (fixed point, 11 bits; constants for a 5 s period) and
kernel/sched/loadavg.c (``calc_load``, ``calc_load_n``). The kernel counts runnable and uninterruptible threads of the
machine; here they are those of a container.
"""

from __future__ import annotations

from cgroup_model.record import dataclass
from cgroup_model.snapshot import Load

PERIOD_SECONDS = 5.0

_FIXED_1 = 1 << 11
_EXPONENTS = (1884, 2014, 2037)  # 1/exp(5s/1min), 1/exp(5s/5min), 1/exp(5s/15min) in fixed point
_LONGEST_GAP = 5000  # periods, seven hours: by then every average has forgotten what it was


def calc_load(load: int, exponent: int, active: int) -> int:
    """One period: ``active`` and the result in fixed point; rising averages round up, as in the kernel."""
    new = load * exponent + active * (_FIXED_1 - exponent)
    if active >= load:
        new += _FIXED_1 - 1
    return new // _FIXED_1


@dataclass(slots=True)
class LoadAverage:
    """The three averages of one container, in fixed point."""

    averages: tuple[int, int, int] = (0, 0, 0)

    def update(self, active: int, periods: int = 1) -> None:
        """Account ``active`` threads for ``periods`` periods of `PERIOD_SECONDS`."""
        fixed = active * _FIXED_1
        for _ in range(min(periods, _LONGEST_GAP)):
            one, five, fifteen = (
                calc_load(load, exponent, fixed) for load, exponent in zip(self.averages, _EXPONENTS, strict=True)
            )
            self.averages = (one, five, fifteen)

    def load(self) -> Load:
        """The averages as numbers of threads."""
        one, five, fifteen = (value / _FIXED_1 for value in self.averages)
        return Load(one, five, fifteen)
