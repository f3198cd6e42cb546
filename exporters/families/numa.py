"""Memory by node, under cAdvisor's name."""

from __future__ import annotations

from collections.abc import Iterable

from cgroup_model.snapshot import NumaPages
from exporters.metric import Family, Group, LabelValues, gauge
from exporters.subject import Subject

_LABELS = ("type", "scope", "node")


def _pages(subject: Subject) -> Iterable[tuple[LabelValues, NumaPages]]:
    reader = subject.world.numa
    found = reader.read(subject.cgroup) if reader is not None else ()
    return [((one.type, one.scope, str(one.node)), one) for one in found]


FAMILIES = (
    Family(
        "numa",
        "Memory by node",
        (
            Group(
                NumaPages,
                _pages,
                (
                    gauge(
                        "container_memory_numa_pages",
                        "Pages on a memory node; scope is the cgroup itself (v1 only), or with all below it.",
                        "pages",
                        labels=_LABELS,
                    ),
                ),
                labels=_LABELS,
            ),
        ),
        default=False,
        why_off="4 series per container and node (8 on v1), for machines with several",
    ),
)
