"""Huge pages, by page size. Kernel: mm/hugetlb_cgroup.c."""

from __future__ import annotations

from collections.abc import Iterable

from cgroup_model.snapshot import Hugetlb, Need
from exporters.metric import Family, Group, LabelValues, gauge, limit, untyped
from exporters.subject import Subject

_LABELS = ("pagesize",)
_PREFIXES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


def _sizes(subject: Subject) -> Iterable[tuple[LabelValues, Hugetlb]]:
    return [((_written(one.page_size),), one) for one in subject.snapshot.hugetlb or ()]


def _written(size: int) -> str:
    """Write a page size as the kernel and cAdvisor do: 2MB."""
    factor, prefix = next((pair for pair in _PREFIXES if size >= pair[0]), (1, "B"))
    return f"{size // factor}{prefix}"


FAMILIES = (
    Family(
        "hugetlb",
        "Huge pages",
        (
            Group(
                Hugetlb,
                _sizes,
                (
                    gauge("container_hugetlb_usage_bytes", "Huge pages in use.", "current", labels=_LABELS),
                    gauge("container_hugetlb_reserved_bytes", "Huge pages reserved.", "rsvd_current", labels=_LABELS),
                    gauge("container_spec_hugetlb_limit_bytes", "Limit; 0: none.", "max", limit, labels=_LABELS),
                    untyped(
                        "container_hugetlb_failcnt", "Requests refused by the limit.", "events_max", labels=_LABELS
                    ),
                ),
                labels=_LABELS,
            ),
        ),
        needs=Need.HUGETLB,
        default=False,
        why_off="few containers use huge pages, and every container's directory has to be listed",
        parts=("hugetlb",),
    ),
)
