"""All metrics with their documentation, as rows; ``python -m exporters.catalogue`` prints docs/metrics.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cgroup_model.dialects.origins import ORIGINS
from exporters.families import FAMILIES
from exporters.labels import Naming
from exporters.metric import Column, Family, Group, Metric

CONTAINER_LABELS: Final[dict[Naming, tuple[str, ...]]] = {
    "cadvisor": ("id", "name", "image", "container", "pod", "namespace", "engine"),
    "thin": ("id", "name"),
}
"""Labels that every series of a container has, as far as they are known."""

CADVISOR_ONLY_NAMES: Final = frozenset(
    {"container_memory_failcnt", "container_hugetlb_failcnt", "container_fs_inodes_total"}
    | {f"container_network_{protocol}_usage_total" for protocol in ("tcp", "tcp6", "udp", "udp6")}
)
"""Names that are cAdvisor's although convention has others: counters without ``_total``, a gauge with it."""

_HEAD: Final = """\
# Metrics

Made from the code by `make docs`; do not edit.

Every value is read at the moment of the scrape. A value that this kernel, controller or permission does not give is
absent, never 0. A limit that is not set is 0, as in cAdvisor, unless the text says otherwise. Counters of a container
begin when its cgroup is made.

Series of a container have the labels `id` (cgroup path), `name`, `image`, `container`, `pod`, `namespace` and
`engine`, as far as they are known; with `--naming thin` only `id` and `name`, and the rest is in `container_info`. The
root cgroup (`id="/"`) is the whole machine. A family is switched on with `--collector.NAME` and off with
`--no-collector.NAME`; `?collect[]=NAME` asks for some of them only.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric of the catalogue."""

    metric: Metric
    family: Family
    v1: str
    v2: str


def entries() -> Iterator[Entry]:
    """Yield every metric once, in the order of the page."""
    for family in FAMILIES.values():
        for metric in family.metrics:
            places = [(group, one) for group in family.groups for one in group.columns if one.metric == metric]
            v1, v2 = zip(*(_origin(*place) for place in places), strict=True)
            yield Entry(metric, family, _joined(v1), _joined(v2))


def to_markdown() -> str:
    """Write docs/metrics.md."""
    sections = [_HEAD]
    for family in FAMILIES.values():
        state = "on by default" if family.default else f"off by default: {family.why_off}"
        sections.append(f"\n## {family.name}\n\n{family.title} ({state}).\n\n{_table(family)}")
    return "".join(sections)


def _table(family: Family) -> str:
    rows = ["| metric | type | labels | meaning | v1 | v2 |\n|---|---|---|---|---|---|\n"]
    rows += [
        f"| `{one.metric.name}` | {one.metric.type} | {', '.join(one.metric.labels)} "
        f"| {one.metric.help} | {one.v1} | {one.v2} |\n"
        for one in entries()
        if one.family is family
    ]
    return "".join(rows)


def _origin(group: Group, column: Column) -> tuple[str, str]:
    """Tell from which files of v1 and v2 a column's value comes."""
    if group.origin:
        return group.origin, group.origin
    found = [ORIGINS[_key(group, field)] for field in column.fields]
    return tuple(_joined(tuple(one[version] or "" for one in found)) for version in (0, 1))  # type: ignore[return-value]


def _key(group: Group, field: str) -> str:
    """Turn ``stat.anon`` of Memory into the key ``MemoryStat.anon``."""
    record, _, name = field.rpartition(".")
    return f"{group.record.__name__}{record.capitalize()}.{name}"


def _joined(texts: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or "-"


if __name__ == "__main__":
    sys.stdout.write(to_markdown())
