"""The process that attaches containers by itself, beside the server: ``procfs-fuse mount --attach``.

It is none of the server's concern: it ends with the instance, and one that fails is started again by its own parent,
which does nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cgscope.state import ATTACHED
from procfs_fuse import syscalls
from procfs_fuse.background import environment
from procfs_fuse.instances import Instance, is_locked

NONE: Final = "none"
_LOCK: Final = "watcher.lock"
_PAUSE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.02
_GRACE_SECONDS: Final = 5.0  # an instance that is being upgraded is nobody's for a moment

log = logging.getLogger(__name__)


def launch(mountpoint: str, state_dir: str, options: Sequence[str]) -> None:
    """Start the watcher of an instance as a session of its own; its log goes where ours goes. Raises OSError."""
    words = ["attach", "--all", "--watch", "--kept-alive", "--mount", mountpoint, "--state-dir", state_dir, *options]
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "procfs_fuse", *words],
        environment(),
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )


def keep_alive(instance: Instance, watch: Callable[[], int]) -> int:
    """Run ``watch`` in a child, again when it fails, until the instance ends. Only one process per instance does so."""
    with _alone(instance) as alone:
        while alone and instance.alive:
            child = os.fork()
            if child == 0:
                syscalls.set_parent_death_signal(signal.SIGKILL)
                os._exit(_guarded(watch))
            signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGTERM))
            _, status = os.waitpid(child, 0)
            if os.waitstatus_to_exitcode(status) in {0, -signal.SIGTERM}:
                break
            log.error("the watcher of new containers failed and is started again")
            time.sleep(_PAUSE_SECONDS)
    return 0


def dismiss(instance: Instance) -> None:
    """End the watcher of an instance that was unmounted, which would wait whether it comes back; clear up after it."""
    from procfs_fuse.attach.report import read  # noqa: PLC0415 - the keeper needs nothing of what that imports

    lock = os.path.join(instance.directory, _LOCK)
    deadline = time.monotonic() + _GRACE_SECONDS
    if is_locked(lock) and (told := read(instance.directory)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(told["watcher"], signal.SIGTERM)
    while is_locked(lock) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    for path in (lock, os.path.join(instance.directory, ATTACHED)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    with contextlib.suppress(OSError):  # it is the default one's, or somebody mounts there again
        os.rmdir(instance.directory)


class Liveness:
    """Whether an instance lives: it does not when nobody has served it for some seconds."""

    def __init__(self, instance: Instance, clock: Callable[[], float] = time.monotonic) -> None:
        self._instance = instance
        self._clock = clock
        self._seen_at = clock()

    def __call__(self) -> bool:
        """Look again."""
        if self._instance.alive:
            self._seen_at = self._clock()
        return self._clock() - self._seen_at < _GRACE_SECONDS


def _guarded(watch: Callable[[], int]) -> int:
    try:
        return watch()
    except Exception:
        log.exception("watching for new containers failed")
        return 1


@contextlib.contextmanager
def _alone(instance: Instance) -> Iterator[bool]:
    """Tell whether we are the only one, and stay it."""
    descriptor = os.open(os.path.join(instance.directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)
