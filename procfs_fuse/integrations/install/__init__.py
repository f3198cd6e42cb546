"""Teaching container engines to use our files: the right text in the right place, shown before, taken back on request.

One module per engine. Each has ``edits(installation) -> list[Edit]`` and ``AFTERWARDS``, what is to be done next.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Final

ENGINES: Final = ("containerd", "crio", "docker", "lxc", "podman", "systemd")


def engine(name: str) -> ModuleType:
    """The module of an engine."""
    return importlib.import_module(f"{__name__}.{name}")
