"""PromQL of the panels: metrics checked against the catalogue, variables put into every selector."""

from __future__ import annotations

import re
from typing import Final, Literal

from exporters.catalogue import entries
from exporters.metric import Metric

Scope = Literal["machine", "containers", "container", "pods", "bare"]
"""What a panel is about: the machine, the containers chosen, one of them, pods; ``bare``: only job and instance."""

METRICS: Final[dict[str, Metric]] = {entry.metric.name: entry.metric for entry in entries()}
"""Everything that the exporter has, by name."""

_HOST: Final = 'job=~"$job",instance=~"$instance"'
_MATCHERS: Final[dict[Scope, str]] = {
    "bare": _HOST,
    "machine": _HOST,
    "containers": _HOST + ',engine=~"$engine",name=~"$name",id!="/"',
    "container": _HOST + ',id="$id"',
    "pods": _HOST + ',namespace=~"$namespace",pod=~"$pod"',
}
_NAME: Final = re.compile(
    r"(?<![\w:\"$])((?:container|machine|cgroup_exporter|procfs_fuse|process)_[a-z0-9_]+)(?:\{([^}]*)\})?"
)


class UnknownMetric(Exception):
    """A panel asks for what the exporter does not have."""


def with_variables(text: str, scope: Scope) -> str:
    """Put the variables of a scope into every selector. Raises `UnknownMetric`."""

    def filled(found: re.Match[str]) -> str:
        name, own = found[1], found[2]
        if name not in METRICS:
            raise UnknownMetric(name)
        matchers = _HOST if own is not None and 'id="/"' in own else _MATCHERS[_scope_of(name, scope)]
        return f"{name}{{{matchers}{',' + own if own else ''}}}"

    return _NAME.sub(filled, " ".join(text.split()))


def _scope_of(name: str, scope: Scope) -> Scope:
    """Only series of containers have the labels of containers."""
    return scope if name.startswith("container_") else "bare"
