"""Traffic by interface, and sockets, of each network namespace. Containers in the machine's namespace have none."""

from __future__ import annotations

from collections.abc import Iterable

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
)
