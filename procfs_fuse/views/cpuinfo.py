"""/proc/cpuinfo: the CPUs that the container is shown, numbered from 0.

Kernel: arch/*/kernel/cpu/proc.c and the like: a stanza per CPU and a blank line after each; some architectures have
lines for the whole machine before the first or after the last stanza, s390x a list of CPUs among them.

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

    head: list[bytes] = field(default_factory=list)
    stanzas: dict[int, bytes] = field(default_factory=dict)
    tail: list[bytes] = field(default_factory=list)


def render(snapshot: Snapshot) -> bytes:
    """Return a stanza for each shown CPU; the machine's file if it is unknown which those are."""
    host = snapshot.host.cpuinfo or b""
    if snapshot.cpus is None:
        return host
    parts = _take_apart(host)
    shown = snapshot.cpus.physical
    stanzas = []
    if parts.stanzas:
        # A CPU that went offline between two reads has no stanza: its neighbour's keeps the count right.
        neighbour = next(iter(parts.stanzas.values()))
        stanzas = [
            _renumbered(parts.stanzas.get(physical, neighbour), number, len(shown))
            for number, physical in enumerate(shown)
        ]
    head = [_relisted(block, shown) for block in parts.head]
    return b"\n\n".join([*head, *stanzas, *parts.tail])


def _take_apart(host: bytes) -> _Parts:
    parts = _Parts()
    for block in host.split(b"\n\n"):
        match = _STANZA.search(block)
        if match is None:
            (parts.tail if parts.stanzas else parts.head).append(block)
            continue
        if match.start() and not parts.stanzas:
            # Lines for the whole machine, glued to the first stanza (mips, loongarch).
            parts.head.append(block[: match.start()].rstrip(b"\n"))
        parts.stanzas[int(match[1])] = block[match.start() :]
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
