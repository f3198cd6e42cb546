"""The HTTP side: routes, who may come in, and how pages are sent.

Paths: ``/metrics`` (``?collect[]=NAME`` for some families only), ``/-/healthy``, ``/-/ready``, and those
of `exporters.web`. Health needs no password: whoever asks it, a kubelet for one, has none, and it tells nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from exporters.encoder import CONTENT_TYPES
from exporters.listener import Listener
from exporters.negotiation import choose_format, takes_gzip
from exporters.pages import Page, Pages, Request
from exporters.status import Status
from exporters.web.routes import Web
from exporters.web_config import WebConfig, WebConfigFile

_OPEN: Final = frozenset({"/-/healthy", "/-/ready"})
_SEND_SECONDS: Final = 60.0  # a client that takes longer for a page is given up
_MOST_CHECKS: Final = 16  # passwords that wait to be checked

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes serve. ``collectors`` gives the names of the families that are switched on now."""

    pages: Pages
    status: Callable[[], Status]
    collectors: Callable[[], Mapping[str, object]]
    web_config: WebConfigFile
    web: Web
    telemetry_path: str = "/metrics"
    max_requests: int = 256


class Server:
    """One application for all connections."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.writing = 0  # pages that clients wait for or receive
        self._checking = 0
        # One thread: bcrypt is slow on purpose, and whoever tries passwords must not get all CPUs.
        self._passwords = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
        self.listener: Listener | None = None
        self.app = web.Application(middlewares=[self._framed, self._authorized])
        self.app.on_response_prepare.append(self._add_headers)
        self.app.router.add_get(site.telemetry_path, self._metrics)
        self.app.router.add_get("/-/healthy", self._healthy)
        self.app.router.add_get("/-/ready", self._ready)
        site.web.add_to(self.app.router)

    def close(self) -> None:
        """End the thread that checks passwords."""
        self._passwords.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------------------------- middlewares

    async def _add_headers(self, _: web.Request, response: web.StreamResponse) -> None:
        """Say who we are, without versions, and add the headers that were asked for."""
        response.headers["Server"] = "cgroup-exporter"
        for name, content in self._site.web_config.current().headers.items():
            response.headers[name] = content

    @web.middleware
    async def _framed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stop the connection's clock while it is served, and count."""
        guard = self.listener.guard(request.transport) if self.listener is not None else None
        if guard is not None:
            guard.begin_request()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _plain(error.status, error.text or error.reason, error.headers)
        finally:
            if guard is not None:
                guard.end_request()
        self._site.status().http[_known_path(request), str(response.status)] += 1
        return response

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nobody in whom the web configuration does not know."""
        config = self._site.web_config.current()
        if request.path not in _OPEN:
            _check_certificate(request, config)
            if config.users and not await self._may_enter(request):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="cgroup-exporter"'})
        return await handler(request)

    async def _may_enter(self, request: web.Request) -> bool:
        user, password = _credentials(request.headers.get("Authorization", ""))
        if user is None or password is None:
            return False
        if self._site.web_config.is_proven(user, password):
            return True
        if self._checking >= _MOST_CHECKS:
            raise web.HTTPServiceUnavailable(text="too many passwords are being checked")
        self._checking += 1
        try:
            check = self._site.web_config.check
            return await asyncio.get_running_loop().run_in_executor(self._passwords, check, user, password)
        finally:
            self._checking -= 1

    # ----------------------------------------------------------------------------------------- routes

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        if self.writing >= self._site.max_requests:
            raise web.HTTPServiceUnavailable(text="too many scrapes at the same time")
        self.writing += 1
        try:
            wanted = self._wanted(request)
            return await self._send(request, wanted, await self._site.pages.page(wanted))
        finally:
            self.writing -= 1

    def _wanted(self, request: web.Request) -> Request:
        known = self._site.collectors()
        names = frozenset(request.query.getall("collect[]", []))
        if unknown := sorted(names - known.keys()):
            text = f"collectors that are unknown or switched off: {', '.join(unknown)}"
            raise web.HTTPBadRequest(text=f"{text}; there are {', '.join(known)}")
        return Request(
            names or None,
            choose_format(request.headers.get("Accept", "")),
            takes_gzip(request.headers.get("Accept-Encoding", "")),
        )

    async def _send(self, request: web.Request, wanted: Request, page: Page) -> web.StreamResponse:
        """Send a page piece by piece: however many clients are slow, it is in memory once."""
        response = web.StreamResponse()
        response.headers["Content-Type"] = CONTENT_TYPES[wanted.form]
        response.headers["Vary"] = "Accept, Accept-Encoding"
        if wanted.gzip:
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = page.size
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await response.prepare(request)
                for piece in page.pieces() if request.method != "HEAD" else ():
                    await response.write(piece)
                    await asyncio.sleep(0)  # or nobody notices that the client is gone, until the page is at its end
                await response.write_eof()
        except (TimeoutError, ConnectionError):  # too slow, or gone
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _healthy(self, _: web.Request) -> web.Response:
        return _plain(200, "cgroup-exporter is healthy.\n")

    async def _ready(self, _: web.Request) -> web.Response:
        return _plain(200, "cgroup-exporter is ready.\n")


def _plain(code: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    kept = {name: content for name, content in (headers or {}).items() if name in ("WWW-Authenticate", "Allow")}
    return web.Response(status=code, text=text, headers=kept)


def _known_path(request: web.Request) -> str:
    """Give the path if it is one of ours: strangers must not make series."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "other"


def _credentials(header: str) -> tuple[str | None, str | None]:
    """Take user and password out of an Authorization header; None for what is no Basic one."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (user, password) if colon else (None, None)


def _check_certificate(request: web.Request, config: WebConfig) -> None:
    """Compare the names in the client's certificate with those that may come in, where there is such a list."""
    if not config.allowed_sans:
        return
    certificate = request.get_extra_info("peercert") or {}
    names = {name for _kind, name in certificate.get("subjectAltName", ())}
    if not names & config.allowed_sans:
        raise web.HTTPForbidden(text="this certificate is not allowed here")
