"""What the exporter may do: it keeps the rights that reading takes, gives up all others, and says which are missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cgscope.capabilities import keep_only
from cgscope.errors import explain

READING: Final = {
    "CAP_DAC_READ_SEARCH": "containers whose engine keeps their names in files of other users have none",
    "CAP_SYS_PTRACE": "network counters, open files and I/O of other users' processes are unknown",
    "CAP_SYSLOG": "victims of OOM kills have no names where kernel.dmesg_restrict is 1",
    "CAP_SYS_NICE": "an OOM kill may be noticed late, on a machine that is busy",
}
_BIND: Final = "CAP_NET_BIND_SERVICE"
_FIRST_FREE_PORT: Final = 1024


def give_up(ports: Iterable[int]) -> list[str]:
    """Keep what reading takes, and what listening on ``ports`` takes; return what the log should say of the rest."""
    binding = {_BIND} if any(0 < port < _FIRST_FREE_PORT for port in ports) else set()
    try:
        held = keep_only(READING.keys() | binding)
    except OSError as error:  # a sandbox that forbids even this
        return [f"rights that are not needed are kept: {explain(error)}"]
    return [f"without {name}: {loss}" for name, loss in READING.items() if name not in held]
