"""Folders of tests that users without rights, and root of a user namespace, have to get into."""

from __future__ import annotations

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
