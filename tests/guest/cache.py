"""The runner's cache folder, and things that are made in it once however many guests ask for them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.guest.errors import GuestError


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that keeps kernels and downloads between runs."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cgscope" / "uml"


def make_once(final: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder ``final``; when it is missing, ``make`` fills a temporary one that then takes its name.

    A second process that asks meanwhile waits for the first, and nobody ever sees a half-made folder.
    """
    if final.is_dir():
        return final
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with final.with_name(final.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not final.is_dir():
                _make(final, make)
    except OSError as error:
        raise GuestError(f"cannot make {final}: {error}") from error
    return final


def _make(final: Path, make: Callable[[Path], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=final.name + ".", dir=final.parent))
    try:
        make(temporary)
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
