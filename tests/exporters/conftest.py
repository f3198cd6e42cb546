"""Exporters over scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporters.setup import Exporter
from tests.exporters.scenes import NOON, SCENES, settings


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Callable[..., Exporter]]:
    """Make exporters of scenes; with further `Settings` as keywords."""
    made: list[Exporter] = []

    def make(scene: str, **more: object) -> Exporter:
        folder = tmp_path / f"{len(made)}"
        SCENES[scene](folder)
        made.append(Exporter(settings(folder, **more), clock=lambda: NOON))
        return made[-1]

    yield make
    for one in made:
        one.close()
