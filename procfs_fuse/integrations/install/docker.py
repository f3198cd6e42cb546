"""Docker: a runtime of the name procfs-fuse in ``/etc/docker/daemon.json``, whose other settings stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cgscope.errors import Failure
from procfs_fuse.integrations.install.edits import Edit, Installation

PATH: Final = "/etc/docker/daemon.json"
RUNTIME: Final = "procfs-fuse"
AFTERWARDS: Final = "systemctl reload docker; then: docker run --runtime procfs-fuse …"
_DEFAULT: Final = "default-runtime"
_USUAL: Final = "runc"  # what Docker calls by this name without being told where it is
_REAL: Final = "--runtime"


def edits(installation: Installation) -> list[Edit]:
    """The runtime, and with ``default`` its use for every container, in front of what was the default before."""

    def add(before: str | None) -> str:
        settings = _settings(before)
        runtimes = _runtimes(settings)
        real = _default(settings, runtimes) if installation.default else None
        chosen = {_DEFAULT: RUNTIME} if installation.default else {}
        entry = _entry(installation, real, runtimes)
        return _text({**settings, "runtimes": {**runtimes, RUNTIME: entry}, **chosen}, before)

    return [Edit(PATH, add, _remove)]


def _entry(installation: Installation, real: str | None, runtimes: Mapping[str, Any]) -> dict[str, Any]:
    """Our runtime in front of the one that is called ``real``; None: whichever is found."""
    program, *words = installation.words
    if real is not None and real != _USUAL and "path" not in runtimes.get(real, {}):
        raise Failure(f"{PATH}: the default runtime {real} has no path", "without --default it stays the default")
    known = runtimes.get(real, {}) if real is not None else {}
    chosen = [_REAL, known.get("path", real)] if real is not None else []
    behind = known.get("runtimeArgs") or []
    return {"path": program, "runtimeArgs": [*words, "oci-runtime", *installation.options, *chosen, "--", *behind]}


def _default(settings: Mapping[str, Any], runtimes: Mapping[str, Any]) -> str | None:
    """The default runtime, and when that is ours the one that was it before; None: nobody chose one."""
    chosen: str | None = settings.get(_DEFAULT)
    if chosen != RUNTIME:
        return chosen
    words = runtimes.get(RUNTIME, {}).get("runtimeArgs") or []
    if _REAL not in words:
        return None
    path: str = words[words.index(_REAL) + 1]
    return next((name for name, one in runtimes.items() if name != RUNTIME and one.get("path") == path), path)


def _remove(before: str | None) -> str | None:
    if before is None:
        return None
    settings = _settings(before)
    former = _default(settings, _runtimes(settings))
    runtimes = {name: value for name, value in _runtimes(settings).items() if name != RUNTIME}
    if former is not None:
        settings[_DEFAULT] = former
    else:
        settings.pop(_DEFAULT, None)
    if runtimes:
        settings["runtimes"] = runtimes
    else:
        settings.pop("runtimes", None)
    return _text(settings, before) if settings else None


def _settings(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text and text.strip() else {}
    except ValueError as error:
        raise Failure(f"{PATH} is no JSON: {error}", "mend it first; nothing was changed") from error
    if not isinstance(found, dict):
        raise Failure(f"{PATH} is no JSON object", "mend it first; nothing was changed")
    return found


def _runtimes(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = settings.get("runtimes", {})
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise Failure(f"{PATH}: runtimes is no object of objects", "mend it first; nothing was changed")
    return found


def _text(settings: Mapping[str, Any], before: str | None) -> str:
    """In the file's own way of writing: its indentation, or none, and its end."""
    indented = re.search(r"^([ \t]+)\S", before or "", re.MULTILINE)
    in_one_line = before is not None and "\n" not in before.strip() and before.strip() not in {"", "{}"}
    indent = indented[1] if indented else None if in_one_line else "    "
    end = "\n" if before is None or before.endswith("\n") else ""
    return json.dumps(settings, indent=indent, ensure_ascii=False) + end
