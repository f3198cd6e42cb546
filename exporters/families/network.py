"""Traffic by interface, and sockets, of each network namespace. Containers in the machine's namespace have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cgroup_model.rates import Interface
from cgroup_model.snapshot import Need
from exporters.metric import Column, Family, Group, LabelValues, counter, gauge
from exporters.readers.network import Sockets
from exporters.subject import Subject

_LABELS = ("interface",)


def _interfaces(subject: Subject) -> Iterable[tuple[LabelValues, Interface]]:
    network = subject.world.network
    if network is None or subject.is_empty:
        return ()
    return [((one.name,), one) for one in network.interfaces(subject.cgroup, subject.identity)]


def _sockets(subject: Subject) -> Sockets | None:
    network = subject.world.network
    if network is None or subject.is_empty:
        return None
    return network.sockets(subject.cgroup, subject.identity)


@dataclass(frozen=True, slots=True)
class _InState:
    """How many sockets are in one state."""

    sockets: int


def _tcp(protocol: str) -> Callable[[Subject], Iterable[tuple[LabelValues, _InState]]]:
    """Make a selection of a protocol's sockets by state."""

    def select(subject: Subject) -> Iterable[tuple[LabelValues, _InState]]:
        states = _connections(subject).get(protocol, {})
        return [((state,), _InState(sockets)) for state, sockets in states.items()]

    return select


def _udp(protocol: str) -> Callable[[Subject], _InState | None]:
    """Make a selection of all sockets of a protocol without connections."""

    def select(subject: Subject) -> _InState | None:
        states = _connections(subject).get(protocol)
        return None if states is None else _InState(sum(states.values()))

    return select


def _connections(subject: Subject) -> Mapping[str, Mapping[str, int]]:
    network = subject.world.network
    if network is None or subject.is_empty:
        return {}
    return network.connections(subject.cgroup, subject.identity)


def _both(name: str, text: str, field: str) -> tuple[Column, ...]:
    return tuple(
        counter(f"container_network_{way}_{name}_total", f"{text} {done}.", f"{short}_{field}", labels=_LABELS)
        for way, short, done in (("receive", "rx", "received"), ("transmit", "tx", "sent"))
    )


FAMILIES = (
    Family(
        "network",
        "Traffic by interface",
        (
            Group(
                Interface,
                _interfaces,
                (
                    *_both("bytes", "Bytes", "bytes"),
                    *_both("packets", "Packets", "packets"),
                    *_both("packets_dropped", "Packets dropped that should have been", "drops"),
                    *_both("errors", "Errors with what was", "errors"),
                ),
                labels=_LABELS,
                origin="/proc/PID/net/dev",
            ),
        ),
        needs=Need.PIDS,
    ),
    Family(
        "sockets",
        "Sockets and tracked connections of each network namespace",
        (
            Group(
                Sockets,
                _sockets,
                (
                    gauge("container_network_sockets", "Sockets in use, of all protocols.", "used"),
                    gauge("container_network_tcp_sockets", "TCP sockets in use.", "tcp_in_use"),
                    gauge("container_network_tcp_orphan_sockets", "TCP sockets that no process has.", "tcp_orphan"),
                    gauge(
                        "container_network_tcp_time_wait_sockets", "Closed TCP connections still kept.", "tcp_time_wait"
                    ),
                    gauge("container_network_udp_sockets", "UDP sockets in use.", "udp_in_use"),
                    gauge("container_network_conntrack_entries", "Tracked connections.", "conntrack_entries"),
                ),
                origin="/proc/PID/net/sockstat, /proc/PID/net/stat/nf_conntrack",
            ),
        ),
        needs=Need.PIDS,
        default=False,
        why_off="two more files per network namespace",
    ),
    Family(
        "connections",
        "TCP and UDP sockets by state, under cAdvisor's names",
        (
            *(
                Group(
                    _InState,
                    _tcp(protocol),
                    (
                        gauge(
                            f"container_network_{protocol}_usage_total",
                            f"Sockets of {protocol} by state; a gauge, whatever its name says (as cAdvisor has it).",
                            "sockets",
                            labels=("tcp_state",),
                        ),
                    ),
                    labels=("tcp_state",),
                    origin=f"/proc/PID/net/{protocol}",
                )
                for protocol in ("tcp", "tcp6")
            ),
            *(
                Group(
                    _InState,
                    _udp(protocol),
                    (
                        gauge(
                            f"container_network_{protocol}_usage_total",
                            f"Sockets of {protocol}; a gauge, whatever its name says.",
                            "sockets",
                            udp_state="listen",
                        ),
                    ),
                    origin=f"/proc/PID/net/{protocol}",
                )
                for protocol in ("udp", "udp6")
            ),
        ),
        needs=Need.PIDS,
        default=False,
        why_off="the kernel walks all sockets of each namespace",
    ),
)
