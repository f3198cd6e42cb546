"""Recordings as scenes: what is seen is recorded, and what was recorded is seen again."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from cgroup_model.machine import busy_ratio
from cgroup_model.rates import Moment, rates
from cgroup_model.recording import Look, Recorded, Recorder, Recording, RecordingError
from cgroup_model.snapshot import Need
from cgscope.errors import Failure
from ctop.scene import Brief, Entry, Scene, Scenes

RECORDED: Final = (
    Need.MEMORY | Need.MEMORY_DETAIL | Need.CPU | Need.CPUS | Need.CPUSET | Need.IO | Need.PIDS | Need.PRESSURE
    | Need.CORE | Need.AGE
)  # fmt: skip
"""What is read of every cgroup for a recording: everything but what costs a look at each thread."""

_KEPT: Final = 200  # decoded scenes


class RecordingScenes:
    """Live scenes, each written to a recording: every cgroup, whatever is shown of them."""

    def __init__(self, live: Scenes, recorder: Recorder) -> None:
        self._live = live
        self._recorder = recorder

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:
        """Look at everything, wholly, and keep it."""
        scene = self._live.survey(parts, Need.NOTHING)
        scene = self._live.look(scene, list(scene.entries), RECORDED | needs, network=True)
        if not self._recorder.add(look_of(scene)) and self._recorder.problem:
            return replace(scene, notes=(*scene.notes, self._recorder.problem))
        return scene

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:
        """Read what was not read for the recording."""
        if not needs & ~RECORDED:
            return scene
        return self._live.look(scene, paths, needs, network=network)

    @property
    def is_over(self) -> bool:
        """Never: there is always a next look."""
        return False

    def close(self) -> None:
        """Close both."""
        self._recorder.close()
        self._live.close()


class Replay:
    """Scenes of a recording: a `Past`, and `Scenes` that come in order, one per survey, until `is_over`."""

    def __init__(self, recording: Recording) -> None:
        """Raise `RecordingError` for a recording without looks."""
        if not len(recording):
            raise RecordingError("the recording is empty")
        self._recording = recording
        self._next = 0
        self._look = lru_cache(maxsize=_KEPT)(recording.look)

    def __len__(self) -> int:
        """How many looks were recorded."""
        return len(self._recording)

    @property
    def is_over(self) -> bool:
        """True when a survey would only show the last look again."""
        return self._next >= len(self)

    def scene(self, position: int) -> Scene:
        """See `Past`; rates are measured against the look before. Raises `Failure` when it is damaged."""
        try:
            before = self._look(position - 1) if position else None
            return scene_of(self._look(position), before)
        except RecordingError as error:
            raise Failure(str(error)) from error

    def at(self, seconds: float) -> int:
        """See `Past`."""
        return self._recording.at(seconds)

    def next_oom(self, after: int) -> int | None:
        """See `Past`."""
        return self._recording.next_oom(after)

    def survey(self, parts: frozenset[str], needs: Need) -> Scene:  # noqa: ARG002 - everything is known
        """Show the next look; the last one again and again."""
        scene = self.scene(min(self._next, len(self) - 1))
        self._next += 1
        return scene

    def look(self, scene: Scene, paths: list[str], needs: Need, *, network: bool = False) -> Scene:  # noqa: ARG002
        """Nothing more can be read."""
        return scene

    def close(self) -> None:
        """Close the file."""
        self._recording.close()


def look_of(scene: Scene) -> Look:
    """What is recorded of a scene."""
    cgroups = tuple(
        Recorded(entry.path, entry.inode, entry.identity, entry.moment)
        for entry in scene.entries.values()
        if entry.moment is not None
    )
    return Look(scene.taken_at, scene.hostname, scene.world, scene.machine, scene.missing, cgroups)


def scene_of(look: Look, before: Look | None) -> Scene:
    """A recorded look as a scene, with rates since the look before."""
    known = {} if before is None else {one.path: one for one in before.cgroups}
    entries = {}
    for one in look.cgroups:
        old = known.get(one.path)
        earlier: Moment | None = None if old is None else old.moment
        found = rates(earlier, one.moment)
        entries[one.path] = Entry(
            one.path,
            one.inode,
            one.identity,
            Brief(None if found is None else found.cpu_cores),
            one.moment,
            found,
            cpus=look.machine.cpus,
            memory_total=look.machine.memory_total,
            is_new=before is not None and (old is None or old.inode != one.inode),
        )
    return Scene(
        taken_at=look.taken_at,
        machine=look.machine,
        world=look.world,
        entries=entries,
        cpu_ratio=busy_ratio(None if before is None else before.machine, look.machine),
        missing=look.missing,
        hostname=look.hostname,
    )
