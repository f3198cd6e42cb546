"""Bytes of kernel files to values; pure, strict, no names of files.

Formats: Documentation/admin-guide/cgroup-v2.rst ("Format"), Documentation/accounting/psi.rst and
proc(5) for ``/proc/PID/cgroup``. Sample of each is in the docstring of its function.

Unknown keys are the caller's to skip; a malformed value raises `ParseError` that quotes the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from cgroup_model.snapshot import UNLIMITED, PressureLine, PressureResource, UnlimitedType

MAX_DIGITS = 20  # of 2**64 - 1: the kernel prints nothing longer, and int() is quadratic
MAX_ID = 1 << 16  # of CPUs and memory nodes, far above any kernel's; bounds what a hostile range can allocate
QUOTED = 80  # bytes of a malformed line that an error shows


class ParseError(ValueError):
    """A kernel file holds something else than its format says; the message quotes the line."""

    def __init__(self, expected: str, line: bytes) -> None:
        shown = line[:QUOTED] + (b"..." if len(line) > QUOTED else b"")
        super().__init__(f"expected {expected}, found {shown!r}")


def integer(data: bytes) -> int:
    """Parse a number that is not negative, alone in its file or as one token: ``12``."""
    text = data.strip()
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise ParseError("a number", data)
    return int(text)


def signed(data: bytes) -> int:
    """Parse a number that may be negative: ``-1``."""
    text = data.strip()
    return -integer(text[1:]) if text[:1] == b"-" else integer(text)


def limit(data: bytes) -> int | UnlimitedType:
    """Parse a number or ``max``."""
    return UNLIMITED if data.strip() == b"max" else integer(data)


def boolean(data: bytes) -> bool:
    """Parse ``0`` or ``1``."""
    value = integer(data)
    if value > 1:
        raise ParseError("0 or 1", data)
    return value == 1


def percent(data: bytes) -> float:
    """Parse a decimal fraction such as ``12.34``."""
    whole, point, fraction = data.strip().partition(b".")
    digits = whole + fraction
    if not digits.isdigit() or not whole or len(digits) > MAX_DIGITS or (point and not fraction):
        raise ParseError("a percentage", data)
    return float(whole + point + fraction)


def line(data: bytes) -> str:
    """Parse the one line of a file such as ``domain threaded``."""
    text = data.strip()
    if not text.isascii() or len(text.splitlines()) > 1:
        raise ParseError("one line of ASCII", data)
    return text.decode()


def words(data: bytes) -> list[str]:
    """Split words between blanks: ``cpuset cpu io``."""
    if not data.isascii():
        raise ParseError("ASCII words", data)
    return data.decode().split()


def flat_keyed(data: bytes) -> dict[bytes, bytes]:
    """Parse lines of ``KEY VALUE``; values stay bytes, so that only the known ones are looked at.

    This is the hot path of memory.stat: dict() itself insists on pairs, and only what it refuses is looked at again.
    """
    try:
        return dict(map(bytes.split, data.splitlines()))
    except ValueError:
        return _flat_keyed_by_line(data)


def _flat_keyed_by_line(data: bytes) -> dict[bytes, bytes]:
    """Do the same, one line at a time: for files with empty lines and to say which one is malformed."""
    pairs = {}
    for line in data.splitlines():
        tokens = line.split()
        if len(tokens) == 2:
            pairs[tokens[0]] = tokens[1]
        elif tokens:
            raise ParseError("'key value'", line)
    return pairs


def numbers(pairs: Mapping[bytes, bytes], fields: Mapping[bytes, str]) -> dict[str, int]:
    """Convert the known keys of `flat_keyed`: ``fields`` maps a key of the file to the name in the result."""
    found = {}
    for key, field in fields.items():
        value = pairs.get(key)
        if value is not None:
            if not value.isdigit() or len(value) > MAX_DIGITS:
                raise ParseError("a number", key + b" " + value)
            found[field] = int(value)
    return found


class FlatNumbers:
    """`flat_keyed` and `numbers` in one, faster: a file that had the same keys before is taken apart by position.

    ``fields`` as in `numbers`. What is remembered of the last file is only a cache.
    """

    def __init__(self, fields: Mapping[bytes, str]) -> None:
        self._fields = fields
        self._last: _Positions | None = None

    def __call__(self, data: bytes) -> dict[str, int]:
        """Return the known numbers by the names of the fields; raises `ParseError`."""
        words = data.split()
        last = self._last
        if last is not None and words[::2] == last.keys and len(words) == 2 * data.count(b"\n"):
            texts = last.pick(words)
            if b"".join(texts).isdigit() and max(map(len, texts)) <= MAX_DIGITS:
                return dict(zip(last.names, map(int, texts), strict=True))
        pairs = flat_keyed(data)
        found = numbers(pairs, self._fields)
        keys = list(pairs)
        if words[::2] == keys and len(found) > 1:  # itemgetter gives a tuple for two and more
            positions = {self._fields[key]: 2 * index + 1 for index, key in enumerate(keys) if key in self._fields}
            self._last = _Positions(keys, tuple(positions), itemgetter(*positions.values()))
        return found


class _Positions(NamedTuple):
    """Where the known numbers are among the words of a file."""

    keys: list[bytes]
    names: tuple[str, ...]
    pick: Callable[[list[bytes]], tuple[bytes, ...]]


def says_zero(meminfo: bytes, name: bytes) -> bool:
    """Tell whether ``/proc/meminfo`` has this line and it says 0: ``SwapTotal:             0 kB``.

    Spelled as show_val_kb() in fs/proc/meminfo.c does it; anything else is not known to be 0.
    """
    return b"\n%-15s%9d kB\n" % (name + b":", 0) in meminfo


def number_of(pairs: Mapping[bytes, bytes], key: bytes) -> int | None:
    """Convert one key of `flat_keyed` as a number; None when the kernel does not report it."""
    value = pairs.get(key)
    return None if value is None else integer(value)


def device(token: bytes) -> tuple[int, int] | None:
    """Parse ``8:16`` to (major, minor); None when the token is something else."""
    major, colon, minor = token.partition(b":")
    if not colon or not major.isdigit() or not minor.isdigit() or len(token) > MAX_DIGITS:
        return None
    return int(major), int(minor)


def device_keyed(data: bytes) -> dict[tuple[int, int], dict[bytes, bytes]]:
    """Parse lines of ``MAJ:MIN key=value key=value``, as io.stat and io.max have them.

    Kernels have written devices without counters and without a newline (``8:0 8:16 rbytes=1``), and have cut
    the file at a page: so a device begins at its number, not at a line, and an unfinished last line is dropped.
    """
    devices: dict[tuple[int, int], dict[bytes, bytes]] = {}
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        current: dict[bytes, bytes] | None = None
        for token in line.split():
            number = device(token)
            if number is not None:
                current = devices.setdefault(number, {})
                continue
            key, equals, value = token.partition(b"=")
            if current is None:
                raise ParseError("a device number first", line)
            if equals:
                current[key] = value
    return devices


@lru_cache(maxsize=1024)  # these rarely change, and are read for every file that shows CPUs
def id_list(data: bytes) -> tuple[int, ...]:
    """Parse CPUs or memory nodes: ``0-3,8`` in ascending order without repetition; an empty file is ``()``."""
    ids: set[int] = set()
    text = data.strip()
    for part in text.split(b",") if text else ():
        first, dash, last = part.partition(b"-")
        low = integer(first)
        high = integer(last) if dash else low
        if low > high or high >= MAX_ID:
            raise ParseError("a list of CPUs or nodes", data)
        ids.update(range(low, high + 1))
    return tuple(sorted(ids))


def format_id_list(ids: Iterable[int]) -> str:
    """Invert `id_list`: ``(0, 1, 2, 8)`` as ``0-2,8``."""
    runs: list[list[int]] = []
    for number in sorted(set(ids)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def pids(data: bytes) -> list[int]:
    """Parse one process or thread id per line."""
    return [integer(token) for token in data.split()]


_NUMBER = rb"(\d{1,9}\.\d{1,9})"
_PRESSURE_LINE = rb"%%s avg10=%b avg60=%b avg300=%b total=(\d{1,20})\n" % (_NUMBER, _NUMBER, _NUMBER)
_PRESSURE = re.compile(_PRESSURE_LINE % b"some" + b"(?:" + _PRESSURE_LINE % b"full" + b")?")


def pressure(data: bytes) -> PressureResource:
    """Parse a PSI file; unknown lines and keys are skipped.

    ``some avg10=0.00 avg60=0.00 avg300=0.00 total=0`` and from Linux 5.2 on also ``full`` (of cpu: 5.13).
    """
    found = _PRESSURE.fullmatch(data)
    if found is None:
        return _pressure_by_line(data)
    some10, some60, some300, some, full10, full60, full300, full = found.groups()
    return PressureResource(
        some=PressureLine(float(some10), float(some60), float(some300), int(some)),
        full=None if full is None else PressureLine(float(full10), float(full60), float(full300), int(full)),
        raw=data,
    )


def _pressure_by_line(data: bytes) -> PressureResource:
    """Do the same one line at a time: for kernels that write it in another way."""
    lines: dict[bytes, PressureLine] = {}
    for line in data.splitlines():
        kind, _, rest = line.partition(b" ")
        if kind in (b"some", b"full"):
            lines[kind] = _pressure_line(rest, line)
    return PressureResource(some=lines.get(b"some"), full=lines.get(b"full"), raw=data)


def _pressure_line(rest: bytes, line: bytes) -> PressureLine:
    values = dict(_key_value(token, line) for token in rest.split())
    try:
        return PressureLine(
            percent(values[b"avg10"]), percent(values[b"avg60"]), percent(values[b"avg300"]), integer(values[b"total"])
        )
    except (KeyError, ParseError):
        raise ParseError("avg10, avg60, avg300 and total", line) from None


def _key_value(token: bytes, line: bytes) -> tuple[bytes, bytes]:
    key, equals, value = token.partition(b"=")
    if not equals:
        raise ParseError("key=value", line)
    return key, value


class CgroupLine(NamedTuple):
    """One line of ``/proc/PID/cgroup``."""

    controllers: frozenset[str]  # of v1, as the kernel names them, also ``name=systemd``; empty on v2
    path: str

    @property
    def version(self) -> int:
        """1 or 2: the version of the hierarchy."""
        return 1 if self.controllers else 2


def proc_cgroup(data: bytes) -> list[CgroupLine]:
    """Parse ``/proc/PID/cgroup``: ``4:memory:/a`` for each v1 hierarchy, ``0::/a`` for v2.

    The path may hold colons and any byte but a newline, which the kernel refuses in names of cgroups.
    """
    lines = []
    for line in data.split(b"\n"):
        if not line:
            continue
        parts = line.split(b":", 2)
        if len(parts) != 3 or not parts[0].isdigit() or not parts[2].startswith(b"/"):
            raise ParseError("'number:controllers:path'", line)
        controllers = frozenset(os.fsdecode(name) for name in parts[1].split(b",") if name)
        lines.append(CgroupLine(controllers, os.fsdecode(parts[2])))
    return lines
