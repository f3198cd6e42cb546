"""The server over real sockets: routes, sharing, users, and clients that do not behave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import gzip
import os
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path

import bcrypt
import pytest

from cgroup_model.oom.state import StateFile
from cgroup_model.snapshot import Need
from cgscope.yamlfile import ConfigError
from exporters.families import FAMILIES
from exporters.listener import Bounds
from exporters.metric import Family
from exporters.options import Options
from exporters.pages import Page, Pages, Request
from exporters.serving import Service, not_listening
from exporters.sheet import Sheet
from tests.exporters.scenes import SCENES, settings

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
Visit = Callable[[Service], Awaitable[None]]


class Answer:
    """An HTTP answer as it came."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.code = int(first.split()[1])
        self.headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}


@contextlib.asynccontextmanager
async def connected(service: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and hang up in the end."""
    reader, writer = await asyncio.open_connection(*service.addresses[0])
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server does by itself."""
    while not condition():  # noqa: ASYNC110 - the server is not to have events for tests
        await asyncio.sleep(0.01)


async def request(service: Service, path: str = "/metrics", *headers: str, method: str = "GET") -> Answer:
    """Ask once and read to the end."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    async with connected(service) as (reader, writer):
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        return Answer(await reader.read())


@contextlib.asynccontextmanager
async def serving(
    folder: Path, *, bounds: Bounds | None = None, reread: Callable[[], Options] | None = None, **more: object
) -> AsyncIterator[Service]:
    """Serve a scene on a free port."""
    SCENES["v2-docker"](folder)
    more.setdefault("settings", settings(folder, collectors={}))
    chosen = Options(listen=("127.0.0.1:0",), **more)  # type: ignore[arg-type]
    service = Service(chosen, reread or (lambda: chosen), bounds)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()


def visit(folder: Path, guest: Visit, **more: object) -> None:
    """Serve, and let somebody visit."""

    async def run() -> None:
        async with asyncio.timeout(60), serving(folder, **more) as service:  # type: ignore[arg-type]
            await guest(service)

    asyncio.run(run())


def test_formats_and_encodings(tmp_path: Path) -> None:
    """The classic format for everybody, OpenMetrics and gzip for who asks."""

    async def guest(service: Service) -> None:
        plain = await request(service)
        assert (plain.code, plain.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"# TYPE container_memory_usage_bytes gauge\n" in plain.body
        assert int(plain.headers["content-length"]) == len(plain.body)
        metrics = await request(service, "/metrics", "Accept: application/openmetrics-text", "Accept-Encoding: gzip")
        assert metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert gzip.decompress(metrics.body).endswith(b"# EOF\n")
        head = await request(service, method="HEAD")
        assert (head.code, head.body) == (200, b"")

    visit(tmp_path, guest)


def test_the_other_pages(tmp_path: Path) -> None:
    """Health, readiness, the page for people; anything else is not there, and nothing can be changed."""

    async def guest(service: Service) -> None:
        assert (await request(service, "/-/healthy")).code == 200
        assert (await request(service, "/-/ready")).code == 200
        assert b'href="metrics"' in (await request(service, "/")).body
        assert (await request(service, "/../../etc/passwd")).code == 404
        assert (await request(service, method="POST")).code == 405
        assert (await request(service, "/metrics?collect[]=nonsense")).code == 400
        some = await request(service, "/metrics?collect[]=pids&collect[]=info")
        assert {line.split(b"{")[0] for line in some.body.splitlines() if line[:1] != b"#"} >= {b"container_threads"}
        assert b"container_memory" not in some.body
        last = await request(service, "/metrics?collect[]=exporter")
        assert b'http_requests_total{path="other",code="404"} 1\n' in last.body

    visit(tmp_path, guest)


class Gate:
    """A family that stops in the middle of a scrape until it may go on; counts how often it was asked."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.scrapes = 0
        group = replace(FAMILIES["machine"].groups[0], select=self._select)
        self.family = Family("gate", "A test", (group,), Need.NOTHING, of="machine")

    def _select(self, _: object) -> None:
        self.scrapes += 1
        self.entered.set()
        assert self.open.wait(30)


def test_scrapes_at_the_same_time_share_one(tmp_path: Path) -> None:
    """200 clients that ask while a scrape runs get that one; the next one who asks gets a new one."""
    gate = Gate()

    async def guest(service: Service) -> None:
        service.scraper.families = {"gate": gate.family}
        first = asyncio.create_task(request(service))
        await asyncio.to_thread(gate.entered.wait)
        others = [asyncio.create_task(request(service)) for _ in range(199)]
        await until(lambda: service.writing >= 200)
        assert (await request(service, "/-/healthy")).code == 200  # the event loop is not blocked
        gate.open.set()
        assert {answer.code for answer in await asyncio.gather(first, *others)} == {200}
        assert gate.scrapes == 1
        await request(service)
        assert gate.scrapes == 2

    visit(tmp_path, guest)


def test_more_than_the_most_requests_are_refused(tmp_path: Path) -> None:
    """`--web.max-requests` bounds how many pages are made and sent at a time."""
    gate = Gate()

    async def guest(service: Service) -> None:
        service.scraper.families = {"gate": gate.family}
        tasks = [asyncio.create_task(request(service)) for _ in range(2)]
        await until(lambda: service.writing >= 2)
        assert (await request(service)).code == 503
        gate.open.set()
        assert {answer.code for answer in await asyncio.gather(*tasks)} == {200}
        assert (await request(service)).code == 200

    visit(tmp_path, guest, max_requests=2)


def test_a_client_that_leaves_does_not_end_the_scrape_for_others(tmp_path: Path) -> None:
    """Who goes away in the middle takes nothing from those who wait for the same page."""
    gate = Gate()

    async def guest(service: Service) -> None:
        service.scraper.families = {"gate": gate.family}
        leaver = asyncio.create_task(request(service))
        await asyncio.to_thread(gate.entered.wait)
        other = asyncio.create_task(request(service))
        await until(lambda: service.writing >= 2)
        leaver.cancel()
        gate.open.set()
        assert (await other).code == 200

    visit(tmp_path, guest)


def test_a_client_of_tls_that_leaves_is_not_written_to(
    web: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Prometheus gives a scrape up at its deadline: that is no news, and least of all a line for each write."""
    web.write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    clients: list[ssl.SSLSocket] = []

    def ask(address: tuple[str, int]) -> None:
        context = ssl.create_default_context(cafile=str(web.with_name("cert.pem")))
        clients.append(context.wrap_socket(socket.create_connection(address), server_hostname="localhost"))
        clients[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")

    async def page(_pages: Pages, _request: Request) -> Page:
        clients[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        clients[0].close()
        return Page((b"x" * 1000,) * 100)

    async def guest(service: Service) -> None:
        monkeypatch.setattr(Pages, "page", page)
        await asyncio.to_thread(ask, service.addresses[0])
        await until(lambda: bool(clients) and clients[0].fileno() < 0)
        await until(lambda: not service.connections)

    visit(web.parent, guest, web_config=str(web))
    assert "socket.send" not in caplog.text


def test_a_header_has_a_deadline(tmp_path: Path) -> None:
    """A client that sends its header byte by byte is cut off when the time for the whole header is over."""

    async def guest(service: Service) -> None:
        async with connected(service) as (reader, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(b"X: y\r\n")
                    await writer.drain()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.02):
                            await reader.read(1)
            assert reader.at_eof() or reader.exception() is not None
        assert (await request(service)).code == 200

    visit(tmp_path, guest, bounds=Bounds(header_seconds=1.0))


def test_silence_after_a_request_ends_too(tmp_path: Path) -> None:
    """A kept connection that says nothing more is closed, and so is one that begins a header and does not end it."""

    async def guest(service: Service) -> None:
        for more in (b"", b"GET /"):
            async with connected(service) as (reader, writer):
                writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                await reader.readuntil(b"healthy.\n")
                writer.write(more)
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""

    visit(tmp_path, guest, bounds=Bounds(header_seconds=1.0, idle_seconds=1.0))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
        b"GET /" + b"x" * 100_000,
        b"\0" * 100_000,
    ],
    ids=["one huge header", "many headers", "a huge path", "no HTTP"],
)
def test_huge_headers_are_refused(tmp_path: Path, head: bytes) -> None:
    """Whoever sends too much is cut off or answered with an error, and others are served."""

    async def guest(service: Service) -> None:
        async with connected(service) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(head)
                await writer.drain()
                answer = await reader.read()
                assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
        assert (await request(service)).code == 200

    visit(tmp_path, guest)


def test_connections_are_bounded(tmp_path: Path) -> None:
    """With all places taken by idlers, the one that idles longest makes room for a client that asks."""

    async def guest(service: Service) -> None:
        async with contextlib.AsyncExitStack() as stack:
            idlers = [await stack.enter_async_context(connected(service)) for _ in range(8)]
            await until(lambda: service.connections >= 4)
            assert (await request(service)).code == 200
            assert service.connections <= 4
            with contextlib.suppress(ConnectionResetError):
                assert await idlers[0][0].read() == b""  # the first one had to go

    visit(tmp_path, guest, bounds=Bounds(connections=4))


def test_users(tmp_path: Path) -> None:
    """Only users of the web configuration get in; health is open to all."""
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users:\n  me: {HASH}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n")

    def basic(pair: bytes) -> str:
        return f"Authorization: Basic {base64.b64encode(pair).decode()}"

    async def guest(service: Service) -> None:
        refused = await request(service)
        assert (refused.code, refused.headers["www-authenticate"]) == (401, 'Basic realm="cgroup-exporter"')
        assert refused.headers["x-frame-options"] == "deny"
        for wrong in (
            basic(b"me:wrong"),
            basic(b"you:secret"),
            basic(b"me"),
            "Authorization: Basic %%",
            basic(b"\xff:"),
        ):
            assert (await request(service, "/", wrong)).code == 401
        assert (await request(service, "/metrics", basic(b"me:secret"))).code == 200
        assert (await request(service, "/-/healthy")).code == 200

    visit(tmp_path / "scene", guest, web_config=str(web))


def test_reloading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A changed configuration is taken over with all counts; a wrong one is logged and changes nothing."""
    naming: list[str] = ["thin"]

    def reread() -> Options:
        if naming == ["wrong"]:
            raise ConfigError("x.yml", 1, 2, "as a test")
        return Options(settings=settings(tmp_path, collectors={}, naming=naming[0]))

    async def guest(service: Service) -> None:
        assert b'image="nginx:1",engine="docker"} 7' in (await request(service)).body
        await service.reload()
        thin = (await request(service)).body
        assert b'name="web"} 7' in thin
        assert b"cgroup_exporter_scrapes_total 2\n" in thin
        naming[:] = ["wrong"]
        await service.reload()
        assert b'name="web"} 7' in (await request(service)).body
        assert "x.yml:1:2: as a test; the old configuration stays in force" in caplog.text

    visit(tmp_path, guest, reread=reread)


def test_the_ledger_of_oom_kills_outlives_a_reload(tmp_path: Path) -> None:
    """What was counted goes on, also when other containers are exported now; and it is closed in the end."""

    async def guest(service: Service) -> None:
        before = service._exporter.oom
        await service.reload()
        assert service._exporter.oom is before
        assert (await request(service)).code == 200
        assert before.report().watched > 0

    def others() -> Options:
        return Options(settings=settings(tmp_path, collectors={}, cgroups="all"))

    visit(tmp_path, guest, reread=others)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EADDRINUSE, "another program, perhaps another exporter, listens there; choose with --listen"),
        (errno.EACCES, "a port below 1024 takes root or CAP_NET_BIND_SERVICE; choose with --listen"),
        (errno.EADDRNOTAVAIL, "no interface of this machine has that address; choose with --listen"),
        (errno.EAFNOSUPPORT, "choose with --listen"),
    ],
)
def test_why_nobody_can_listen_there(number: int, advice: str) -> None:
    """What is wrong, once, and what would help against that very error."""
    text = os.strerror(number)
    failure = not_listening("[::1]:80", OSError(number, f"{text} (while attempting to bind)"))
    assert (failure.message, failure.advice) == (f"cannot listen on [::1]:80: {text}", advice)


