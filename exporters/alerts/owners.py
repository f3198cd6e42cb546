"""Labels that the engines gave containers: whom a container belongs to, so that they are told."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from exporters.alerts.series import Labels

METRIC: Final = "container_label_info"
"""Where the exporter shows the labels that were chosen."""

_ODD: Final = re.compile(r"[^A-Za-z0-9_]")
_MOST: Final = 20_000  # containers whose labels are remembered after they are gone
_NAME: Final = ("engine", "namespace", "pod", "name")


def label_name(name: str) -> str:
    """Make an alert's label of an engine's: ``com.example/team`` -> ``com_example_team``."""
    return _ODD.sub("_", name)


class Owners:
    """Labels by container: by its cgroup, and by its name for alerts about containers that are gone."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], dict[str, str]] = OrderedDict()

    def learn(self, infos: Mapping[Labels, float]) -> None:
        """Take over the series of `METRIC`."""
        fresh: set[tuple[str, ...]] = set()
        for labels in infos:
            own = dict(labels)
            for key in _keys(own):
                if key not in fresh:
                    fresh.add(key)
                    self._known[key] = {}
                    self._known.move_to_end(key)
                self._known[key][own.get("label", "")] = own.get("value", "")
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def of(self, own: Mapping[str, str]) -> Mapping[str, str]:
        """Give the labels of the container that a series' labels are about."""
        for key in _keys(own):
            if key in self._known:
                return self._known[key]
        return {}


def _keys(own: Mapping[str, str]) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = []
    if "id" in own:
        keys.append((own["id"],))
    if "name" in own:
        keys.append(tuple(own.get(label, "") for label in _NAME))
    return keys
