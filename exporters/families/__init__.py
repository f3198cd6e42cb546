"""All metric families, found by discovery: each module here whose name does not begin with ``_`` is one or more.

A module has ``FAMILIES``, a tuple of `Family`. Groups select from a `Subject` (a container) or from the `Machine`; what
takes more than a snapshot is read by the injected readers behind ``subject.world``.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from typing import Final

from exporters.metric import Family

# The order on the page: what most people look for comes first. Families that are not named here follow by name.
_FIRST: Final = ("info", "memory", "cpu", "io", "pids", "pressure", "limits")


def _discover() -> dict[str, Family]:
    found = pkgutil.iter_modules([os.path.dirname(__file__)])
    names = sorted(module.name for module in found if not module.name.startswith("_"))
    families: list[Family] = []
    for name in names:
        families += importlib.import_module(f"{__package__}.{name}").FAMILIES
    families.sort(key=lambda one: (_FIRST.index(one.name) if one.name in _FIRST else len(_FIRST), one.name))
    if len({one.name for one in families}) != len(families):
        raise ValueError("two families have one name")
    return {one.name: one for one in families}


FAMILIES: Final = _discover()
"""Name -> family, in the order of the page."""
