"""Network namespaces: traffic, sockets, tracked connections; each told by one container.

Kernel: net/core/net-procfs.c, net/ipv4/proc.c, net/netfilter/nf_conntrack_standalone.c. Sample of ``sockstat``:
``TCP: inuse 4 orphan 0 tw 0 alloc 5 mem 0``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cgroup_model.engines import Identity, Kind
from cgroup_model.hierarchy import Cgroup
from cgroup_model.network import parse_net_dev
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.rates import Interface
from exporters.readers.members import Members

_SOCKSTAT: Final = re.compile(rb"^(\w+):(.*)$", re.MULTILINE)
_PAIR: Final = re.compile(rb"([a-z]+) (\d{1,18})")
_STATE: Final = re.compile(rb"^ *\d+: [0-9A-F:]+ [0-9A-F:]+ ([0-9A-F]{2}) ", re.MULTILINE)
_LONGEST_TABLE: Final = 16 << 20  # bytes; 100,000 sockets
PROTOCOLS: Final = ("tcp", "tcp6", "udp", "udp6")
STATES: Final = {
    1: "established",
    2: "synsent",
    3: "synrecv",
    4: "finwait1",
    5: "finwait2",
    6: "timewait",
    7: "close",
    8: "closewait",
    9: "lastack",
    10: "listen",
    11: "closing",
}
"""Kernel's number -> cAdvisor's name."""
_CONNTRACK: Final = re.compile(rb"entries [^\n]*\n([0-9a-f]{1,16}) ")


@dataclass(frozen=True, slots=True)
class Sockets:
    """Sockets of a network namespace; None where the kernel does not say."""

    used: int | None = None
    tcp_in_use: int | None = None
    tcp_orphan: int | None = None
    tcp_time_wait: int | None = None
    udp_in_use: int | None = None
    conntrack_entries: int | None = None


class NetworkReader:
    """Each namespace is told once per scrape, by the oldest container in it; the machine's own by the root cgroup.

    So sums over containers count nothing twice: containers of a pod share a namespace, and the pod is older than them.
    """

    def __init__(self, members: Members, proc: Proc) -> None:
        self._members = members
        self._proc = proc
        self._own = proc.namespace(1, "net") or proc.namespace("self", "net")
        self._told: dict[str, Cgroup] = {}
        self._speakers: dict[Cgroup, tuple[int, str]] = {}  # the process found last, and its namespace

    def begin(self) -> None:
        """Begin a scrape: every namespace may be told again."""
        self._told = {}

    def keep_only(self, alive: set[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        for cgroup in [one for one in self._speakers if (one.path, one.inode) not in alive]:
            del self._speakers[cgroup]

    def interfaces(self, cgroup: Cgroup, identity: Identity) -> list[Interface]:
        """Read the interfaces of a container's namespace; none when another container tells them.

        The loopback is left out, as cAdvisor does. Raises `ParseError`.
        """
        pid = self._speaker(cgroup, identity)
        found = () if pid is None else parse_net_dev(self._read(f"{pid}/net/dev"))
        return [one for one in found if one.name != "lo"]

    def sockets(self, cgroup: Cgroup, identity: Identity) -> Sockets | None:
        """Read the sockets of a container's namespace; None when another container tells them."""
        pid = self._speaker(cgroup, identity)
        if pid is None:
            return None
        tracked = self._read(f"{pid}/net/stat/nf_conntrack")
        return parse_sockets(self._read(f"{pid}/net/sockstat"), tracked)

    def connections(self, cgroup: Cgroup, identity: Identity) -> Mapping[str, Mapping[str, int]]:
        """Count sockets of a container's namespace: protocol (tcp, tcp6, udp, udp6) -> state -> sockets.

        Empty when another container tells them; a protocol that the kernel does not have is left out.
        """
        pid = self._speaker(cgroup, identity)
        if pid is None:
            return {}
        tables = {protocol: self._table(f"{pid}/net/{protocol}") for protocol in PROTOCOLS}
        return {protocol: count_states(table) for protocol, table in tables.items() if table}

    def _speaker(self, cgroup: Cgroup, identity: Identity) -> int | str | None:
        """Find a process in the namespace that this cgroup is to tell about."""
        if cgroup.path == "/":
            return 1 if self._proc.namespace(1, "net") else "self"
        if identity.kind not in (Kind.CONTAINER, Kind.POD):
            return None
        found = self._process_in(cgroup)
        if found is None or found[1] == self._own:
            return None
        return found[0] if self._told.setdefault(found[1], cgroup) == cgroup else None

    def _process_in(self, cgroup: Cgroup) -> tuple[int, str] | None:
        """Find a process of the cgroup and its namespace.

        The one found last is as good as ever while its number stands for the same namespace, whoever has that number.
        """
        known = self._speakers.get(cgroup)
        if known is not None and self._proc.namespace(known[0], "net") == known[1]:
            return known
        pid = self._members.any_of(cgroup)
        namespace = self._proc.namespace(pid, "net") if pid is not None else None
        if pid is None or namespace is None:
            self._speakers.pop(cgroup, None)
            return None
        self._speakers[cgroup] = pid, namespace
        return pid, namespace

    def _table(self, name: str) -> bytes:
        """Read a file of many records, of which the kernel gives a page at a time."""
        try:
            with open(f"{self._proc.root}/{name}", "rb") as file:
                return file.read(_LONGEST_TABLE)
        except OSError:  # as below
            return b""

    def _read(self, name: str) -> bytes:
        try:
            return self._proc.read(name)
        except (NoSuchTask, OSError):  # ended meanwhile; not permitted; no connection tracker in this kernel
            return b""


def count_states(table: bytes) -> dict[str, int]:
    """Count the sockets of ``/proc/net/tcp`` or ``udp`` by state; the first line is the heading.

    ``   0: 0100007F:8B1D 00000000:0000 0A 00000000:00000000 …``: the state is the fourth (include/net/tcp_states.h).
    """
    counted = Counter(int(state, 16) for state in _STATE.findall(table))
    return {name: counted[number] for number, name in STATES.items()}


def parse_sockets(sockstat: bytes, conntrack: bytes) -> Sockets | None:
    """Parse ``sockstat`` and the first number of ``net/stat/nf_conntrack`` (hexadecimal, entries in all)."""
    words: dict[bytes, int] = {}
    for protocol, rest in _SOCKSTAT.findall(sockstat):
        words |= {protocol + b" " + key: int(number) for key, number in _PAIR.findall(rest)}
    found = _CONNTRACK.match(conntrack)
    entries = int(found[1], 16) if found is not None else None
    if not words and entries is None:
        return None
    return Sockets(
        used=words.get(b"sockets used"),
        tcp_in_use=words.get(b"TCP inuse"),
        tcp_orphan=words.get(b"TCP orphan"),
        tcp_time_wait=words.get(b"TCP tw"),
        udp_in_use=words.get(b"UDP inuse"),
        conntrack_entries=entries,
    )
