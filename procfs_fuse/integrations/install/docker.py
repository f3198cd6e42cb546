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


def edits(installation: Installation) -> list[Edit]:
    """The runtime, and with ``default`` its use for every container."""
    program, *words = installation.words
    entry = {"path": program, "runtimeArgs": [*words, "oci-runtime", *installation.options, "--"]}

    def add(before: str | None) -> str:
        settings = _settings(before)
        runtimes = {**_runtimes(settings), RUNTIME: entry}
        chosen = {_DEFAULT: RUNTIME} if installation.default else {}
        return _text({**settings, "runtimes": runtimes, **chosen}, before)

    return [Edit(PATH, add, _remove)]


def _remove(before: str | None) -> str | None:
    if before is None:
        return None
    settings = _settings(before)
    runtimes = {name: value for name, value in _runtimes(settings).items() if name != RUNTIME}
    if settings.get(_DEFAULT) == RUNTIME:
        del settings[_DEFAULT]
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
    if not isinstance(found, dict):
        raise Failure(f"{PATH}: runtimes is no object", "mend it first; nothing was changed")
    return found


def _text(settings: Mapping[str, Any], before: str | None) -> str:
    """In the file's own way of writing: its indentation and its end."""
    indented = re.search(r"^([ \t]+)\S", before or "", re.MULTILINE)
    end = "\n" if before is None or before.endswith("\n") else ""
    return json.dumps(settings, indent=indented[1] if indented else 4, ensure_ascii=False) + end