def test_two_exporters_do_not_share_what_they_remember(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is started beside another, without alerts and with the same state file, leaves the other's alone."""
    (tmp_path / "state").mkdir()
    remembered = tmp_path / "state" / "alerts.json"
    remembered.write_text("[]")

    async def guest(_: Service) -> None:
        assert remembered.exists()
        assert "another exporter uses it" in caplog.text

    chosen = settings(tmp_path, collectors={}, oom_state=str(tmp_path / "state" / "oom.json"))
    with contextlib.closing(StateFile(str(chosen.oom_state))):
        visit(tmp_path, guest, settings=chosen, alert_state=str(remembered))


def test_a_sheet_is_made_of_what_is_asked_for(tmp_path: Path) -> None:
    """Requests for different collectors are different scrapes, one after the other."""
    seen: list[Collection[str] | None] = []

    async def guest(service: Service) -> None:
        scrape = service.scraper.scrape

        def spy(only: Collection[str] | None = None) -> Sheet:
            seen.append(only)
            return scrape(only)

        service.scraper.scrape = spy  # type: ignore[method-assign]
        await asyncio.gather(request(service, "/metrics?collect[]=pids"), request(service, "/metrics?collect[]=info"))

    visit(tmp_path, guest)
    assert sorted(map(str, seen)) == ["frozenset({'info'})", "frozenset({'pids'})"]
