"""Accepts connections, and ends those that do not behave: aiohttp waits for the end of a header for ever.

A connection has to bring a whole header within `Bounds.header_seconds` of its first byte (the first one of opening) and
in few bytes. When all places are taken, the connection that has been without a request for longest gives up its own;
when all are being served, new ones wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_BACKLOG: Final = 512
_HANDSHAKE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.1  # after an accept that failed: out of descriptors, or out of places

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may take."""

    connections: int = 512
    header_seconds: float = 10.0
    header_bytes: int = 32768
    idle_seconds: float = 120.0  # between requests: more than the minute that is a usual scrape interval


class Guard(asyncio.Protocol):
    """Stands between a connection and the protocol that serves it, with a clock."""

    def __init__(self, inner: asyncio.Protocol, listener: Listener) -> None:
        self._inner = inner
        self._listener = listener
        self._bounds = listener.bounds
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_header = True
        self.is_serving = False

    def begin_request(self) -> None:
        """Stop the clock: the header is complete."""
        self.is_serving = True
        self._in_header = False
        self._header_bytes = 0
        self._stop_clock()

    def end_request(self) -> None:
        """Start the clock: the next request may come."""
        self.is_serving = False
        self._start_clock(self._bounds.idle_seconds)

    def abort(self) -> None:
        """End the connection at once."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        self._transport = transport
        self._listener.opened(transport, self)
        self._start_clock(self._bounds.header_seconds)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what came, if it is not too much."""
        if not self.is_serving:
            if not self._in_header:
                self._in_header = True
                self._start_clock(self._bounds.header_seconds)
            self._header_bytes += len(data)
            if self._header_bytes > self._bounds.header_bytes:
                self.abort()
                return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Give the place back."""
        self._stop_clock()
        if self._transport is not None:
            self._listener.closed(self._transport)
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def _start_clock(self, seconds: float) -> None:
        self._stop_clock()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Listener:
    """Accepts on any number of sockets and hands each connection to a protocol behind a `Guard`.

    ``context`` is asked for each connection, so that certificates can be replaced while we run.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext | None],
        bounds: Bounds | None = None,
    ) -> None:
        self.bounds = bounds or Bounds()
        self._protocol = protocol
        self._context = context
        self._guards: dict[asyncio.BaseTransport, Guard] = {}  # in the order in which they were opened or last served
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open a socket and begin to accept; returns the address. Raises OSError."""
        listening = _bound(host, port)
        listening.settimeout(0)  # not blocking, as asyncio wants it
        self._sockets.append(listening)
        self._accepting.append(asyncio.get_running_loop().create_task(self._accept(listening)))
        name: tuple[str, int] = listening.getsockname()[:2]
        return name

    def guard(self, transport: asyncio.BaseTransport | None) -> Guard | None:
        """Find the guard of a connection."""
        return self._guards.get(transport) if transport is not None else None

    def opened(self, transport: asyncio.BaseTransport, guard: Guard) -> None:
        """Count a connection."""
        self._guards[transport] = guard

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        self._guards.pop(transport, None)

    @property
    def connections(self) -> int:
        """Connections that are open or being negotiated."""
        return len(self._guards) + len(self._handshakes)

    async def close(self) -> None:
        """Stop accepting, and end what is not being served."""
        for task in [*self._accepting, *self._handshakes]:
            task.cancel()
        await asyncio.gather(*self._accepting, *self._handshakes, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        for guard in list(self._guards.values()):
            if not guard.is_serving:
                guard.abort()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self.connections >= self.bounds.connections and not self._make_room():
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:  # EMFILE, or the client was gone already
                log.warning("a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            task = loop.create_task(self._serve(accepted))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        """Negotiate TLS, where it is on, and start the protocol."""
        loop = asyncio.get_running_loop()
        try:
            context = self._context()
            await loop.connect_accepted_socket(
                lambda: Guard(self._protocol(), self),
                accepted,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if context is not None else None,
            )
        except (OSError, ssl.SSLError, ConnectionError) as error:
            log.info("a connection was given up: %s", error)
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    def _make_room(self) -> bool:
        """End the connection that has been without a request for longest."""
        for transport, guard in self._guards.items():
            if not guard.is_serving:
                with contextlib.suppress(KeyError):
                    del self._guards[transport]
                guard.abort()
                return True
        return False


def _bound(host: str, port: int) -> socket.socket:
    """Open a socket; no host means every address of both families, where the machine has both."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
    found = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)  # noqa: S104 - asked for: no host
    return socket.create_server(found[0][4][:2], family=found[0][0], backlog=_BACKLOG)
