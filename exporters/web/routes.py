"""Where page, files and API are: ``/``, ``/web/NAME``, ``/api/v1/…``. docs/exporter.md describes the API."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from cgroup_model.oom import Report
from exporters.alerts.state import Outcome
from exporters.collector import Scraper
from exporters.negotiation import takes_gzip
from exporters.web import answers
from exporters.web.assets import HEADERS, Asset, load
from exporters.web.looks import Looks, Runner, packed

_JSON: Final = "application/json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from. ``run`` gets to the thread that reads; ``alerts`` and ``oom`` give None when off."""

    scraper: Callable[[], Scraper]
    run: Runner
    alerts: Callable[[], Outcome | None]
    oom: Callable[[], Report | None]
    telemetry_path: str = "/metrics"


class Web:
    """The routes of the page."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._looks = Looks(sources.scraper, sources.run)
        self._assets = load(sources.telemetry_path)
        self._metadata = packed(answers.metadata())

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add everything to a server; without the page itself when the metrics are at ``/``."""
        answers_of: Mapping[str, Callable[[web.Request], Awaitable[bytes]]] = {
            "containers": self._containers,
            "usage": self._usage,
            "container": self._container,
            "alerts": self._alerts,
            "oom": self._oom,
            "health": self._health,
            "metadata": self._give_metadata,
        }
        for name, answer in answers_of.items():
            router.add_get(f"/api/v1/{name}", _json_handler(answer))
        if self._sources.telemetry_path != "/":
            router.add_get("/", self._page)
            router.add_get("/web/{name}", self._file)

    # ------------------------------------------------------------------------------------------- the page

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return _sent(request, self._assets["index.html"])

    async def _file(self, request: web.Request) -> web.StreamResponse:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        return _sent(request, asset)

    # -------------------------------------------------------------------------------------------- the API

    async def _containers(self, _: web.Request) -> bytes:
        return (await self._looks.look()).containers

    async def _usage(self, _: web.Request) -> bytes:
        return (await self._looks.look()).usage

    async def _container(self, request: web.Request) -> bytes:
        path = request.query.get("id", "")
        if path not in (await self._looks.look()).ids:
            raise web.HTTPNotFound(text="there is no such container\n")
        scraper = self._sources.scraper()
        sheet = await self._sources.run(lambda: scraper.scrape_one(path))
        return packed(answers.container(sheet, path))

    async def _alerts(self, request: web.Request) -> bytes:
        return packed(answers.alerts(self._sources.alerts(), request.query.get("state", "")))

    async def _oom(self, _: web.Request) -> bytes:
        await self._looks.look()  # which brings the ledger up to date
        return packed(answers.oom(self._sources.oom()))

    async def _health(self, _: web.Request) -> bytes:
        return packed(answers.health(self._sources.scraper().status, self._sources.telemetry_path))

    async def _give_metadata(self, _: web.Request) -> bytes:
        return self._metadata


def _json_handler(
    answer: Callable[[web.Request], Awaitable[bytes]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {**HEADERS, "Cache-Control": "no-store"}
        try:
            body = await answer(request)
        except web.HTTPException:
            raise
        except Exception as error:
            log.exception("%s cannot be answered", request.path)
            raise web.HTTPInternalServerError(text="the exporter's log says why\n") from error
        return _response(request, body, _JSON, headers)

    return handle


def _sent(request: web.Request, asset: Asset) -> web.StreamResponse:
    """Send a file, or say that the browser has it already."""
    tag = f'"{asset.etag}"'
    headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return _response(request, asset.packed, asset.content_type, headers)


def _response(request: web.Request, body: bytes, kind: str, headers: Mapping[str, str]) -> web.Response:
    """Send what is kept compressed, in the form that the client can read."""
    more = {**headers, "Vary": "Accept-Encoding"}
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        more["Content-Encoding"] = "gzip"
    else:
        body = gzip.decompress(body)
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=more)
