"""All container systems, found by discovery, and the one table of all their patterns."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Final

from cgroup_model.engines._details import Details
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import Match, Pattern, PatternTable
from cgroup_model.record import dataclass

LookUp = Callable[[Files, Match, User | None], Details | None]
Claim = Callable[[Files, str], Match | None]

_MOST_CACHED: Final = 4096  # paths; a machine rarely has more cgroups with callers in them


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts of one container system's module; see the package's description."""

    module: str
    patterns: tuple[Pattern, ...]
    look_up: LookUp | None
    claim: Claim | None
    speaks_of: frozenset[str]  # engines that some of the rows are about: a module may hold rows of several

    @classmethod
    def of(cls, module: ModuleType) -> Engine:
        """Take the parts that a module has."""
        name = module.__name__.rpartition(".")[2]
        look_up, claim = getattr(module, "look_up", None), getattr(module, "claim", None)
        return cls(name, module.PATTERNS, look_up, claim, frozenset(row.engine for row in module.PATTERNS))


def _discover() -> tuple[Engine, ...]:
    found = pkgutil.iter_modules([os.path.dirname(__file__)])
    names = sorted(module.name for module in found if not module.name.startswith("_"))
    return tuple(Engine.of(importlib.import_module(f"{__package__}.{name}")) for name in names)


ENGINES: Final = _discover()
"""All container systems, by module name."""

_TABLE: Final = PatternTable(row for engine in ENGINES for row in engine.patterns)


@lru_cache(maxsize=_MOST_CACHED)
def match(path: str) -> Match | None:
    """Tell what the cgroup at ``path`` itself is, as far as its path says; None: nothing known.

    A cgroup inside of a container (`…/libpod-<id>.scope/container`) is nothing by itself: see `container_path`.
    """
    return _TABLE.match(path)


@lru_cache(maxsize=_MOST_CACHED)
def container_path(path: str, *, include_units: bool = False) -> str | None:
    """Find the innermost container's cgroup on a path (a prefix of it or itself); None outside of containers.

    With ``include_units`` pods and systemd's units count too. Helpers never do.
    """
    return _TABLE.container_path(path, include_units=include_units)
