"""Which containers are to be attached by themselves.

A rule is ``engine:docker``, ``name:web-*``, ``label:tier=db``, ``label:tier``, ``namespace:kube-system``; a word alone
is a name. Patterns are those of a shell. Excluding wins over including; without including rules all are included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from cgroup_model.engines import Identity, Kind
from procfs_fuse.integrations.oci import OPT_OUT, opts_out

OWN_ENGINE: Final = "cgscope"  # containers of `procfs-fuse run` have the files from their start
_KINDS: Final = ("engine", "name", "label", "namespace")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    kind: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read a rule. Raises ValueError."""
        kind, colon, pattern = text.partition(":")
        if not colon:
            kind, pattern = "name", text
        if kind not in _KINDS or not pattern:
            raise ValueError(f"{text!r} is no rule; examples: engine:docker, name:web-*, label:tier=db, namespace:prod")
        return cls(kind, pattern)

    def matches(self, identity: Identity) -> bool:
        """Whether a container is meant."""
        if self.kind == "label":
            key, equals, pattern = self.pattern.partition("=")
            value = identity.labels.get(key)
            return value is not None and (not equals or fnmatchcase(value, pattern))
        given = {"engine": identity.engine, "namespace": identity.namespace}.get(self.kind, identity.name)
        names = {given, identity.id, identity.short_id} if self.kind == "name" else {given}
        return any(name is not None and fnmatchcase(name, self.pattern) for name in names)


@dataclass(frozen=True, slots=True)
class Rules:
    """Engines (none: all), and what is in and out among their containers."""

    engines: frozenset[str] = frozenset()
    include: tuple[Rule, ...] = ()
    exclude: tuple[Rule, ...] = ()

    @property
    def need_names(self) -> bool:
        """Whether a decision needs what engines write down about a container shortly after it was made."""
        return any(rule.kind != "engine" for rule in (*self.include, *self.exclude))

    def wants(self, identity: Identity) -> bool:
        """Whether a container is to be attached."""
        if identity.kind is not Kind.CONTAINER or identity.engine in {"", OWN_ENGINE, "systemd"}:
            return False
        if self.engines and identity.engine not in self.engines:
            return False
        if opts_out(identity.labels) or any(rule.matches(identity) for rule in self.exclude):
            return False
        return not self.include or any(rule.matches(identity) for rule in self.include)


def engines(text: str) -> frozenset[str]:
    """Read ``all`` or a list such as ``docker,podman``. Raises ValueError."""
    names = frozenset(name.strip() for name in text.split(","))
    if "" in names:
        raise ValueError(f"{text!r} is no list of engines; examples: all, docker,podman")
    return frozenset() if "all" in names else names


def rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Read several rules. Raises ValueError."""
    return tuple(Rule.parse(text) for text in texts)


__all__ = ["OPT_OUT", "Rule", "Rules", "engines", "rules"]
