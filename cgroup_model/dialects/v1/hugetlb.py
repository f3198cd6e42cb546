"""hugetlb.SIZE.* of cgroup v1; bytes. Documentation/admin-guide/cgroup-v1/hugetlb.rst.

``hugetlb.2MB.usage_in_bytes`` ``0``, ``hugetlb.2MB.limit_in_bytes`` ``9223372036852678656``,
``hugetlb.2MB.failcnt`` ``0``.
"""

from __future__ import annotations

from cgroup_model.dialects.counters import counter_limit
from cgroup_model.dialects.hugepages import page_sizes
from cgroup_model.dialects.optional import directory_of, optional
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import integer
from cgroup_model.snapshot import Hugetlb
from cgroup_model.source import Source


def read_hugetlb(source: Source, dirs: Dirs) -> tuple[Hugetlb, ...]:
    """Read a record per huge page size, ascending."""
    directory = directory_of(dirs, "hugetlb")
    return tuple(_one_size(source, directory, *size) for size in page_sizes(source, directory, "usage_in_bytes"))


def _one_size(source: Source, directory: str, page_size: int, written: str) -> Hugetlb:
    prefix = f"hugetlb.{written}"
    return Hugetlb(
        page_size=page_size,
        current=integer(source.read(directory, f"{prefix}.usage_in_bytes")),
        max=optional(source, directory, f"{prefix}.limit_in_bytes", counter_limit),
        rsvd_current=optional(source, directory, f"{prefix}.rsvd.usage_in_bytes", integer),
        rsvd_max=optional(source, directory, f"{prefix}.rsvd.limit_in_bytes", counter_limit),
        events_max=optional(source, directory, f"{prefix}.failcnt", integer),
    )
