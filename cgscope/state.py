"""Where ``procfs-fuse`` keeps the state of what is mounted, for itself and for those who look at it from outside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

DEFAULT_STATE_DIR: Final = "/run/procfs-fuse"
STATE_DIR_VARIABLE: Final = "CGSCOPE_STATE_DIR"

RECORD: Final = "instance.json"
"""In a folder of `folders`: what is served there; it stays when the server dies."""
CONTROL: Final = "control.sock"
"""Where whoever holds the mounts answers."""
SERVICE: Final = "service.sock"
"""Where whoever serves answers."""
ATTACHED: Final = "attached.json"
"""What was attached by itself."""
AGENT: Final = "seccomp.sock"
"""In the state directory itself: where the agent for system calls answers."""


def automatic(base: str) -> str:
    """The folder of the instance that ``run`` starts by itself."""
    return os.path.join(base, "auto")


def elsewhere(base: str) -> str:
    """Where the folders of instances are that are mounted at other places than the default one."""
    return os.path.join(base, "instances")


def folders(base: str) -> Iterator[str]:
    """Every folder that may have a record, the default one first. Raises OSError when they are not ours to see."""
    yield base
    yield automatic(base)
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(elsewhere(base))):
            yield os.path.join(elsewhere(base), name)
