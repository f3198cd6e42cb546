"""Lists and masks of CPUs as sysfs writes them, in the container's numbers.

Kernel: lib/vsprintf.c, bitmap_string() and bitmap_list_string(): ``0-3`` and, in groups of 32 bits, ``1,0000000f``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cgroup_model.parse import ParseError, format_id_list, id_list
from cgroup_model.snapshot import Snapshot

_GROUP_BITS = 32


def shown(snapshot: Snapshot) -> tuple[int, ...]:
    """Return the machine's numbers of the CPUs that the container is shown, all that are online if that is unknown."""
    return snapshot.host.online_cpus if snapshot.cpus is None else snapshot.cpus.physical


def as_list(cpus: Iterable[int]) -> bytes:
    """Write ``0-3,8`` and a newline."""
    return format_id_list(cpus).encode() + b"\n"


def as_mask(cpus: Iterable[int], count: int) -> bytes:
    """Write a hexadecimal mask of ``count`` bits and a newline."""
    bits = sum(1 << cpu for cpu in set(cpus))
    groups = []
    for low in range(0, count, _GROUP_BITS):
        digits = (min(_GROUP_BITS, count - low) + 3) // 4
        groups.append(b"%0*x" % (digits, bits >> low & ((1 << _GROUP_BITS) - 1)))
    return b",".join(reversed(groups)) + b"\n"


def renumbered(machines_list: bytes, physical: Sequence[int]) -> tuple[int, ...]:
    """Translate a list of the machine's CPUs; those that are not shown are left out."""
    try:
        listed = frozenset(id_list(machines_list))
    except ParseError:
        return ()
    return tuple(number for number, cpu in enumerate(physical) if cpu in listed)
