"""Two looks at one cgroup to what happened between them, per second.

A rate exists only between two looks at the *same* cgroup (path and inode). A counter that is unknown on either side, or
that fell, gives None: neither zero nor a guess. CPU time comes out as cores (1.0 is one CPU busy all the time).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cgroup_model.record import dataclass
from cgroup_model.snapshot import Cpu, IoDevice, Snapshot, Throttling

_USEC: Final = 1e6

_NO_CPU: Final = Cpu()
_NO_THROTTLING: Final = Throttling()


@dataclass(frozen=True, slots=True)
class Interface:
    """Counters of one network interface, as the container sees it (``/proc/PID/net/dev``)."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_drops: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_drops: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at one cgroup: its identity, what was read, and the counters of its network namespace."""

    inode: int
    snapshot: Snapshot
    interfaces: tuple[Interface, ...] | None = None  # None: the host's namespace, nobody inside, or not ours to read


@dataclass(frozen=True, slots=True)
class DeviceRates:
    """What one block device did for the cgroup; per second."""

    major: int
    minor: int
    read_bytes: float | None
    write_bytes: float | None
    read_ios: float | None
    write_ios: float | None


@dataclass(frozen=True, slots=True)
class InterfaceRates:
    """What one network interface carried; per second."""

    name: str
    rx_bytes: float | None
    tx_bytes: float | None
    rx_packets: float | None
    tx_packets: float | None
    errors: float | None  # errors and drops, both directions


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two looks; per second unless said."""

    interval_seconds: float
    cpu_cores: float | None = None
    user_cores: float | None = None
    system_cores: float | None = None
    throttled_ratio: float | None = None  # enforcement periods that were cut short, of all; 0..1
    throttled_cores: float | None = None  # seconds of waiting for the quota per second, over all CPUs
    read_bytes: float | None = None
    write_bytes: float | None = None
    read_ios: float | None = None
    write_ios: float | None = None
    rx_bytes: float | None = None
    tx_bytes: float | None = None
    oom_kills: int | None = None  # in the interval, not per second
    devices: tuple[DeviceRates, ...] = ()
    interfaces: tuple[InterfaceRates, ...] = ()


def rates(before: Moment | None, after: Moment) -> Rates | None:
    """What happened between two looks; None when they are not two looks at the same cgroup."""
    if before is None or before.inode != after.inode or before.snapshot.path != after.snapshot.path:
        return None
    seconds = after.snapshot.taken_at - before.snapshot.taken_at
    if seconds <= 0:
        return None
    old, new = before.snapshot, after.snapshot
    old_cpu, new_cpu = old.cpu or _NO_CPU, new.cpu or _NO_CPU
    devices = _devices(old, new, seconds)
    interfaces = _interfaces(before.interfaces, after.interfaces, seconds)
    return Rates(
        interval_seconds=seconds,
        cpu_cores=per_second(old_cpu.usage_usec, new_cpu.usage_usec, seconds * _USEC),
        user_cores=per_second(old_cpu.user_usec, new_cpu.user_usec, seconds * _USEC),
        system_cores=per_second(old_cpu.system_usec, new_cpu.system_usec, seconds * _USEC),
        throttled_ratio=_throttled_ratio(old_cpu.throttling, new_cpu.throttling),
        throttled_cores=per_second(
            (old_cpu.throttling or _NO_THROTTLING).throttled_usec,
            (new_cpu.throttling or _NO_THROTTLING).throttled_usec,
            seconds * _USEC,
        ),
        read_bytes=_total(devices, lambda device: device.read_bytes),
        write_bytes=_total(devices, lambda device: device.write_bytes),
        read_ios=_total(devices, lambda device: device.read_ios),
        write_ios=_total(devices, lambda device: device.write_ios),
        rx_bytes=_carried(interfaces, lambda interface: interface.rx_bytes),
        tx_bytes=_carried(interfaces, lambda interface: interface.tx_bytes),
        oom_kills=increase(oom_kills(old), oom_kills(new)),
        devices=devices or (),
        interfaces=interfaces or (),
    )


def increase(before: int | None, after: int | None) -> int | None:
    """By how much a counter rose; None when it fell or is unknown."""
    if before is None or after is None or after < before:
        return None
    return after - before


def per_second(before: int | None, after: int | None, seconds: float) -> float | None:
    """Rate of a counter; None when it fell or is unknown."""
    risen = increase(before, after)
    return None if risen is None else risen / seconds


def oom_kills(snapshot: Snapshot) -> int | None:
    """Processes of the cgroup (on v2: of its subtree) that the OOM killer killed, ever."""
    memory = snapshot.memory
    return memory.events.oom_kill if memory is not None and memory.events is not None else None


def _throttled_ratio(before: Throttling | None, after: Throttling | None) -> float | None:
    """Periods that were cut short, of those that passed; 0 when none passed, since nothing ran."""
    old, new = before or _NO_THROTTLING, after or _NO_THROTTLING
    periods = increase(old.nr_periods, new.nr_periods)
    throttled = increase(old.nr_throttled, new.nr_throttled)
    if periods is None or throttled is None:
        return None
    return min(1.0, throttled / periods) if periods else 0.0


_COUNTERS: Final = ("rbytes", "wbytes", "rios", "wios")


def _devices(old: Snapshot, new: Snapshot, seconds: float) -> tuple[DeviceRates, ...] | None:
    """A row for each device; one that is new had done nothing before (the kernel lists what was used)."""
    if old.io is None or new.io is None:
        return None
    known: Mapping[tuple[int, int], IoDevice] = {(one.major, one.minor): one for one in old.io.devices}
    found = []
    for device in new.io.devices:
        before = known.get((device.major, device.minor))
        values: list[float | None] = []
        for name in _COUNTERS:
            start = 0 if before is None else getattr(before, name)
            values.append(per_second(start, getattr(device, name), seconds))
        found.append(DeviceRates(device.major, device.minor, *values))
    return tuple(found)


def _interfaces(
    before: Iterable[Interface] | None, after: Iterable[Interface] | None, seconds: float
) -> tuple[InterfaceRates, ...] | None:
    if before is None or after is None:
        return None
    known = {one.name: one for one in before}
    found = []
    for new in after:
        old = known.get(new.name)
        if old is not None:
            found.append(_interface(old, new, seconds))
    return tuple(found)


def _interface(old: Interface, new: Interface, seconds: float) -> InterfaceRates:
    bad_before = old.rx_errors + old.rx_drops + old.tx_errors + old.tx_drops
    bad_after = new.rx_errors + new.rx_drops + new.tx_errors + new.tx_drops
    return InterfaceRates(
        name=new.name,
        rx_bytes=per_second(old.rx_bytes, new.rx_bytes, seconds),
        tx_bytes=per_second(old.tx_bytes, new.tx_bytes, seconds),
        rx_packets=per_second(old.rx_packets, new.rx_packets, seconds),
        tx_packets=per_second(old.tx_packets, new.tx_packets, seconds),
        errors=per_second(bad_before, bad_after, seconds),
    )


def _total(devices: tuple[DeviceRates, ...] | None, value: Callable[[DeviceRates], float | None]) -> float | None:
    """Sum over all devices: 0 without any, None when one of them is unknown."""
    if devices is None:
        return None
    values = [value(device) for device in devices]
    return None if None in values else float(sum(known for known in values if known is not None))


def _carried(
    interfaces: tuple[InterfaceRates, ...] | None, value: Callable[[InterfaceRates], float | None]
) -> float | None:
    """Sum over all interfaces but loopback, which goes nowhere; None when one of them is unknown."""
    if interfaces is None:
        return None
    values = [value(one) for one in interfaces if one.name != "lo"]
    return None if None in values else float(sum(known for known in values if known is not None))
