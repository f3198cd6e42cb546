"""Running a program in cgroups of its own, the only ones that it sees: what others do is not taken for its doing.

python -m tests.own_cgroups COMMAND…
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from cgroup_model.control import create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts

# $GROUP becomes the root of a namespace, and what is mounted there. A root of v2 that hands controllers on to others
# has no processes itself, so whoever entered goes on to a child.
_ENTER: Final = """
for place in $PLACES; do echo $$ >"$place/$GROUP/cgroup.procs"; done
exec unshare --cgroup --mount --propagation private sh -ec "$BELOW" sh "$@"
"""
_BELOW: Final = """
for place in $PLACES; do
    mount --bind "$place/$GROUP" "$place"
    if [ -e "$place/cgroup.subtree_control" ]; then mkdir "$place/own"; echo $$ >"$place/own/cgroup.procs"; fi
done
exec "$@"
"""


def path(pid: int) -> str:
    """Name the cgroup that process ``pid`` makes for those that it runs."""
    return f"/cgscope-own-{pid}"


def run(words: Sequence[str]) -> int:
    """Run a command where its cgroup is the root of everything; return its exit code when all is removed again."""
    mounts = discover_mounts()
    group = path(os.getpid())
    with _made(mounts, group):
        places = " ".join(one.mountpoint for one in mounts.hierarchies)
        environment = {**os.environ, "PLACES": places, "GROUP": group.strip("/"), "BELOW": _BELOW}
        return subprocess.run(["sh", "-ec", _ENTER, "sh", *words], env=environment, check=False).returncode


@contextlib.contextmanager
def _made(mounts: Mounts, group: str) -> Iterator[None]:
    """Make a cgroup in every hierarchy, also in those that serve no controller; kill and remove it in the end."""
    create(mounts, group)
    others = [one.directory(group) for one in mounts.hierarchies if not os.path.isdir(one.directory(group))]
    try:
        for place in others:
            os.mkdir(place)
        yield
    finally:
        kill(mounts, group)
        remove(mounts, group)
        for place in others:
            for folder, _, _ in os.walk(place, topdown=False):
                os.rmdir(folder)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
