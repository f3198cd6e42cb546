"""What a user calls a container -> its cgroup path.

    TARGET = id | unique beginning of an id | name | engine:name | pid:N | cgroup path

and for Kubernetes also `pod/container` and `namespace/pod/container`. Names, ids and paths come from strangers; a
message is one printable line whatever they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cgroup_model.engines import Identity, container_path
from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone

Container = tuple[str, Identity]
"""A container: its cgroup path and who it is."""

_MOST_LISTED: Final = 5
_LONGEST_COMPARED: Final = 255  # characters; comparing takes quadratic time
_LAST_PID: Final = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h


class TargetError(Exception):
    """No container, or no single one, goes by that name. The text is one line.

    ``candidates`` are the cgroup paths of an ambiguous target; ``suggestions`` are names that look like an unknown one.
    """

    def __init__(self, message: str, *, candidates: Iterable[str] = (), suggestions: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.suggestions = tuple(suggestions)


def find_all(
    targets: Iterable[str],
    containers: Iterable[Container],
    path_of_pid: Callable[[int], str],
    cgroup_exists: Callable[[str], bool],
    mountpoints: Sequence[str] = (),
) -> list[str]:
    """Find several targets, each path once, in the order they were named; see `find`. Raises `TargetError`."""
    known = list(containers)
    paths = [find(target, known, path_of_pid, cgroup_exists, mountpoints) for target in targets]
    return list(dict.fromkeys(paths))


def find(
    target: str,
    containers: Iterable[Container],
    path_of_pid: Callable[[int], str],
    cgroup_exists: Callable[[str], bool],
    mountpoints: Sequence[str] = (),
) -> str:
    """Find the cgroup path a target means. Raises `TargetError`.

    ``path_of_pid`` raises LookupError, OSError or `CgroupGone` for a process that is not there, `OutOfSight` for one in
    a cgroup that no mount shows. ``mountpoints`` are where cgroup hierarchies are mounted: what is below them may be
    named as files are.
    """
    if not target:
        raise TargetError("no container named: give an id, a name, engine:name, pid:N or a cgroup path")
    if target.startswith("pid:"):
        return _of_pid(target.removeprefix("pid:"), path_of_pid)
    known = [(path, identity) for path, identity in containers if not identity.helper]
    for matches in _readings(target, known):
        if len(matches) == 1:
            return matches[0][0]
        if matches:
            raise _ambiguous(target, matches)
    if "/" in target:
        path = _cgroup_path(target, mountpoints)
        if path is not None and cgroup_exists(path):
            return path
    raise _unknown(target, known)


def _readings(target: str, known: Sequence[Container]) -> Iterator[list[Container]]:
    """Yield what a target may mean, the most certain reading first."""
    yield [(path, identity) for path, identity in known if target in {path, identity.id}]
    yield [container for container in known if target in _names(container[1])]
    engine, _, rest = target.partition(":")
    if rest:
        own = [(path, identity) for path, identity in known if identity.engine == engine]
        yield [(path, identity) for path, identity in own if rest == identity.id]
        yield [container for container in own if rest in _names(container[1])]
        yield [(path, identity) for path, identity in own if identity.id.startswith(rest)]
    yield [(path, identity) for path, identity in known if identity.id.startswith(target)]


def _names(identity: Identity) -> tuple[str, ...]:
    if identity.name is None:
        return ()
    if identity.pod is None:
        return (identity.name,)
    in_pod = f"{identity.pod}/{identity.name}"
    return (identity.name, in_pod, f"{identity.namespace}/{in_pod}" if identity.namespace else in_pod)


def _of_pid(digits: str, path_of_pid: Callable[[int], str]) -> str:
    # isdecimal alone takes other scripts' digits, and int() alone a sign, spaces and underscores.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(_LAST_PID)) and int(digits) > 0):
        raise TargetError(f"pid:{_shown(digits)} is no process id: give a positive number")
    try:
        path = path_of_pid(int(digits))
    except (LookupError, OSError, CgroupGone):
        raise TargetError(f"there is no process {int(digits)}") from None
    except OutOfSight:
        raise TargetError(f"process {int(digits)} is in a cgroup that no mount of this machine shows") from None
    return container_path(path) or path


def _cgroup_path(target: str, mountpoints: Sequence[str]) -> str | None:
    """Normalise a cgroup path, or a file name below a mount point; None when it climbs with ``..``."""
    below = [target.removeprefix(mount) for mount in mountpoints if f"{target}/".startswith(f"{mount.rstrip('/')}/")]
    # Of nested mount points (v1 below a tmpfs of the same name) the longest counts.
    names = [name for name in min(below, key=len, default=target).split("/") if name not in {"", "."}]
    return None if ".." in names else "/" + "/".join(names)


def _ambiguous(target: str, matches: Sequence[Container]) -> TargetError:
    listed = ", ".join(sorted(_described(identity) for _path, identity in matches[:_MOST_LISTED]))
    more = f" and {len(matches) - _MOST_LISTED} more" if len(matches) > _MOST_LISTED else ""
    message = f"{_shown(target)} could be any of {len(matches)} containers: {listed}{more}; give more of the id"
    return TargetError(message, candidates=(path for path, _identity in matches))


def _described(identity: Identity) -> str:
    return _shown(f"{identity.engine}:{max(_names(identity), key=len, default='?')} ({identity.short_id})")


def _unknown(target: str, known: Sequence[Container]) -> TargetError:
    names = {name for _path, identity in known for name in (*_names(identity), identity.short_id)}
    near = _nearest(target.rpartition(":")[2], names)
    if near:
        hint = f"did you mean {' or '.join(map(_shown, near))}?"
    else:
        number = len(known)
        hint = f"{number or 'no'} {'container is' if number < 2 else 'containers are'} running"
    return TargetError(f"no container {_shown(target)}: {hint}", suggestions=near)


def _nearest(word: str, names: Iterable[str]) -> list[str]:
    import difflib  # noqa: PLC0415 - slow to import, and needed only when something went wrong

    comparable = sorted(name for name in names if len(name) <= _LONGEST_COMPARED)
    return difflib.get_close_matches(word[:_LONGEST_COMPARED], comparable, n=3, cutoff=0.6)


def _shown(text: str) -> str:
    """Make a stranger's text harmless in a line: no control characters, no lone surrogates, of bounded length."""
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return printable if len(printable) <= _LONGEST_COMPARED else printable[:_LONGEST_COMPARED] + "…"
