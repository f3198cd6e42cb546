"""Documents of the OCI runtime specification, as far as hooks need them: a container's state and its configuration.

A hook gets the state on its standard input (`{"id", "pid", "bundle", "annotations"}`, crun adds `"root"`); where the
root file system is says `root.path` of the bundle's ``config.json``, relative to the bundle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cgscope.errors import Failure

OPT_OUT: Final = "cgscope.attach"
"""Annotation or label of a container that wants to see the machine's files: with one of these values."""
_REFUSALS: Final = frozenset({"off", "no", "false", "0", "none"})


@dataclass(frozen=True, slots=True)
class OciContainer:
    """What a hook is told."""

    id: str
    root: str  # of its file system, as an absolute path of the machine
    annotations: Mapping[str, str]
    hides_proc: bool  # whether the runtime is to hide parts of its /proc


def opts_out(labels: Mapping[str, str]) -> bool:
    """Whether these annotations or labels refuse our files."""
    return labels.get(OPT_OUT, "").strip().lower() in _REFUSALS


def read(state_text: str | bytes) -> OciContainer:
    """Read a state and the configuration of its bundle. Raises Failure."""
    state = _object(state_text, "the state on standard input")
    bundle = state.get("bundle")
    if not isinstance(bundle, str):
        raise Failure("the state on standard input names no bundle", "an OCI runtime calls this; see docs/engines.md")
    config = config_of(bundle)
    root = state.get("root") or _member(config, "root", "path")
    if not isinstance(root, str):
        raise Failure(f"{bundle}/config.json has no root.path")
    annotations = {**_strings(config.get("annotations")), **_strings(state.get("annotations"))}
    hidden = [*(_member(config, "linux", "maskedPaths") or []), *(_member(config, "linux", "readonlyPaths") or [])]
    return OciContainer(
        id=str(state.get("id", "")),
        root=os.path.realpath(os.path.join(bundle, root)),
        annotations=annotations,
        hides_proc=any(str(path).startswith("/proc") for path in hidden),
    )


def config_of(bundle: str) -> dict[str, Any]:
    """The configuration in a bundle. Raises Failure."""
    path = os.path.join(bundle, "config.json")
    try:
        with open(path, "rb") as file:
            return _object(file.read(), path)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error


def _object(data: str | bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{where} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Failure(f"{where} is no JSON object")
    return found


def _member(document: Mapping[str, Any], *names: str) -> Any:  # noqa: ANN401 - a document may be anything
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _strings(pairs: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in pairs.items()} if isinstance(pairs, Mapping) else {}
