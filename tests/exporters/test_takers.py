"""Values are taken again when they can have changed, and only then."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cgroup_model.engines import Identity
from cgroup_model.snapshot import Snapshot
from exporters.families import FAMILIES
from exporters.labels import names_of
from exporters.metric import Family
from exporters.setup import Exporter
from exporters.sheet import Sheet
from exporters.status import Outcome
from exporters.subject import Subject
from exporters.takers import Crew, Takers
from tests.exporters.test_collector import MakeExporter

WHO = Identity("docker", "a", "a", "a", restarts=1, created_epoch=2.0, labels={"owner": "me"})
NAMES = names_of("/a", WHO, "thin")
DEPENDENT = [family for family in FAMILIES.values() if family.parts is not None]


def snapshots(exporter: Exporter) -> list[Snapshot]:
    """Take a snapshot of everything in a scene."""
    exporter.tree.refresh()
    needs = FAMILIES["memory"].needs
    for family in DEPENDENT:
        needs |= family.needs
    return [one for _cgroup, one in exporter.collector.snapshots(exporter.tree.containers().values(), needs)]


def subject(snapshot: object) -> Subject:
    """Make a subject that has a snapshot, an identity and names, and nothing else to ask."""
    made = SimpleNamespace(
        snapshot=snapshot,
        identity=WHO,
        names=NAMES,
        departed=False,
        is_root=False,
        cgroup=SimpleNamespace(path="/a", inode=1),
        world=SimpleNamespace(engine_labels=("owner",), device_names={}),  # settings
    )
    return cast("Subject", made)


def crew(family: Family, outcome: Outcome | None = None) -> Crew:
    """Prepare a scrape of what lasts of one family."""
    parts = [part for part in Sheet([family]).parts[family.name] if part.group.lasting]
    return Crew([(parts, outcome or Outcome())])


@pytest.mark.parametrize("scene", ["v1-docker", "v2-docker"])
@pytest.mark.parametrize("family", DEPENDENT, ids=lambda family: family.name)
def test_a_family_asks_for_the_parts_that_it_names(exporter: MakeExporter, scene: str, family: Family) -> None:
    """Nothing else of the snapshot, no clock and no reader decides about its values: else they would become stale."""
    for snapshot in snapshots(exporter(scene)):
        only = SimpleNamespace(**{name: getattr(snapshot, name) for name in family.parts or ()})
        outcome = Outcome()
        Takers().take(crew(family, outcome), subject(only))
        assert outcome.success


def test_what_did_not_change_is_not_taken_again(exporter: MakeExporter) -> None:
    """The rows of the same snapshot are the very same; those of another are its own, and nothing is left behind."""
    first = snapshots(exporter("v2-docker"))[0]
    assert first.memory is not None
    second = replace(first, memory=replace(first.memory, current=1))
    takers = Takers()

    def rows(snapshot: Snapshot) -> list[Any]:
        steady, others = takers.take(crew(FAMILIES["memory"]), subject(snapshot))
        assert not others.rows
        return list(steady.rows)

    before = rows(first)
    assert all(one is two for one, two in zip(before, rows(first), strict=True))
    assert rows(second) != before
    assert rows(first) == before
    takers.begin("other names of devices")
    known = rows(first)
    assert known[0] is not before[0]
    takers.keep_only(set())
    assert rows(first)[0] is not known[0]
