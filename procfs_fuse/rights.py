"""What each process of an instance may do: the capabilities that it has a use for. The others it gives up at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

from cgscope.capabilities import come_back, keep_only, lay_down
from cgscope.errors import explain

SERVING: Final = {
    "CAP_DAC_OVERRIDE": "write triggers to pressure files that belong to others (delegated cgroups)",
    "CAP_DAC_READ_SEARCH": "read cgroups in folders that are closed to root without it",
    "CAP_SYS_NICE": "come before others until it has taken over",
    "CAP_SYS_PTRACE": "tell the namespaces of other users' processes",
    "CAP_SYS_RESOURCE": "raise its limit of open files; triggers with windows that the kernel keeps from others",
}
"""Of the nursery and of workers, which parse what others write. None of them can mount or enter a namespace."""

KEEPING: Final = {**SERVING, "CAP_SYS_ADMIN": "mount and unmount"}
"""Of the keeper: a nursery that it forks can have no more than itself."""

ATTACHING: Final = {
    **KEEPING,
    "CAP_NET_ADMIN": "be told of programs that start (process connector), and keep many such messages",
    "CAP_SYS_CHROOT": "enter mount namespaces",
}
"""Of who attaches containers by itself, and of its helpers inside of them."""

ANSWERING: Final = {
    "CAP_DAC_OVERRIDE": "open the memory of other users' processes, to write an answer there",
    "CAP_SYS_PTRACE": "the same",
    "CAP_SYS_RESOURCE": "raise its limit of open files",
}
"""Of the agent that answers system calls, and of its workers."""

log = logging.getLogger(__name__)


def keep() -> None:
    """Lay down what the keeper does not need. Programs that it executes (a new version, who attaches) have it again."""
    if come_back():
        _reduce(lay_down, KEEPING)


def serve(*, may_become_keeper: bool) -> None:
    """Lay down what serving does not need; a worker that may become the keeper must get it again by executing that."""
    if come_back() or not may_become_keeper:
        _reduce(lay_down, SERVING)


def attach() -> None:
    """Give up for good what attaching does not need."""
    _reduce(keep_only, ATTACHING)


def answer() -> None:
    """Give up for good what answering system calls does not need."""
    _reduce(keep_only, ANSWERING)


def _reduce(how: Callable[[Collection[str]], object], names: Collection[str]) -> None:
    try:
        how(names)
    except OSError as error:  # a sandbox that forbids even this
        log.warning("rights that are not needed are kept: %s", explain(error))
