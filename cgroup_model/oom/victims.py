"""Who died, from the lines of one OOM report in the kernel's log.

Kernel: mm/oom_kill.c (dump_header, dump_oom_victim, __oom_kill_process). Of a report's eighty lines three are used::

    python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
    oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a,task_memcg=/a/b,task=python3,pid=18332,uid=0
    Memory cgroup out of memory: Killed process 18332 (python3) total-vm:98488kB, anon-rss:16256kB, file-rss:6712kB, …

The first two are rate limited (ten in five seconds), the last is not: so a victim may be without a cgroup.
"""

from __future__ import annotations

import re
from typing import Final

from cgroup_model.kmsg import LogRecord
from cgroup_model.oom.records import Victim

_KIB: Final = 1024
_INVOKED: Final = re.compile(r"^(.*) invoked oom-killer: ")
# Any process may call itself anything, in 15 characters: the first match is the kernel's own.
_CONSTRAINT: Final = re.compile(r"^oom-kill:constraint=CONSTRAINT_(\w+),(.*),pid=(\d{1,10}),uid=(\d{1,10})$")
_LIMIT_CGROUP: Final = re.compile(r",oom_memcg=(.*?),task_memcg=")
_CGROUP: Final = re.compile(r",task_memcg=(.*?),task=")
_KILLED: Final = re.compile(r"[Kk]illed process (\d{1,10}) \((.*)\),? total-vm:")
_SIZE: Final = re.compile(r"(anon|file|shmem)-rss:(\d{1,18})kB")
_UID: Final = re.compile(r" UID:(\d{1,10}) ")


class VictimParser:
    """Puts the lines of reports together; lines of others may come in between."""

    def __init__(self) -> None:
        self._invoked_by: str | None = None
        self._constraints: dict[int, dict[str, str]] = {}  # pid -> what its line said; emptied by the line that kills

    def feed(self, record: LogRecord) -> Victim | None:
        """Take one record; gives a victim when the record tells that it is killed."""
        text = record.text
        if (found := _INVOKED.match(text)) is not None:
            self._invoked_by = found[1]
        elif (found := _CONSTRAINT.match(text)) is not None:
            self._constraints = {int(found[3]): _constraint(found)}  # one kill at a time: oom_lock
        elif (found := _KILLED.search(text)) is not None:
            return self._victim(record, int(found[1]), found[2])
        return None

    def _victim(self, record: LogRecord, pid: int, comm: str) -> Victim:
        known = self._constraints.pop(pid, {})
        invoked_by, self._invoked_by = self._invoked_by, None
        sizes = {kind: int(kib) * _KIB for kind, kib in _SIZE.findall(record.text)}
        uid = _UID.search(record.text)
        return Victim(
            epoch=record.epoch,
            pid=pid,
            comm=comm,
            cgroup=known.get("cgroup"),
            limit_cgroup=known.get("limit_cgroup"),
            constraint=known.get("constraint"),
            invoked_by=invoked_by if known else None,
            anon_rss_bytes=sizes.get("anon"),
            file_rss_bytes=sizes.get("file"),
            shmem_rss_bytes=sizes.get("shmem"),
            uid=int(uid[1]) if uid is not None else None,
        )


def _constraint(found: re.Match[str]) -> dict[str, str]:
    parts = {"constraint": found[1].lower()}
    for name, pattern in (("limit_cgroup", _LIMIT_CGROUP), ("cgroup", _CGROUP)):
        if (path := pattern.search("," + found[2])) is not None:
            parts[name] = path[1]
    return parts
