"""Pages for many clients at once: those who ask while a page is being made get that same page.

Reading happens in one thread of its own, one scrape after the other, so that the event loop always answers.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from exporters.collector import Scraper
from exporters.encoder import Format, encode
from exporters.garbage import Garbage

_PIECE: Final = 1 << 16
_GZIP: Final = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header
_FASTEST: Final = 1  # 16 ms for 10 MB, where the default takes 85 ms

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants. ``only``: names of families, None for all."""

    only: frozenset[str] | None
    form: Format
    gzip: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A page, metric by metric or as it was compressed."""

    chunks: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.chunks))

    def pieces(self) -> Iterator[bytes]:
        """Cut it as connections take it, since each piece is a system call; one at a time is in memory twice."""
        kept, size = [], 0
        for chunk in self.chunks:
            kept.append(chunk)
            size += len(chunk)
            if size >= _PIECE:
                whole = b"".join(kept)
                yield from (whole[start : start + _PIECE] for start in range(0, size, _PIECE))
                kept, size = [], 0
        if kept:
            yield b"".join(kept)


class Pages:
    """Makes pages. ``scraper`` is asked for each, so that it can be replaced."""

    def __init__(self, scraper: Callable[[], Scraper]) -> None:
        self._scraper = scraper
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scrape")
        self._running: dict[Request, asyncio.Task[Page]] = {}
        self._garbage = Garbage()

    async def page(self, request: Request) -> Page:
        """Make a page, or wait for the one that is being made for somebody else."""
        task = self._running.get(request)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._make(request))
            self._running[request] = task
            task.add_done_callback(lambda _: self._running.pop(request, None))
        # A client that goes away must not take the page from the others.
        return await asyncio.shield(task)

    async def run(self, function: Callable[[], Made]) -> Made:
        """Run something between two scrapes; gives what it gives."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def close(self) -> None:
        """Wait for the scrape that is running, and end the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _make(self, request: Request) -> Page:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._write, request)

    def _write(self, request: Request) -> Page:
        with self._garbage.put_off():
            chunks = encode(self._scraper().scrape(request.only), request.form)
            return Page(tuple(compressed(chunks) if request.gzip else chunks))


def compressed(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """Compress piece by piece, so that the page is never in memory as a whole."""
    compressor = zlib.compressobj(_FASTEST, wbits=_GZIP)
    for chunk in chunks:
        if piece := compressor.compress(chunk):
            yield piece
    yield compressor.flush()
