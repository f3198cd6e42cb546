"""runc and crun, called without an engine: `runc-<id>.scope`, `crun-<id>.scope`, or any path their caller chose.

Such a path tells nothing, but the run-time state does: runc's `<root>/<id>/state.json` has `cgroup_paths` (with mount
points) and `config.labels` (`key=value`, libcontainer), crun's `<root>/<id>/status` has `cgroup-path`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from cgroup_model.engines._details import Details, member, string_labels
from cgroup_model.engines._files import Files, Unreadable, User, parse_json
from cgroup_model.engines._patterns import OCI_ID, Match, Pattern

PATTERNS = tuple(Pattern(runtime, rf"{runtime}-{OCI_ID}\.scope") for runtime in ("runc", "crun"))

_STATE_FILES: Final = {"runc": "state.json", "crun": "status"}
_MOUNT_ROOT: Final = "/sys/fs/cgroup/"
_MOST_STATES: Final = 128  # fewer than the kept files, so that asking for each path does not read all again


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a container's labels; its id is its name. Raises `Unreadable`."""
    if match.engine not in _STATE_FILES:
        return None
    state = files.json(f"{_root(match.engine, user)}/{match.id}/{_STATE_FILES[match.engine]}", user)
    return Details(labels=_labels(state))


def claim(files: Files, path: str) -> Match | None:
    """Recognise a path that a container of root's runc or crun has registered. Raises `Unreadable`."""
    for runtime, file in _STATE_FILES.items():
        root = _root(runtime, None)
        for container in islice(files.names(root), _MOST_STATES):
            try:
                state = files.shared(f"{root}/{container}/{file}", parse_json)
            except Unreadable:
                continue  # somebody else's trouble
            if path in _paths(state):
                return Match(runtime, container, path)
    return None


def _root(runtime: str, user: User | None) -> str:
    return f"/run/user/{user.uid}/{runtime}" if user else f"/run/{runtime}"


def _paths(state: Any) -> Iterator[str]:  # noqa: ANN401 - a document may be anything
    """Yield the cgroup paths a state names, as `/proc/PID/cgroup` has them."""
    registered = member(state, "cgroup-path")
    if isinstance(registered, str) and registered:
        yield f"/{registered.lstrip('/')}"
    directories = member(state, "cgroup_paths")
    if isinstance(directories, Mapping):
        for directory in directories.values():
            below = directory.removeprefix(_MOUNT_ROOT) if isinstance(directory, str) else ""
            # One hierarchy is mounted there itself (v2), several are in directories of their own.
            yield "/" + (below if len(directories) == 1 else below.partition("/")[2])


def _labels(state: Any) -> Mapping[str, str]:  # noqa: ANN401 - a document may be anything
    pairs = member(state, "config", "labels")
    strings = [pair for pair in pairs if isinstance(pair, str)] if isinstance(pairs, list) else []
    # runc adds the bundle's directory to the labels.
    return string_labels(dict(pair.partition("=")[::2] for pair in strings), without=("bundle",))
