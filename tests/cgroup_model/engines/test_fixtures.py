"""Recorded scenes: the files an engine wrote, and what they must tell about its cgroups.

A scene is a directory `fixtures/<engine>/` with `root/` (the machine's files) and `expected.json`.
A new engine adds one.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cgroup_model.engines import ENGINES, Identity, Kind, Resolver, short_id

SCENES = sorted(path.parent for path in Path(__file__).parent.glob("fixtures/*/expected.json"))
ROWS = [
    pytest.param(scene, row, id=f"{scene.name}{row['path']}")
    for scene in SCENES
    for row in json.loads((scene / "expected.json").read_text())["cgroups"]
]


@pytest.mark.parametrize(("scene", "row"), ROWS)
def test_a_recorded_cgroup_is_named(scene: Path, row: dict[str, Any]) -> None:
    """Everything the files of a real engine say is found, and nothing else is made up."""
    identity = Resolver(str(scene / "root")).identify(row["path"], 1)
    expected = {
        "pod": None,
        "namespace": None,
        "image": None,
        "labels": {},
        "kind": "container",
        "problem": None,
        "short_id": identity.short_id,
        # Of one or two engines only: see test_resolver.
        **{name: getattr(identity, name) for name in ("restarts", "created_epoch", "ended_epoch")},
        **{key: value for key, value in row.items() if key != "path"},
    }
    assert _as_json(identity) == expected
    if identity.engine:
        assert identity.short_id == short_id(identity.id)


def test_every_engine_has_a_scene() -> None:
    """A module without a recorded scene is not finished."""
    assert {engine.module for engine in ENGINES} == {scene.name for scene in SCENES}


def _as_json(identity: Identity) -> dict[str, Any]:
    fields = {field.name: getattr(identity, field.name) for field in dataclasses.fields(identity)}
    kind: Kind | None = identity.kind
    return {**fields, "labels": dict(identity.labels), "kind": kind.value if kind else None}
