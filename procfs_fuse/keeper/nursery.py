"""A process that has imported everything a worker needs, and forks workers when the keeper asks.

    python -m procfs_fuse.keeper.nursery CHANNEL ESTATE

The keeper forks its first one, which shares its memory, and executes all later ones: by then another version of the
program may be installed.

So a worker is ready a few milliseconds after it is wanted, and shares its code with the others. It serves nothing
itself, has one thread, and ends with the keeper. Workers are forked twice: as orphans they become the keeper's own
children (PR_SET_CHILD_SUBREAPER), which it can wait for.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from procfs_fuse import descriptors, rights, syscalls
from procfs_fuse.keeper import worker
from procfs_fuse.keeper.channel import Channel, Closed
from procfs_fuse.keeper.worker import Estate

LOG_FORMAT = "%(asctime)s %(process)d %(levelname)s %(message)s"


def main(channel_fd: str, estate: str) -> NoReturn:
    """Begin as a program of its own."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    os.set_inheritable(int(channel_fd), False)  # noqa: FBT003 - its only form
    run(int(channel_fd), json.loads(estate))


def run_forked(channel_fd: int, estate: Mapping[str, Any], keep: Sequence[int]) -> NoReturn:
    """Begin as a child of the keeper: without its signal handlers and descriptors."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number == signal.SIGHUP or callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    descriptors.close_all_but({channel_fd, *keep})
    run(channel_fd, estate)


def run(channel_fd: int, estate: Mapping[str, Any]) -> NoReturn:
    """Fork a worker for each descriptor that arrives, until the keeper is gone."""
    syscalls.set_process_name("procfs-nursery")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the keeper alone
    channel = Channel(channel_fd)
    known = Estate.from_json(estate)
    rights.serve(may_become_keeper=not known.supervised)
    gc.collect()
    gc.freeze()  # collecting would copy the pages that are shared with the workers
    channel.send({"ready": os.getpid()})
    with contextlib.suppress(Closed):
        while received := channel.receive():
            for fd in received[1]:
                _fork(fd, known)
                os.close(fd)
    os._exit(0)


def _fork(fd: int, estate: Estate) -> None:
    """Make a worker whose parent is gone, on its end of a channel."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    try:
        if os.fork():
            os._exit(0)
        descriptors.close_all_but({fd, *estate.holdings.all()})
        worker.work(Channel(fd), estate)
    except BaseException:  # whatever it is, this process must not return into the nursery
        logging.getLogger(__name__).exception("a worker could not start")
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
