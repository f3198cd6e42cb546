"""CPU time of a container as ``/proc/stat`` has to show it: per shown CPU, and never backwards.

The kernel counts a cgroup's time per physical CPU (v1) or only in sum (v2), and no idle time at all. Here each *shown*
CPU gets an account: its use comes from the control files, its idle time is the time it has been shown minus its use.
The rules, and why:

* v2, and v1 when a quota shows fewer CPUs than the cpuset has: use is shared evenly over the shown CPUs.
* v1 with as many CPUs shown as usable: each shown CPU has the use of its physical CPU.
* A CPU that is no longer shown keeps its account, which no longer grows: the ``cpu`` line still counts it, as the
  kernel's counts CPUs that went offline (fs/proc/stat.c sums over possible CPUs and lists online ones). So no field
  of any line decreases, whatever happens to quota and cpuset.
* Use may run ahead of the clock for a moment (bursts, ticks); idle then stands still.
* Time that a quota made the container wait is steal, when asked for. The kernel adds it up over all CPUs on which tasks
  waited, which may be more than are shown; so no more of it counts than there is time without use.

Everything is in microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from cgroup_model.record import dataclass
from cgroup_model.snapshot import Cpu, CpuTime, CpuTimes, ShownCpus


@dataclass(slots=True)
class _Account:
    """One shown CPU."""

    user: int = 0
    nice: int = 0
    system: int = 0
    idle: int = 0
    shown_usec: int = 0  # for how long this CPU has been shown
    waited: int = 0  # its share of the time that tasks waited for quota
    steal: int = 0

    def settle(self) -> None:
        unused = self.shown_usec - self.user - self.nice - self.system
        self.steal = max(self.steal, min(self.waited, unused))
        self.idle = max(self.idle, unused - self.steal)

    def frozen(self) -> CpuTime:
        return CpuTime(user=self.user, nice=self.nice, system=self.system, idle=self.idle, steal=self.steal)


@dataclass(frozen=True, slots=True)
class _Use:
    """Use since the container started; (user without nice, nice, system)."""

    total: tuple[int, int, int]
    per_cpu: Mapping[int, tuple[int, int]] | None


@dataclass(slots=True)
class CpuClock:
    """The accounts of one container. ``update`` is the only way in; state survives restarts as plain lists."""

    age_usec: int = 0
    accounts: list[_Account] = field(default_factory=list)
    _before: _Use | None = None
    _carry: list[int] = field(default_factory=lambda: [0, 0, 0])
    _waited: int = 0

    def update(self, age_usec: int, cpu: Cpu, shown: ShownCpus, waited_usec: int = 0) -> CpuTimes:
        """Bring the accounts up to ``age_usec`` after the container's start and return them.

        ``waited_usec`` is what its tasks waited for quota in all, if that is to be shown as steal.
        """
        elapsed = max(0, age_usec - self.age_usec)
        self.age_usec = max(self.age_usec, age_usec)
        while len(self.accounts) < shown.count:
            self.accounts.append(_Account())
        visible = self.accounts[: shown.count]
        self._charge(visible, _use_of(cpu), shown)
        self._wait(visible, waited_usec)
        for account in visible:
            account.shown_usec += elapsed
            account.settle()
        return self._times(shown.count)

    def _charge(self, visible: Sequence[_Account], use: _Use | None, shown: ShownCpus) -> None:
        if use is None:
            return
        before = self._before or _Use((0, 0, 0), {} if use.per_cpu is not None else None)
        rest = [max(0, new - old) for new, old in zip(use.total, before.total, strict=True)]
        if any(rest):
            if use.per_cpu is not None and before.per_cpu is not None and shown.count == len(shown.usable):
                _charge_each(visible, shown.physical, use.per_cpu, before.per_cpu, rest)
            self._share(visible, rest)
        self._before = _Use(
            (
                max(use.total[0], before.total[0]),
                max(use.total[1], before.total[1]),
                max(use.total[2], before.total[2]),
            ),
            use.per_cpu,
        )

    def _share(self, visible: Sequence[_Account], rest: Sequence[int]) -> None:
        """Give every CPU the same; what does not divide is carried to the next time, so that nobody is favoured."""
        shares = []
        for index, amount in enumerate(rest):
            share, self._carry[index] = divmod(self._carry[index] + amount, len(visible))
            shares.append(share)
        for account in visible:
            account.user += shares[0]
            account.nice += shares[1]
            account.system += shares[2]

    def _wait(self, visible: Sequence[_Account], waited_usec: int) -> None:
        """Give every CPU the same; what does not divide waits for the next time."""
        share = max(0, waited_usec - self._waited) // len(visible)
        self._waited += share * len(visible)
        for account in visible:
            account.waited += share

    def _times(self, count: int) -> CpuTimes:
        cpus = tuple([account.frozen() for account in self.accounts[:count]])
        hidden = self.accounts[count:]
        if not hidden:
            return CpuTimes(cpus)
        return CpuTimes(
            cpus=cpus,
            hidden=CpuTime(
                user=sum(account.user for account in hidden),
                nice=sum(account.nice for account in hidden),
                system=sum(account.system for account in hidden),
                idle=sum(account.idle for account in hidden),
                steal=sum(account.steal for account in hidden),
            ),
        )

    # ------------------------------------------------------------------ across restarts

    def to_json(self) -> dict[str, object]:
        """The state as JSON types."""
        before = self._before
        return {
            "age_usec": self.age_usec,
            "accounts": [[a.user, a.nice, a.system, a.idle, a.shown_usec, a.waited, a.steal] for a in self.accounts],
            "waited": self._waited,
            "total": list(before.total) if before else None,
            "per_cpu": {str(k): list(v) for k, v in before.per_cpu.items()} if before and before.per_cpu else None,
            "carry": list(self._carry),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> CpuClock:
        """Inverse of `to_json`. Raises ValueError, TypeError or KeyError on anything else."""
        clock = cls(age_usec=_integer(data["age_usec"]))
        clock.accounts = [_Account(*_integers(row, 7)) for row in _rows(data["accounts"])]
        if data.get("total") is not None:
            user, nice, system = _integers(data["total"], 3)
            clock._before = _Use((user, nice, system), _per_cpu(data.get("per_cpu")))
        clock._carry = _integers(data["carry"], 3)
        clock._waited = _integer(data["waited"])
        return clock


def _use_of(cpu: Cpu) -> _Use | None:
    if cpu.user_usec is None or cpu.system_usec is None:
        if cpu.usage_usec is None:
            return None
        return _Use((cpu.usage_usec, 0, 0), None)  # a kernel that does not split: all of it is user time
    nice = cpu.nice_usec or 0
    return _Use((max(0, cpu.user_usec - nice), nice, cpu.system_usec), cpu.per_cpu_usec)


def _charge_each(
    visible: Sequence[_Account],
    physical: Sequence[int],
    now: Mapping[int, tuple[int, int]],
    before: Mapping[int, tuple[int, int]],
    rest: list[int],
) -> None:
    """Charge each shown CPU with its physical CPU's use, and take that out of ``rest`` (user, nice, system)."""
    for account, number in zip(visible, physical, strict=True):
        user, system = now.get(number, (0, 0))
        old_user, old_system = before.get(number, (0, 0))
        user_share = min(rest[0], max(0, user - old_user))
        system_share = min(rest[2], max(0, system - old_system))
        account.user += user_share
        account.system += system_share
        rest[0] -= user_share
        rest[2] -= system_share


def _integer(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        message = f"not a count: {value!r}"
        raise ValueError(message)
    return value


def _integers(value: object, count: int) -> list[int]:
    if not isinstance(value, list) or len(value) != count:
        message = f"not {count} counts: {value!r}"
        raise ValueError(message)
    return [_integer(item) for item in value]


def _rows(value: object) -> list[object]:
    if not isinstance(value, list):
        message = f"not a list: {value!r}"
        raise TypeError(message)
    return value


def _per_cpu(value: object) -> dict[int, tuple[int, int]] | None:
    if not isinstance(value, dict):
        return None
    rows = {int(key): _integers(row, 2) for key, row in value.items()}
    return {number: (user, system) for number, (user, system) in rows.items()}
