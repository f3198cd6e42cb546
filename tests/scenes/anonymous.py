"""Takes out of recorded files what names a machine, its people or its other processes.

Renamed, each always to the same: the machine's name, process ids, namespaces, ids of 32 or more hexadecimal digits,
UUIDs. Process ids that are not of the scene vanish from lists and become 1 elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

_FIRST_NAMESPACE: Final = 4026532100
_INITIAL_NAMESPACES: Final = range(4026531834, 4026531842)  # include/linux/proc_ns.h: the same on every machine
_RANDOM: Final = re.compile(rb"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32,}")
_UML_HOST: Final = re.compile(rb"^(host\t+: Linux )\S+ .*$", re.MULTILINE)  # arch/um/kernel/um_arch.c
_OF_TASKS: Final = frozenset(
    {b"Tgid", b"Ngid", b"Pid", b"PPid", b"TracerPid", b"NStgid", b"NSpid", b"NSpgid", b"NSsid"}
)
_STAT_PIDS: Final = (1, 2, 3, 5)  # after the name: ppid, pgrp, session; tpgid (proc_pid_stat(5))
_NOBODY: Final = 1


class Numbers:
    """New numbers for the scene's processes and threads."""

    def __init__(self, tasks: Iterable[int], first: int) -> None:
        """Number the tasks from ``first``, in the order given."""
        self._new = {task: first + index for index, task in enumerate(tasks)}

    def of(self, task: int) -> int | None:
        """Return the new number, None if the task is not of the scene."""
        return self._new.get(task)


class Anonymous:
    """Renames what has to be renamed, consistently over all files of one recording."""

    def __init__(self, numbers: Numbers, hostname: str | None = None) -> None:
        """``hostname`` is the machine's own unless given."""
        self.numbers = numbers
        name = os.uname().nodename if hostname is None else hostname
        self._hostname = (
            re.compile(rb"(?<![\w.-])" + re.escape(name.encode()) + rb"(?![\w-])") if len(name) > 3 else None
        )
        self._ids: dict[bytes, bytes] = {}
        self._namespaces: dict[str, int] = {}

    def text(self, content: bytes) -> bytes:
        """Return any file's content without names and ids."""
        content = _UML_HOST.sub(rb"\1machine", content)
        if self._hostname is not None:
            content = self._hostname.sub(b"machine", content)
        return _RANDOM.sub(lambda found: self._renamed(found[0]), content)

    def tasks(self, content: bytes) -> bytes:
        """Return a list of tasks, one a line: those of the scene."""
        new = (self.numbers.of(int(line)) for line in content.split())
        return b"".join(b"%d\n" % number for number in sorted(filter(None, new)))

    def own_cgroups(self, content: bytes) -> bytes:
        """Return the recorder's own /proc/self/cgroup: it is nobody's business which cgroup that was."""
        return re.sub(rb"^(\d+:[^:\n]*:).*$", rb"\1/", content, flags=re.MULTILINE)

    def task_file(self, name: str, content: bytes) -> bytes:
        """Return a file of /proc/PID with its numbers renamed."""
        if name == "stat":
            return self._stat(content)
        if name == "status":
            return b"".join(map(self._status_line, content.splitlines(keepends=True)))
        return self.text(content)

    def namespace(self, target: str) -> str:
        """Return the target of a link such as ``pid:[4026532171]`` with another number."""
        kind, _, rest = target.partition(":")
        number = int(rest.strip("[]"))
        if number not in _INITIAL_NAMESPACES:
            number = self._namespaces.setdefault(target, _FIRST_NAMESPACE + len(self._namespaces))
        return f"{kind}:[{number}]"

    def _stat(self, content: bytes) -> bytes:
        head, bracket, tail = content.rpartition(b")")
        pid, _, name = head.partition(b" ")
        fields = tail.split()
        for index in _STAT_PIDS:
            if int(fields[index]) > 0:
                fields[index] = b"%d" % self._renumbered(int(fields[index]))
        return b"%d %s%s %s\n" % (self._renumbered(int(pid)), name, bracket, b" ".join(fields))

    def _status_line(self, line: bytes) -> bytes:
        key, colon, values = line.partition(b":\t")
        if key not in _OF_TASKS:
            return self.text(line)
        first, *inner = values.split()  # the outermost namespace's first; inner ones tell nothing of the machine
        return key + colon + b"\t".join((b"%d" % self._renumbered(int(first)), *inner)) + b"\n"

    def _renumbered(self, task: int) -> int:
        return 0 if task == 0 else self.numbers.of(task) or _NOBODY

    def _renamed(self, found: bytes) -> bytes:
        """Return digits that count: as long as the id was, with its dashes."""
        if found not in self._ids:
            number = len(self._ids) + 1
            self._ids[found] = re.sub(rb"[0-9a-f]+", lambda part: (b"%02x" % number * 64)[: len(part[0])], found)
        return self._ids[found]
