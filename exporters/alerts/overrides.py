"""Other levels for some containers: chosen by engine, name, label or Kubernetes namespace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from exporters.alerts.rule import Level, Rule, Severity
from exporters.alerts.series import Labels


@dataclass(frozen=True, slots=True)
class Which:
    """Which containers: all that is given has to fit. Patterns are those of a shell: ``web-*``."""

    engine: str = "*"
    name: str = "*"
    namespace: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)

    def fits(self, own: Mapping[str, str], engine_labels: Mapping[str, str]) -> bool:
        """Tell whether a container with these labels is meant."""
        wanted = (("engine", self.engine), ("name", self.name), ("namespace", self.namespace))
        return all(fnmatchcase(own.get(label, ""), glob) for label, glob in wanted if glob != "*") and all(
            fnmatchcase(engine_labels.get(label, ""), glob) for label, glob in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class Override:
    """Some containers, and the rules that are different for them; None: off."""

    which: Which
    rules: Mapping[str, Rule | None]


class Overrides:
    """All overrides; for a container and a rule, the first one that fits and names the rule counts."""

    def __init__(self, overrides: tuple[Override, ...]) -> None:
        self.overrides = overrides

    @property
    def engine_labels(self) -> frozenset[str]:
        """Labels of the engines that have to be known."""
        return frozenset(name for one in self.overrides for name in one.which.labels)

    def levels(
        self, rule: Rule, labels: Labels, engine_labels: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> Mapping[Severity, Level]:
        """Give the levels of a rule for one series."""
        concerned = [one for one in self.overrides if rule.alert in one.rules]
        if not concerned:
            return rule.levels
        own = dict(labels)
        if "id" not in own and "name" not in own:  # not about a container
            return rule.levels
        known = engine_labels(own)
        for one in concerned:
            if one.which.fits(own, known):
                changed = one.rules[rule.alert]
                return changed.levels if changed is not None else {}
        return rule.levels
