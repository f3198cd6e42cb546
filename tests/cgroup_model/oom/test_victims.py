"""Who died, from the kernel's own words."""

from __future__ import annotations

import pytest

from cgroup_model.kmsg import LogRecord
from cgroup_model.oom import Victim
from cgroup_model.oom.victims import VictimParser

INVOKED = "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
MEMCG = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,"
    "task=python3,pid=18332,uid=33"
)
KILLED = (
    "Memory cgroup out of memory: Killed process 18332 (python3) total-vm:98488kB, anon-rss:16256kB, file-rss:6712kB, "
    "shmem-rss:4kB, UID:33 pgtables:84kB oom_score_adj:0"
)


def victims(*texts: str) -> list[Victim]:
    """Feed messages."""
    parser = VictimParser()
    records = (LogRecord(number, 4, 0, 100.0 + number, text) for number, text in enumerate(texts))
    return [victim for record in records if (victim := parser.feed(record)) is not None]


def test_a_whole_report() -> None:
    """Everything that the three lines tell, whatever comes in between."""
    assert victims(INVOKED, "Call Trace:", MEMCG, "eth0: link up", KILLED) == [
        Victim(
            epoch=104.0,
            pid=18332,
            comm="python3",
            cgroup="/a/b",
            limit_cgroup="/a",
            constraint="memcg",
            invoked_by="python3",
            anon_rss_bytes=16256 << 10,
            file_rss_bytes=6712 << 10,
            shmem_rss_bytes=4 << 10,
            uid=33,
        )
    ]


def test_without_the_lines_that_are_rate_limited() -> None:
    """The victim is told, its cgroup is not; nothing of an earlier report sticks to it."""
    first, second = victims(INVOKED, MEMCG, KILLED, KILLED.replace("18332", "5"))
    assert (first.cgroup, second.cgroup, second.pid, second.invoked_by) == ("/a/b", None, 5, None)


def test_the_machine_ran_out_of_memory() -> None:
    """No cgroup's limit was hit, but the victim has a cgroup."""
    line = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/x,task=y"
    (victim,) = victims(
        f"{line},pid=7,uid=0", "Out of memory: Killed process 7 (y) total-vm:1kB, anon-rss:1kB, UID:0 p"
    )
    assert (victim.cgroup, victim.limit_cgroup, victim.constraint) == ("/x", None, "none")


@pytest.mark.parametrize("name", ["a) total-vm:(b", "evil,pid=1,uid=0", "a (b)", ",task_memcg=/x,", ",task=x"])
def test_names_of_strangers_do_not_break_out(name: str) -> None:
    """A task may be called anything; pid and cgroup stay the kernel's."""
    (victim,) = victims(
        MEMCG.replace("task=python3", f"task={name}"),
        KILLED.replace("(python3)", f"({name})"),
    )
    assert victim.pid == 18332
    assert (victim.limit_cgroup, victim.cgroup) == ("/a", "/a/b")


@pytest.mark.parametrize(
    "text", ["", "oom-kill:", "Killed process", "Killed process x (y) total-vm:", "process 5 killed"]
)
def test_other_messages_are_nobody(text: str) -> None:
    """Lines that only look similar are no victims."""
    assert victims(text) == []
