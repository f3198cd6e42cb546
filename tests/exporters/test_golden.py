"""Whole pages of whole machines, as they were read and approved once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporters.encoder import Format, encode
from exporters.families import FAMILIES
from exporters.setup import Exporter
from tests.exporters.scenes import SCENES

GOLDEN = Path(__file__).with_name("golden")
EVERYTHING = {name: name != "exporter" for name in FAMILIES}

CASES: dict[str, tuple[str, Format, dict[str, object]]] = {
    **{f"{scene}.txt": (scene, "text", {}) for scene in SCENES},
    "v2-docker.openmetrics": ("v2-docker", "openmetrics", {}),
    "v2-kubernetes-thin.txt": ("v2-kubernetes", "text", {"naming": "thin"}),
    "v2-docker-everything.txt": ("v2-docker", "text", {"collectors": EVERYTHING, "container_labels": ("owner",)}),
    "v2-docker-units.txt": (
        "v2-docker",
        "text",
        {"cgroups": "units", "collectors": dict.fromkeys(FAMILIES, False) | {"info": True}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_pages(name: str, exporter: Callable[..., Exporter], update_golden: bool) -> None:  # noqa: FBT001 - a fixture
    """A change of any byte that Prometheus reads is seen in review."""
    scene, form, options = CASES[name]
    page = b"".join(encode(exporter(scene, **options).scraper.scrape(), form)).decode()
    if update_golden:
        (GOLDEN / name).write_text(page, encoding="utf-8")
    assert page == (GOLDEN / name).read_text(encoding="utf-8")
