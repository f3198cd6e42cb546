"""Folders of tests that users without rights, and root of a user namespace, have to get into."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LEVELS: Final = 3  # pytest's own folders above a test's: one of the session, one of the user
_READ_AND_ENTER: Final = 0o055


def let_others_in(folder: Path) -> Path:
    """Let everybody read and enter a folder and those of pytest above it; returns it.

    Nothing is taken away from anybody: with ``--basetemp`` the last one may be everybody's /tmp.
    """
    for place in (folder, *folder.parents[:_LEVELS]):
        mode = place.stat().st_mode
        if mode & _READ_AND_ENTER != _READ_AND_ENTER:
            place.chmod(mode | _READ_AND_ENTER)
    return folder


@dataclass(frozen=True, slots=True)
class Within:
    """The interpreter and the project where anybody may get at them, in a mount namespace that has these binds."""

    python: str
    modules: str
    binds: Mapping[str, str]  # of the machine's folder -> where it is shown


def within(folder: Path, checkout: Path) -> Within:
    """Choose places below ``folder`` for the interpreter and a checkout, both of which may be private."""
    let_others_in(folder)
    binds = {sys.base_prefix: str(folder / "python"), str(checkout): str(folder / "checkout")}
    for place in binds.values():
        os.mkdir(place)
    program = os.path.relpath(os.path.realpath(sys.executable), os.path.realpath(sys.base_prefix))
    return Within(f"{folder}/python/{program}", f"{folder}/checkout", binds)
