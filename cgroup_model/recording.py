"""Looks at a machine, kept in one SQLite file: record, bounded by age and size, and replay on any machine.

A look is one transaction in a write-ahead log, so that SIGKILL at any moment leaves all looks but perhaps the last. A
full disk costs the oldest looks first; when even that does not help, the look is lost, and `Recorder.problem` says so.

    meta(key TEXT PRIMARY KEY, value TEXT)                   format "1"
    looks(id INTEGER PRIMARY KEY, time REAL, ooms INTEGER, data BLOB)   data: zlib of JSON of a `Look`
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from cgroup_model.codec import Memo, decode, encode
from cgroup_model.engines import Identity
from cgroup_model.machine import Machine
from cgroup_model.rates import Moment, oom_kills
from cgroup_model.snapshot import Host

FORMAT: Final = "1"
DEFAULT_SECONDS: Final = 24 * 3600.0
DEFAULT_BYTES: Final = 256 << 20

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS looks (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, ooms INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS looks_time ON looks (time);
"""
_TRIM_EVERY: Final = 16  # looks
_LOWEST_SHARE: Final = 0.9  # of the size bound: what is left after trimming
_LARGEST_LOOK: Final = 256 << 20  # bytes of JSON; a damaged file must not fill the memory
_ZLIB_LEVEL: Final = 3


class RecordingError(Exception):
    """The file is no recording, cannot be read or written; the text is one line."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One cgroup of a look."""

    path: str
    inode: int
    identity: Identity
    moment: Moment


@dataclass(frozen=True, slots=True)
class Look:
    """The machine and its cgroups at one moment."""

    taken_at: float  # seconds since the epoch
    hostname: str
    world: str
    machine: Machine
    missing: tuple[str, ...] = ()
    cgroups: tuple[Recorded, ...] = ()

    @property
    def ooms(self) -> int:
        """All processes that were ever killed for lack of memory in the recorded cgroups."""
        return sum(oom_kills(one.moment.snapshot) or 0 for one in self.cgroups)


