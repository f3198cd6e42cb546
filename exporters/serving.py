"""From options to a running server: opening, reloading on SIGHUP, ending on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiohttp import web

from cgroup_model.mounts import OutOfSight
from cgroup_model.oom import Report
from cgscope.errors import Failure
from cgscope.yamlfile import ConfigError
from exporters.alerts.service import Alerts
from exporters.collector import Scraper
from exporters.listener import Bounds, Listener
from exporters.options import Options, split_address
from exporters.pages import Pages
from exporters.server import Server, Site
from exporters.setup import Exporter
from exporters.web.routes import Sources, Web
from exporters.web_config import WebConfigFile

_GRACE_SECONDS = 5.0
_WHY_NOT: Final[Mapping[int | None, str]] = {
    errno.EADDRINUSE: "another program, perhaps another exporter, listens there",
    errno.EACCES: "a port below 1024 takes root or CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}

log = logging.getLogger(__name__)


class Service:
    """A running exporter. ``reread`` gives the options anew for SIGHUP; it raises `ConfigError` when they are wrong."""

    def __init__(self, chosen: Options, reread: Callable[[], Options], bounds: Bounds | None = None) -> None:
        self._chosen = chosen
        self._reread = reread
        self._exporter = Exporter(chosen.settings)
        self._exporter.watch()
        self._web_config = WebConfigFile(chosen.web_config)
        self._pages = Pages(lambda: self.scraper)
        self._alerts = Alerts(
            self._pages.run,
            lambda: self.scraper,
            fs_root=chosen.settings.fs_root,
            state_path=chosen.alert_state if self._exporter.oom.remembers else None,
        )
        site = Site(
            pages=self._pages,
            status=lambda: self.scraper.status,
            collectors=lambda: self.scraper.families,
            web_config=self._web_config,
            web=Web(self._sources(chosen.telemetry_path)),
            telemetry_path=chosen.telemetry_path,
            max_requests=chosen.max_requests,
        )
        self._server = Server(site)
        # Our own log says what is wrong; a client that sends nonsense is not worth a line each time.
        quiet = logging.getLogger("aiohttp.server")
        quiet.setLevel(logging.CRITICAL)
        self._runner = web.AppRunner(self._server.app, access_log=None, lingering_time=0.0, logger=quiet)
        self._bounds = bounds
        self._listener: Listener | None = None
        self._ended = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self.addresses: list[tuple[str, int]] = []

    @property
    def scraper(self) -> Scraper:
        """The one in force."""
        return self._exporter.scraper

    @property
    def uses_tls(self) -> bool:
        """True when clients have to speak TLS."""
        return self._web_config.current().context is not None

    @property
    def writing(self) -> int:
        """Pages that clients wait for or receive at this moment."""
        return self._server.writing

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return self._listener.connections if self._listener is not None else 0

    async def start(self) -> None:
        """Open the sockets. Raises Failure when that is not possible."""
        await self._runner.setup()
        protocol = self._runner.server
        if protocol is None:
            raise Failure("the HTTP server did not start")
        self._listener = Listener(protocol, lambda: self._web_config.current().context, self._bounds)
        self._server.listener = self._listener
        for address in self._chosen.listen:
            try:
                self.addresses.append(self._listener.listen(*split_address(address)))
            except OSError as error:
                raise not_listening(address, error) from error
        await self._apply_alerts()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ended.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        await self._ended.wait()

    async def stop(self) -> None:
        """Finish what is being served, for a few seconds, and close everything."""
        if self._listener is not None:
            await self._listener.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._runner.cleanup()
        await self._alerts.close()
        self._server.close()
        self._pages.close()
        self._exporter.close()

    async def reload(self) -> None:
        """Take over a changed configuration; a wrong one is logged, and everything stays as it is."""
        async with self._changing:
            await self._reload()

    async def _reload(self) -> None:
        try:
            chosen = self._reread()
            exporter = Exporter(chosen.settings, heir_of=self._exporter)
            exporter.watch()
        except (ConfigError, OutOfSight, OSError) as error:
            log.error("%s; the old configuration stays in force", error)  # noqa: TRY400 - no traceback for users
            return
        if _serving(chosen) != _serving(self._chosen):
            log.warning("what was changed about serving (listen, web-config, web.*) takes effect with the next start")
        self._chosen = chosen
        await self._pages.run(lambda: self._replace(exporter))
        await self._apply_alerts()
        log.info("configuration reloaded")

    async def _apply_alerts(self) -> None:
        """Evaluate alerts, or do not, as is chosen now."""
        await self._alerts.apply(self._chosen.alerts)
        self._exporter.world.alerts = self._alerts.board

    def _sources(self, telemetry_path: str) -> Sources:
        """Tell the web page where to look."""
        return Sources(
            scraper=lambda: self.scraper,
            run=self._pages.run,
            alerts=lambda: self._alerts.outcome,
            oom=self._oom_report,
            telemetry_path=telemetry_path,
        )

    def _oom_report(self) -> Report | None:
        reader = self._exporter.world.oom
        return reader.report if reader is not None else None

    def _replace(self, exporter: Exporter) -> None:
        """Go on with another exporter; what has been counted goes on too."""
        old, self._exporter = self._exporter, exporter
        exporter.world.alerts = old.world.alerts
        status, before = exporter.scraper.status, old.scraper.status
        status.started_epoch, status.scrapes, status.vanished = before.started_epoch, before.scrapes, before.vanished
        status.series_dropped, status.http = before.series_dropped, before.http
        old.close()

    def _hang_up(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self.reload())


async def serve(chosen: Options, reread: Callable[[], Options], remarks: Iterable[str] = ()) -> None:
    """Serve until told to end, and log ``remarks`` as soon as that has begun.

    Raises Failure, ConfigError, OSError, OutOfSight when it cannot begin.
    """
    service = Service(chosen, reread)
    try:
        await service.start()
        for host, port in service.addresses:
            name = f"[{host}]" if ":" in host else host
            scheme = "https" if service.uses_tls else "http"
            log.info("serving %s://%s:%d%s", scheme, name, port, chosen.telemetry_path)
        for remark in remarks:
            log.info("%s", remark)
        await service.run()
    finally:
        await service.stop()


def _serving(chosen: Options) -> tuple[object, ...]:
    """Tell the options that the server is made of."""
    return chosen.listen, chosen.web_config, chosen.telemetry_path, chosen.max_requests


def not_listening(address: str, error: OSError) -> Failure:
    """Say why a socket could not be opened: in the system's words, to which Python adds the address once more."""
    is_resolvers = isinstance(error, socket.gaierror)  # which has numbers of its own
    reason = error.strerror if is_resolvers or error.errno is None else os.strerror(error.errno)
    advice = "; ".join(filter(None, (_WHY_NOT.get(error.errno), "choose with --listen")))
    return Failure(f"cannot listen on {address}: {reason}", advice)
