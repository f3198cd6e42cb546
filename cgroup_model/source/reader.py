"""What control files say, and what was made of it: nothing is parsed or worked out twice, where that gives the same."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from itertools import repeat
from typing import Final, TypeVar

from cgroup_model.remembered import UNKNOWN, Remembered
from cgroup_model.source.files import FIRST_READ, Files
from cgroup_model.source.records import Parse, Record, Trace

Value = TypeVar("Value")
_IN_ONE_GO: Final = repeat(FIRST_READ)
_FROM_THE_START: Final = repeat(0)


class Source(Files):
    """Control files, and what they say. With ``remember``, see `record`, `settings` and `derived`."""

    def __init__(
        self,
        budget: int | None = None,
        *,
        absent_seconds: float = 1.0,
        settled_seconds: float = 0.0,
        remember: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records: dict[str, dict[Parse, Record]] = {}
        self._remembered = Remembered() if remember else None
        self._traced: list[tuple[str, Record]] | None = None
        super().__init__(budget, absent_seconds=absent_seconds, settled_seconds=settled_seconds, clock=clock)

    @property
    def remembers(self) -> bool:
        """Whether settings and records are remembered."""
        return self._remembered is not None

    def record(self, directory: str, names: tuple[str, ...], parse: Callable[..., Value], *more: object) -> Value:
        """Read several files and parse them: ``parse(*contents, *more)``, None for a file that is not there.

        The same contents may give the very same record as before, so it must be a frozen one. Errors as `read_all`
        and ``parse``.
        """
        if self._remembered is None:
            return parse(*self.read_all(directory, names), *more)
        with self._lock:
            self._looks += 1
            known = self._records[directory].get(parse) if directory in self._records else None
            raw = self._read_again(directory, known) if known is not None and known.names == names else None
        in_one_go = raw is not None
        if raw is None:
            raw = list(self.read_all(directory, names))
        value: Value
        if known is not None and known.raw == raw and known.more == more:
            value = known.value
            if in_one_go:
                if self._traced is not None:
                    self._traced.append((directory, known))
                return value
        else:
            value = parse(*raw, *more)
        # As texts of their own: those that were read lie in what is left of buffers of `FIRST_READ` bytes.
        raw = [None if data is None else b"%b" % data for data in raw]
        with self._lock:
            records = self._records.setdefault(directory, {})
            if in_one_go and known is not None and records.get(parse) is known:  # by descriptors that are still kept
                records[parse] = Record(names, raw, more, value, known.descriptors, known.good_until)
            else:
                records[parse] = self._recorded(directory, names, raw, more, value)
        return value

    def settings(self, directory: str, names: tuple[str, ...], parse: Callable[..., Value]) -> Value:
        """Do the same with files that only a write changes; they are read when somebody wrote in the directory.

        Or in one above, since some are inherited; these are watched as far as their settings are asked for as well.
        """
        if self._remembered is None:
            return parse(*self.read_all(directory, names))
        key = (names, parse)
        value: Value = self._remembered.setting(directory, key)
        if value is UNKNOWN:
            watched = self._remembered.watch(directory)
            value = parse(*self.read_all(directory, names, keep=not watched))
            if watched:
                self._remembered.put_setting(directory, key, value)
        return value

    def derived(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Work something out; of nothing but remembered settings only once, until one of them is written.

        ``key`` stands for the question, with everything beside the settings that the answer depends on.
        """
        if self._remembered is None:
            return make()
        value: Value = self._remembered.derived(key)
        if value is UNKNOWN:
            looks = self._looks
            value = make()
            if looks == self._looks:
                self._remembered.put_derived(key, value)
        return value

    def is_settled(self, key: Hashable) -> bool:
        """Tell whether `derived` remembers an answer."""
        return self._remembered is not None and self._remembered.derived(key) is not UNKNOWN

    def traced(self, make: Callable[[], Value]) -> tuple[Value, Trace | None]:
        """Work something out, and note what it is made of: of settings, and of records that said the same as before.

        None if of anything else, or if others read at the same time. For one thread at once.
        """
        if self._remembered is None:
            return make(), None
        looks, version, self._traced = self._looks, self._remembered.version, []
        try:
            value, records = make(), self._traced
        finally:
            self._traced = None
        is_all = self._looks - looks == len(records) and self._remembered.version == version
        return value, self._trace(version, records) if is_all else None

    def unchanged(self, trace: Trace, directories: Collection[str]) -> bool:
        """Tell whether all files say the same, and settings of ``directories`` and above are what they were.

        Raises OSError.
        """
        if self._remembered is None or not self._remembered.same_since(trace.settings, directories):
            return False
        with self._lock:
            self._looks += 1
            if trace.good_until != math.inf and self._clock() >= trace.good_until:
                return False
            records, touch = self._records, self._kept.touch
            for directory, known in trace.places:
                if records.get(directory) is not known:
                    return False
                touch(directory)
            if not _say_the_same(trace):
                return False
        trace.settings = self._remembered.version
        return True

    def refresh(self) -> None:
        """Take in what was written: what is read from now on is not older than this moment."""
        self._kept.refresh()
        if self._remembered is None:
            return
        written = self._remembered.refresh()
        with self._lock:
            for directory in written:
                self._absent.forget(directory)
                self._records.pop(directory, None)

    def clear_settings(self) -> None:
        """Read all settings anew: the machine itself changed."""
        if self._remembered is not None:
            self._remembered.clear_settings()

    def close(self) -> None:
        """Drop everything; the source can still be used."""
        super().close()
        with self._lock:
            self._records.clear()
            if self._remembered is not None:
                self._remembered.close()

    def _trace(self, version: int, records: Iterable[tuple[str, Record]]) -> Trace | None:
        """Put together how to read records again; None when one of them must be read file by file."""
        places: dict[str, Mapping[Parse, Record]] = {}
        descriptors: list[int] = []
        said: list[bytes] = []
        until = math.inf
        for directory, record in records:
            known = self._records.get(directory)
            if record.descriptors is None or known is None:
                return None
            until = min(until, record.good_until)
            for descriptor, data in zip(record.descriptors, record.raw, strict=True):
                if descriptor is not None and data is not None:
                    places[directory] = known
                    descriptors.append(descriptor)
                    said.append(data)
        return Trace(version, tuple(places.items()), tuple(descriptors), said, until)

    def _read_again(self, directory: str, known: Record) -> list[bytes | None] | None:
        """Read the files of a record in one go; None when they must be read one by one."""
        if known.descriptors is None or (known.good_until != math.inf and self._clock() >= known.good_until):
            return None
        if not known.names:
            return []
        self._kept.touch(directory)
        pread = os.pread
        try:
            raw = [None if one is None else pread(one, FIRST_READ, 0) for one in known.descriptors]
        except OSError as error:
            raise self._gone(directory, error) from error
        if raw != known.raw and max(map(len, filter(None, raw)), default=0) >= self._whole:
            return None
        return raw

    def _recorded(
        self,
        directory: str,
        names: tuple[str, ...],
        raw: list[bytes | None],
        more: tuple[object, ...],
        value: object,
    ) -> Record:
        """Note what was made of which bytes, and how to read them again in one go, if they can be."""
        kept = self._kept.of(directory)
        descriptors = tuple(map(kept.get, names))
        missing = [name for name, data in zip(names, raw, strict=True) if data is None]
        short = all(data is None or len(data) < self._whole for data in raw)
        in_use = bool(kept) or not names  # a directory in which nothing is open cannot be counted as used
        complete = in_use and short and len(missing) == descriptors.count(None)
        until = min((self._absent.until(directory, name) for name in missing), default=math.inf)
        return Record(names, raw, more, value, descriptors if complete else None, until)

    def _forgotten(self, directory: str) -> None:
        super()._forgotten(directory)
        self._records.pop(directory, None)
        if self._remembered is not None:
            self._remembered.forget(directory)


def _say_the_same(trace: Trace) -> bool:
    """Read all files again; the one that is known to change first, and the others only if it has not."""
    first = trace.restless
    if first >= 0 and os.pread(trace.descriptors[first], FIRST_READ, 0) != trace.said[first]:
        return False
    now = [*map(os.pread, trace.descriptors, _IN_ONE_GO, _FROM_THE_START)]
    if now == trace.said:
        return True
    trace.restless = next(place for place, said in enumerate(trace.said) if now[place] != said)
    return False
