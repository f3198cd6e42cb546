"""From what the kernel says to one line for a person."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cgroup_model.mounts import OutOfSight
from cgroup_model.parse import ParseError
from cgroup_model.source import CgroupGone, Missing

WHY = {
    errno.EACCES: "permission denied (are you root?)",
    errno.EPERM: "not permitted (are you root?)",
    errno.EROFS: "the cgroup file system is mounted read-only here",
    errno.ESRCH: "there is no such process (any more)",
    errno.EBUSY: "it is in use",
    errno.ENOSPC: "the kernel's limit on the number or depth of cgroups is reached, or its cpuset is empty",
}


class ControlError(Exception):
    """A cgroup could not be made, changed or removed."""


def failure(doing: str, path: str, why: str) -> ControlError:
    """Write the line; a path stays on it, whatever bytes it holds."""
    shown = path if path.isprintable() and path else repr(path)
    return ControlError(f"cannot {doing} cgroup {shown}: {why}")


@contextmanager
def reported(doing: str, path: str, why: Mapping[int, str] | None = None) -> Iterator[None]:
    """Turn what readers, writers and the kernel raise into one line."""
    try:
        yield
    except CgroupGone as error:
        raise failure(doing, path, "it does not exist; was it removed?") from error
    except Missing as error:
        why_missing = "this kernel lacks it, or the controller is not enabled for this cgroup"
        raise failure(doing, path, f"no {error.name} here; {why_missing}") from error
    except (OutOfSight, ParseError) as error:
        raise failure(doing, path, str(error)) from error
    except OSError as error:
        known = {**WHY, **(why or {})}
        number = error.errno or 0
        raise failure(doing, path, known.get(number, os.strerror(number))) from error
