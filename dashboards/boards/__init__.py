"""All dashboards; a module per subject, found by discovery, each with ``BOARD``."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from dashboards.panel import Board

BOARDS: Final[tuple[Board, ...]] = tuple(
    importlib.import_module(f"{__name__}.{module.name}").BOARD
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
)
