"""Recorded scenes: machines with containers, as their kernels described them, kept in `tests/fixtures/<scene>/`.

`SCENE.md` says what was recorded and how, `machine.txt` holds the files of ``/proc``, ``/sys`` and the cgroup
hierarchies (format: `archive`). `unpack` makes folders of them that every reader of ours takes as its roots; `Replay`
is the whole model on such a folder, at the moment of the recording.

    python -m tests.scenes                list the scenes
    python -m tests.scenes record NAME…   record scenes anew, on this machine or in a guest as each one needs (root)
"""

from __future__ import annotations

from tests.scenes.places import FIXTURES, names
from tests.scenes.replay import Replay, unpack

__all__ = ["FIXTURES", "Replay", "names", "unpack"]
