"""A strict reader for test_stress.py, run as a process of its own: reads files in every way, believes nothing.

    python reader.py SEED COUNT OPEN_DIRECTORY CACHED_DIRECTORY CONTAINER…

Reads files of the named containers, which stay, and now and then of any other, which may be gone at any moment.
COUNT is the least number of read and pread calls. The output is a JSON object: calls made, and files whose container
was gone. Whatever is wrong ends the reader with one line.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import sys
from collections.abc import Callable
from typing import Final

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV})
FILES: Final = (
    "proc/meminfo",
    "proc/stat",
    "proc/cpuinfo",
    "proc/uptime",
    "proc/loadavg",
    "proc/diskstats",
    "proc/swaps",
    "proc/sys/kernel/pid_max",
    "proc/sys/kernel/threads-max",
    "sys/devices/system/cpu/online",
)
_STAT: Final = [b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked", b"softirq"]
_PLAIN: Final = {
    "proc/uptime": re.compile(rb"\d+\.\d\d \d+\.\d\d\n"),
    "proc/loadavg": re.compile(rb"\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+\n"),
    "proc/swaps": re.compile(rb"Filename\t+Type\t+Size\t+Used\t+Priority\n(none +virtual\t+\d+\t+\d+\t+-?\d+\n)?"),
    "proc/diskstats": re.compile(rb"( +\d+ +\d+ \S+( \d+){11,17}\n)*"),
    "proc/sys/kernel/pid_max": re.compile(rb"\d+\n"),
    "proc/sys/kernel/threads-max": re.compile(rb"\d+\n"),
    "sys/devices/system/cpu/online": re.compile(rb"0(-\d+)?\n"),
}


class Wrong(Exception):
    """What was read cannot be."""


def expect(truth: object, what: str, content: bytes) -> None:
    """Raise Wrong unless ``truth``."""
    if not truth:
        raise Wrong(f"{what}: {content!r}")


# ------------------------------------------------------------------------------------------ ways of reading


class Opened:
    """An open file; counts what is read from it."""

    def __init__(self, path: str, choose: random.Random) -> None:
        self._choose = choose
        self.reads = 0
        self.fd = os.open(path, os.O_RDONLY)

    @property
    def is_cached(self) -> bool:
        """Whether the page cache answers: only there a size is that of the content, and not of pages it fits into."""
        return os.fstat(self.fd).st_size % 4096 > 0

    def whole(self) -> bytes:
        """To the end, as `cat` does."""
        return self._in_pieces(lambda: 1 << 16)

    def split(self) -> bytes:
        """In pieces of odd sizes."""
        return self._in_pieces(lambda: self._choose.randrange(1, 700) | 1)

    def rewound(self) -> bytes:
        """Again from the start, as `top` does; the second content counts."""
        self.whole()
        os.lseek(self.fd, 0, os.SEEK_SET)
        return self.whole()

    def anywhere(self) -> bytes:
        """Once whole, then at random offsets: on the open connection, but for offset 0, in the same content."""
        content = self._read(1 << 16, 0)
        for _ in range(3):
            offset, size = self._choose.randrange(1, len(content) + 10), self._choose.randrange(1, 200)
            part = self._read(size, offset)
            expect(len(part) == len(content[offset : offset + size]), "short pread", part)
            expect(self.is_cached or part == content[offset : offset + size], "pread of other content", part)
        return content

    def _in_pieces(self, size: Callable[[], int]) -> bytes:
        pieces = [self._read(size())]
        while pieces[-1]:
            pieces.append(self._read(size()))
        return b"".join(pieces)

    def _read(self, size: int, offset: int | None = None) -> bytes:
        self.reads += 1
        return os.read(self.fd, size) if offset is None else os.pread(self.fd, size, offset)


WAYS: Final = (Opened.whole, Opened.split, Opened.rewound, Opened.anywhere)


# ------------------------------------------------------------------------------------------------- checks


class Checker:
    """The rules of every file, and what was seen before."""

    def __init__(self, staying: frozenset[str]) -> None:
        self._staying = staying
        with open("/proc/meminfo", "rb") as file:
            self._meminfo_names = [line.split(b":")[0] for line in file]
        self._meminfo_length = 0  # the same for all containers, at any time
        self._stat: dict[tuple[str, bytes], list[int]] = {}
        self._age: dict[str, float] = {}

    def check(self, container: str, path: str, content: bytes, *, one_moment: bool) -> None:
        """Raise Wrong if this content cannot be; ``one_moment``: it is not put together from two moments."""
        expect(content.endswith(b"\n") or path == "proc/diskstats", "no newline at the end", content)
        expect(b"\0" not in content, "NUL", content)
        if path == "proc/meminfo":
            self._meminfo(content, one_moment=one_moment)
        elif path == "proc/stat":
            self._stat_file(content)
            self._compare_stat(container, content)
        elif path == "proc/cpuinfo":
            self._cpuinfo(content)
        else:
            expect(_PLAIN[path].fullmatch(content), path, content)
        if path == "proc/uptime" and container in self._staying:
            age = float(content.split()[0])
            expect(age >= self._age.get(container, 0.0), "younger than before", content)
            self._age[container] = age

    def _meminfo(self, content: bytes, *, one_moment: bool) -> None:
        lines = content.splitlines()
        number = rb"\d+" if one_moment else rb"\d[\d ]*"  # "  9984 kB" of one, then "   104 kB" of the next: "9 104 kB"
        expect(all(re.fullmatch(rb"[\w()]+: +" + number + rb"( kB)?", line) for line in lines), "meminfo line", content)
        expect([line.split(b":")[0] for line in lines] == self._meminfo_names, "meminfo names", content)
        self._meminfo_length = self._meminfo_length or len(content)
        expect(len(content) == self._meminfo_length, "meminfo of another length", content)
        if one_moment:
            value = {line.split(b":")[0]: int(line.split()[1]) for line in lines}
            for part, total in ((b"MemFree", b"MemTotal"), (b"MemAvailable", b"MemTotal"), (b"SwapFree", b"SwapTotal")):
                expect(value[part] <= value[total], "more than there is", content)
            expect(value[b"MemTotal"] > 0, "no memory", content)

    def _stat_file(self, content: bytes) -> None:
        lines = [line.split() for line in content.splitlines()]
        names = [fields[0] for fields in lines]
        count = len(names) - 1 - len(_STAT)
        expect(names == [b"cpu", *(b"cpu%d" % number for number in range(count)), *_STAT], "stat names", content)
        expect(count >= 1, "no CPU", content)
        expect({len(fields) for fields in lines[: count + 1]} == {11}, "stat columns", content)
        expect(all(word.isdigit() for fields in lines for word in fields[1:]), "stat number", content)

    def _compare_stat(self, container: str, content: bytes) -> None:
        """No field falls. Others than those that stay may be new ones under an old name."""
        if container not in self._staying:
            return
        for name, *fields in (line.split() for line in content.splitlines() if line.startswith(b"cpu")):
            now = [int(word) for word in fields]
            before = self._stat.setdefault((container, name), now)
            expect(all(new >= old for new, old in zip(now, before, strict=True)), f"stat fell from {before}", content)
            self._stat[container, name] = now

    def _cpuinfo(self, content: bytes) -> None:
        stanzas = content.removesuffix(b"\n\n").split(b"\n\n")
        found = [re.findall(rb"^processor\t: (\d+)$", stanza, re.MULTILINE) for stanza in stanzas]
        expect(found == [[b"%d" % number] for number in range(len(stanzas))], "cpuinfo numbers", content)
        lines = [line for stanza in stanzas for line in stanza.split(b"\n")]
        expect(all(re.fullmatch(rb"[\w /-]+\t*: ?.*", line) for line in lines), "cpuinfo line", content)
        expect(len({stanza.count(b"\n") for stanza in stanzas}) == 1, "cpuinfo stanzas", content)


# ------------------------------------------------------------------------------------------------ the reader


class Reader:
    """Chooses container, connection, file and way."""

    def __init__(self, seed: int, open_directory: str, cached_directory: str, containers: list[str]) -> None:
        self._choose = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._roots = (open_directory, cached_directory)
        self._containers = containers
        self._checker = Checker(frozenset(containers))
        self.reads = 0
        self.gone = 0

    def read(self) -> None:
        """Read one file in one way."""
        root = self._choose.choice(self._roots)
        staying = self._choose.random() < 0.8
        container = self._choose.choice(self._containers if staying else os.listdir(root))
        # Half of the readings are of the file that both connections serve.
        path = self._choose.choice(FILES) if self._choose.random() < 0.5 else FILES[0]
        try:
            self._read_file(root, container, path, self._choose.choice(WAYS))
        except OSError as error:
            if staying or error.errno not in GONE:
                raise
            self.gone += 1

    def _read_file(self, root: str, container: str, path: str, way: Callable[[Opened], bytes]) -> None:
        opened = Opened(f"{root}/{container}/{path}", self._choose)
        try:
            content = way(opened)
            one_moment = way is not Opened.split or not opened.is_cached
            self._checker.check(container, path, content, one_moment=one_moment)
        finally:
            os.close(opened.fd)
            self.reads += opened.reads


def main(seed: str, count: str, open_directory: str, cached_directory: str, *containers: str) -> None:
    """Read ``count`` times."""
    reader = Reader(int(seed), open_directory, cached_directory, list(containers))
    try:
        while reader.reads < int(count):
            reader.read()
    except (Wrong, OSError) as error:
        sys.exit(f"reader {seed}: {type(error).__name__}: {error}")
    print(json.dumps({"reads": reader.reads, "gone": reader.gone}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
