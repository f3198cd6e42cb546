"""hugetlb.SIZE.* of cgroup v2; bytes. Documentation/admin-guide/cgroup-v2.rst, "HugeTLB".

``hugetlb.2MB.current`` ``0``, ``hugetlb.2MB.max`` ``max``, ``hugetlb.2MB.events`` ``max 0``. The root cgroup
has none. A limit that was never set reads as the counter's maximum (seen on Linux 6.18), a lifted one as ``max``.
"""

from __future__ import annotations

from cgroup_model.dialects.counters import counter_limit
from cgroup_model.dialects.hugepages import page_sizes
from cgroup_model.dialects.optional import directory_of, optional, optional_number
from cgroup_model.dialects.records import Dirs
from cgroup_model.parse import integer
from cgroup_model.snapshot import Hugetlb
from cgroup_model.source import Source


def read_hugetlb(source: Source, dirs: Dirs) -> tuple[Hugetlb, ...]:
    """Read a record per huge page size, ascending."""
    directory = directory_of(dirs, "hugetlb")
    return tuple(_one_size(source, directory, *size) for size in page_sizes(source, directory, "current"))


def _one_size(source: Source, directory: str, page_size: int, written: str) -> Hugetlb:
    prefix = f"hugetlb.{written}"
    return Hugetlb(
        page_size=page_size,
        current=integer(source.read(directory, f"{prefix}.current")),
        max=optional(source, directory, f"{prefix}.max", counter_limit),
        rsvd_current=optional(source, directory, f"{prefix}.rsvd.current", integer),
        rsvd_max=optional(source, directory, f"{prefix}.rsvd.max", counter_limit),
        events_max=optional_number(source, directory, f"{prefix}.events", b"max"),
    )
