"""Mount namespaces in which ``/sys/fs/cgroup`` holds hierarchies and nothing else; the machine's own stays as it is."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable
from typing import Final

from cgroup_model.mounts import Hierarchy

TOP: Final = "/sys/fs/cgroup"
_ENTER: Final = ("unshare", "--mount", "--propagation")


def script(hierarchies: Iterable[Hierarchy]) -> str:
    """Say to a shell in a mount namespace of its own how to see these alone; nothing where one is mounted on `TOP`."""
    places = [one.mountpoint for one in hierarchies]
    if TOP in places:
        return ""
    lines = ['t=$(mktemp -d)\nmount -t tmpfs none "$t"']
    for place in places:
        name = shlex.quote(os.path.basename(place))
        lines.append(f'mkdir "$t"/{name}\nmount --bind {shlex.quote(place)} "$t"/{name}')
    lines.append(f'mount --rbind "$t" {TOP}\numount -l "$t"\nrmdir "$t"\n')
    return "\n".join(lines)


class Namespace:
    """A mount namespace for many commands: what one mounts the others see. The machine's later mounts come in."""

    def __init__(self, hierarchies: Iterable[Hierarchy]) -> None:
        words = [*_ENTER, "slave", "sh", "-ec", f"{script(hierarchies)}\necho ready\nexec sleep infinity"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def words(self, *command: str) -> list[str]:
        """A command line, to be run in there."""
        return ["nsenter", "--mount", "--target", str(self._process.pid), "--", *command]

    def close(self) -> None:
        """Let go of it; it goes with the last process in it."""
        self._process.kill()
        self._process.communicate()