class Recorder:
    """Writes looks. Several may not write into one file at once."""

    def __init__(self, path: str, *, most_seconds: float = DEFAULT_SECONDS, most_bytes: int = DEFAULT_BYTES) -> None:
        """Open or make the file; raises `RecordingError`."""
        self.problem: str | None = None
        self._path = path
        self._most_seconds = most_seconds
        self._most_bytes = most_bytes
        self._count = 0
        self._memo = Memo()
        with _reported(path, "record to"), contextlib.ExitStack() as undo:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=1.0)
            undo.callback(self._database.close)
            self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self._database.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
            undo.pop_all()

    def add(self, look: Look) -> bool:
        """Keep a look; False when that was not possible, see `problem`."""
        data = pack(look, self._memo)
        self._memo.turn()
        for _attempt in range(2):
            try:
                self._insert(look, data)
            except sqlite3.Error as error:
                self.problem = f"recording to {self._path}: {error}"
                self._trim(self._bytes() // 2)  # a full disk: the past makes room for the present
                continue
            self.problem = None
            return True
        return False

    def close(self) -> None:
        """Leave one file, without a log beside it, that also opens where nothing may be written."""
        with contextlib.suppress(sqlite3.Error):  # somebody replays it now: the log stays
            self._database.execute("PRAGMA journal_mode = DELETE")
        self._database.close()

    def _insert(self, look: Look, data: bytes) -> None:
        with self._database:
            row = (look.taken_at, look.ooms, data)
            self._database.execute("INSERT INTO looks (time, ooms, data) VALUES (?, ?, ?)", row)
        self._count += 1
        if self._count % _TRIM_EVERY == 0:
            self._database.execute("DELETE FROM looks WHERE time < ?", (look.taken_at - self._most_seconds,))
            if self._bytes() > self._most_bytes:
                self._trim(int(self._most_bytes * _LOWEST_SHARE))
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _bytes(self) -> int:
        """Bytes that looks take; pages that deleted ones left are used again."""
        try:
            found = self._database.execute("SELECT total(length(data)) FROM looks").fetchone()
        except sqlite3.Error:
            return 0
        return int(found[0])

    def _trim(self, most_bytes: int) -> None:
        """Drop the oldest looks until the rest fits."""
        try:
            kept = 0
            for identifier, size in self._database.execute("SELECT id, length(data) FROM looks ORDER BY id DESC"):
                kept += size
                if kept > most_bytes:
                    self._database.execute("DELETE FROM looks WHERE id <= ?", (identifier,))
                    break
            self._database.execute("PRAGMA incremental_vacuum").fetchall()
        except sqlite3.Error as error:
            self.problem = f"recording to {self._path}: {error}"


class Recording:
    """Reads looks, also while somebody records."""

    def __init__(self, path: str) -> None:
        """Open the file; raises `RecordingError`."""
        self._path = path
        with _reported(path, "replay"), contextlib.ExitStack() as undo:
            open(path, "rb").close()  # the kernel says better than SQLite why a file cannot be opened
            # By URI, since connecting to a path that does not exist would make an empty file.
            name = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            self._database = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=1.0)
            undo.callback(self._database.close)
            tables = self._database.execute("SELECT name FROM sqlite_master WHERE name IN ('meta', 'looks')").fetchall()
            if len(tables) < 2:
                raise RecordingError(f"cannot replay {path}: it is no recording of ctop")
            found = self._database.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
            if found is None or found[0] != FORMAT:
                raise RecordingError(f"cannot replay {path}: it has format {found and found[0]!r}, known is {FORMAT}")
            rows = self._database.execute("SELECT id, time, ooms FROM looks ORDER BY id").fetchall()
            undo.pop_all()
        self._ids = [int(row[0]) for row in rows]
        self.times = [float(row[1]) for row in rows]
        """When each look was taken; seconds since the epoch."""
        self._ooms = [int(row[2]) for row in rows]

    def __len__(self) -> int:
        """How many looks there are."""
        return len(self._ids)

    def look(self, index: int) -> Look:
        """Read one look; raises `RecordingError`, IndexError."""
        with _reported(self._path, "replay"):
            row = self._database.execute("SELECT data FROM looks WHERE id = ?", (self._ids[index],)).fetchone()
        if row is None:
            raise RecordingError(f"cannot replay {self._path}: look {index + 1} was dropped by whoever records")
        try:
            return unpack(row[0])
        except (ValueError, zlib.error) as error:
            raise RecordingError(f"cannot replay {self._path}: look {index + 1} is damaged: {error}") from error

    def at(self, seconds: float) -> int:
        """The last look at or before a time; the first when all are later."""
        return max(0, bisect_right(self.times, seconds) - 1)

    def next_oom(self, after: int) -> int | None:
        """The next look after this one in whose interval somebody was killed for lack of memory."""
        later = range(max(1, after + 1), len(self._ooms))
        return next((index for index in later if self._ooms[index] > self._ooms[index - 1]), None)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def pack(look: Look, memo: Memo | None = None) -> bytes:
    """Turn a look into bytes; the host's raw files are left out. ``memo``: what was packed before need not be again."""
    slim = tuple(replace(one, moment=_slim(one.moment)) for one in look.cgroups)
    text = json.dumps(encode(replace(look, cgroups=slim), memo), separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), _ZLIB_LEVEL)


def unpack(data: bytes) -> Look:
    """Invert `pack`; raises ValueError or zlib.error."""
    inflate = zlib.decompressobj()
    text = inflate.decompress(data, _LARGEST_LOOK)
    if inflate.unconsumed_tail:
        raise ValueError("it is too large")
    found: Look = decode(Look, json.loads(text))
    return found


def _slim(moment: Moment) -> Moment:
    host = Host(online_cpus=moment.snapshot.host.online_cpus)
    return replace(moment, snapshot=replace(moment.snapshot, host=host))


@contextlib.contextmanager
def _reported(path: str, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(f"cannot {doing} {path}: {error.strerror}") from error
    except (sqlite3.Error, UnicodeError) as error:
        raise RecordingError(f"cannot {doing} {path}: {error}") from error
