"""Network namespaces: traffic, sockets, tracked connections; each told by one container.

Kernel: net/core/net-procfs.c, net/ipv4/proc.c, net/netfilter/nf_conntrack_standalone.c. Sample of ``sockstat``:
``TCP: inuse 4 orphan 0 tw 0 alloc 5 mem 0``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cgroup_model.engines import Identity, Kind
from cgroup_model.hierarchy import Cgroup
from cgroup_model.network import parse_net_dev
from cgroup_model.procfs import NoSuchTask, Proc
from cgroup_model.rates import Interface
from exporters.readers.members import Members


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

    def begin(self) -> None:
        """Begin a scrape: every namespace may be told again."""
        self._told = {}

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

    def _speaker(self, cgroup: Cgroup, identity: Identity) -> int | str | None:
        """Find a process in the namespace that this cgroup is to tell about."""
        if cgroup.path == "/":
            return 1 if self._proc.namespace(1, "net") else "self"
        if identity.kind not in (Kind.CONTAINER, Kind.POD):
            return None
        pid = self._members.any_of(cgroup)
        namespace = self._proc.namespace(pid, "net") if pid is not None else None
        if namespace is None or namespace == self._own:
            return None
        return pid if self._told.setdefault(namespace, cgroup) == cgroup else None

    def _read(self, name: str) -> bytes:
        try:
            return self._proc.read(name)
        except (NoSuchTask, OSError):  # ended meanwhile; not permitted; no connection tracker in this kernel
            return b""


def parse_sockets(sockstat: bytes, conntrack: bytes) -> Sockets | None:
    """Parse ``sockstat`` and the first number of ``net/stat/nf_conntrack`` (hexadecimal, entries in all)."""
    words: dict[str, int] = {}
    for line in sockstat.decode("ascii", "replace").splitlines():
        protocol, _, rest = line.partition(":")
        tokens = rest.split()
        words |= {f"{protocol} {key}": int(number) for key, number in zip(tokens[::2], tokens[1::2], strict=False)}
    rows = conntrack.splitlines()
    entries = int(rows[1].split()[0], 16) if len(rows) > 1 and rows[1].split() else None
    if not words and entries is None:
        return None
    return Sockets(
        used=words.get("sockets used"),
        tcp_in_use=words.get("TCP inuse"),
        tcp_orphan=words.get("TCP orphan"),
        tcp_time_wait=words.get("TCP tw"),
        udp_in_use=words.get("UDP inuse"),
        conntrack_entries=entries,
    )
