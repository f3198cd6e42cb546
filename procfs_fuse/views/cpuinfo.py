"""/proc/cpuinfo: the CPUs that the container is shown, numbered from 0.

Kernel: arch/*/kernel/cpu/proc.c and the like: a stanza per CPU and a blank line after each; some architectures have
lines for the whole machine before the first or after the last stanza, s390x a list of CPUs among them. User Mode Linux
leaves the blank lines out; they are always there in ours, as procps 4 takes a file without them for damaged.

    processor	: 0
    model name	: AMD EPYC
    siblings	: 2

What a CPU is stays the machine's. Where it is follows one rule: the n shown CPUs are the n cores of one socket, each
with one thread and an interrupt controller of its own number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cgroup_model.snapshot import Need, Snapshot

PATH = "proc/cpuinfo"
NEEDS = Need.CPUS | Need.HOST_CPUINFO

_STANZA = re.compile(rb"^(?:processor|cpu number)[ \t]*:[ \t]*(\d{1,9})[ \t]*$", re.MULTILINE)
_LISTED = re.compile(rb"processor (\d{1,9}):")  # s390x
_NUMBER = (b"processor", b"cpu number", b"core id", b"apicid", b"initial apicid")
_COUNT = (b"siblings", b"cpu cores", b"# processors")
_FIRST = (b"physical id", b"package")


@dataclass(slots=True)
class _Parts:
    """The machine's file taken apart."""

    head: bytes
    stanzas: dict[int, bytes] = field(default_factory=dict)
    tail: bytes = b""


def render(snapshot: Snapshot) -> bytes:
    """Return a stanza for each shown CPU; the machine's file if it is unknown which those are."""
    host = snapshot.host.cpuinfo or b""
    return host if snapshot.cpus is None else _shown(host, snapshot.cpus.physical)


@lru_cache(maxsize=16)  # the machine's file is read once a second at most, and most containers see the same CPUs
def _shown(host: bytes, shown: tuple[int, ...]) -> bytes:
    parts = _take_apart(host)
    if not parts.stanzas:
        return _relisted(host, shown)
    # A CPU that went offline between two reads has no stanza: its neighbour's keeps the count right.
    neighbour = next(iter(parts.stanzas.values()))
    stanzas = [
        _renumbered(parts.stanzas.get(physical, neighbour), number, len(shown)) for number, physical in enumerate(shown)
    ]
    blocks = [_relisted(parts.head, shown), *stanzas] if parts.head else stanzas
    return b"".join(block + b"\n\n" for block in blocks) + parts.tail


def _take_apart(host: bytes) -> _Parts:
    """A stanza ends at a blank line or, where this kernel prints none (User Mode Linux), at the next one."""
    starts = list(_STANZA.finditer(host))
    ends = [match.start() for match in starts[1:]] + [len(host)]
    # Lines for the whole machine are glued to the first stanza on mips and loongarch.
    parts = _Parts(host[: starts[0].start()].rstrip(b"\n") if starts else b"")
    for match, end in zip(starts, ends, strict=False):
        stanza, _, rest = host[match.start() : end].partition(b"\n\n")
        parts.stanzas[int(match[1])] = stanza.rstrip(b"\n")
        parts.tail += rest
    return parts


def _renumbered(stanza: bytes, number: int, count: int) -> bytes:
    values = dict.fromkeys(_NUMBER, number) | dict.fromkeys(_COUNT, count) | dict.fromkeys(_FIRST, 0)
    lines = stanza.split(b"\n")
    for index, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        if colon and (value := values.get(name.rstrip())) is not None:
            lines[index] = b"%s: %d" % (name, value)
    return b"\n".join(lines)


def _relisted(block: bytes, shown: Sequence[int]) -> bytes:
    """Renumber the list of CPUs in the lines for the whole machine, where there is one."""
    numbers = {physical: number for number, physical in enumerate(shown)}
    lines = []
    for line in block.split(b"\n"):
        match = _LISTED.match(line)
        if match is None:
            lines.append(_renumbered(line, 0, len(shown)) if line.startswith(b"#") else line)
        elif (number := numbers.get(int(match[1]))) is not None:
            lines.append(b"processor %d:%s" % (number, line[match.end() :]))
    return b"\n".join(lines)
