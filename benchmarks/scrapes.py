"""Scrapes of many cgroups: our exporter, netdata's cgroups plugin, node_exporter, prometheus-client's own encoder."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from benchmarks.crowd import Crowd, crowd, tell_docker
from benchmarks.floors import collected
from benchmarks.kit import Kit, at_sizes, in_turn
from benchmarks.peers import tools
from benchmarks.results import FLOOR
from benchmarks.servers import Server
from benchmarks.touched import files_read
from exporters.encoder import encode
from exporters.registry import families
from exporters.setup import Exporter, Settings
from exporters.sheet import Sheet
from scripts.debian_tools import FetchError, Unavailable

CGROUPS: Final = (10, 100, 1000, 5000)
SCRAPES: Final = 10
FEW_SCRAPES: Final = 4
IDLE_SECONDS: Final = 5.0
EVERY_SECONDS: Final = 15.0
BUSY_EVERY: Final = 10  # containers
BUSY: Final = "scrape, a tenth busy"
_START_SECONDS: Final = 60.0
_MANY: Final = 1000  # with more a scrape takes seconds, and netdata does not answer within a minute
_NETDATA: Final = """[global]
 run as user = root
 hostname = bench
[directories]
 config = {folder}
 stock config = {folder}
 plugins = {folder}
 cache = {folder}/cache
 lib = {folder}/lib
 log = {folder}/log
 web = {folder}
[db]
 mode = alloc
 retention = 60
 update every = 1
[ml]
 enabled = no
[health]
 enabled = no
[statsd]
 enabled = no
[logs]
 debug = none
 error = none
 access = none
[web]
 mode = static-threaded
 bind to = 127.0.0.1:{port}
[plugins]
 enable running new plugins = no
 proc = no
 diskspace = no
 timex = no
 tc = no
 idlejitter = no
 checks = no
 slabinfo = no
 apps = no
 python.d = no
 charts.d = no
 go.d = no
 node.d = no
 cgroups = yes
 netdata monitoring = no
[plugin:cgroups]
 check for new cgroups every = 2
 enable by default new cgroups matching = *
 enable by default cgroups names matching = *
 search for cgroups in subpaths matching = *
 max cgroups to allow = 20000
 script to get cgroup names = /bin/true
"""

Page = Callable[[], int]
"""Fetches a page; returns its size."""


def measure(kit: Kit) -> None:
    """Measure all of it."""
    with crowd() as containers:
        for number in at_sizes(kit, "scrapes", (1000,) if kit.quick else CGROUPS):
            containers.grow_to(number, sleeping=True)
            tell_docker(containers.paths, kit.folder)
            _scraped(kit, number, containers)
            _alone(kit, number, containers)


def _scraped(kit: Kit, number: int, containers: Crowd) -> None:
    """Scrape the servers in turn, and look at what they do when nobody asks; then once more with busy containers."""
    with contextlib.ExitStack() as stack:
        servers = dict(_servers(kit, stack, number))
        times = FEW_SCRAPES if kit.quick or number > _MANY else SCRAPES
        for name in servers:
            fetch(servers[name][1])  # the first opens files
        for name in in_turn(servers, times):
            scrape(kit, "scrape", name, servers[name], number)
        before_all = {name: server.cpu_seconds() for name, (server, _url) in servers.items()}
        time.sleep(IDLE_SECONDS)
        for name, (server, _url) in servers.items():
            idle = (server.cpu_seconds() - before_all[name]) * 1000 / IDLE_SECONDS
            memory = server.memory()
            figures = {"background_msec": idle, **{key: memory[key] for key in ("rss_mib", "descriptors_count")}}
            kit.results.add("scraped", name, figures, size=number, of="cgroups")
            # Who collects all the time answers quickly: what both cost in all is what compares.
            asked = kit.results.find("scrape", name, "cpu_msec", number)
            in_all = {"cpu_msec": (asked.median if asked else 0.0) + EVERY_SECONDS * idle}
            kit.results.add(f"scraped every {EVERY_SECONDS:g} s, in all", name, in_all, size=number, of="cgroups")
        containers.employ(BUSY_EVERY)
        for name in in_turn(servers, times):
            containers.work()
            scrape(kit, BUSY, name, servers[name], number)


def scrape(kit: Kit, case: str, name: str, serving: tuple[Server, str], number: int) -> None:
    """Scrape one server once."""
    server, url = serving
    before, began = server.cpu_seconds(), time.monotonic()
    size = fetch(url)
    took = time.monotonic() - began
    spent = server.cpu_seconds() - before
    figures = {"latency_msec": took * 1000, "cpu_msec": spent * 1000, "page_bytes": float(size)}
    kit.results.add(case, name, figures, size=number, of="cgroups")


def _alone(kit: Kit, number: int, containers: Crowd) -> None:
    """Without a server: what a scrape reads, in C; one sheet through our encoder and prometheus-client's, CPU time."""
    with Exporter(Settings(kmsg=None, fs_root=kit.folder)) as inside:

        def with_work() -> None:
            containers.work()
            inside.scraper.scrape()

        for case, look in (("scrape", inside.scraper.scrape), (BUSY, with_work)):
            kit.results.add(case, FLOOR, collected(kit, files_read(look)), size=number, of="cgroups")
        sheet = inside.scraper.scrape()
        registry = CollectorRegistry()
        registry.register(_Read(sheet))
        ways: Mapping[str, Page] = {
            "ours": lambda: sum(map(len, encode(sheet, "text"))),
            "prometheus-client": lambda: len(generate_latest(registry)),
        }
        for name in in_turn(ways, kit.some(3)):
            began = time.process_time()
            ways[name]()
            spent = (time.process_time() - began) * 1000
            kit.results.add("encode alone", name, {"cpu_msec": spent}, size=number, of="cgroups")


class _Read(Collector):
    """What was read already, for prometheus-client."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering encodes nothing."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        return families(self._sheet)


@contextlib.contextmanager
def exporter(kit: Kit, *, name: str = "ours", code: str | None = None) -> Iterator[tuple[Server, str]]:
    """Start our exporter, of another revision if its folder is given; the server and the address of its page."""
    port = _free_port()
    command = [sys.executable, "-m", "exporters", "--listen", f"127.0.0.1:{port}", "--oom-state", "none", "--no-alerts"]
    command += ["--path.rootfs", kit.folder]
    environment = None if code is None else {**os.environ, "PYTHONPATH": code}
    url = f"http://127.0.0.1:{port}/metrics"
    with _running(name, command, url, b"container_cpu", environment, code=code) as found:
        yield found


def _servers(kit: Kit, stack: contextlib.ExitStack, number: int) -> Iterator[tuple[str, tuple[Server, str]]]:
    yield "ours", stack.enter_context(exporter(kit))
    try:
        port, node = _free_port(), tools().tool("prometheus-node-exporter").path
        command = [node, f"--web.listen-address=127.0.0.1:{port}"]
        url = f"http://127.0.0.1:{port}/metrics"
        yield "node_exporter", stack.enter_context(_running("node_exporter", command, url, b"node_load1"))
        if kit.quick or number > _MANY:
            return
        port, netdata = _free_port(), tools().tool("netdata")
        folder = Path(kit.folder) / f"netdata-{number}"
        for name in ("cache", "lib", "log"):
            (folder / name).mkdir(parents=True)
        (folder / "netdata.conf").write_text(_NETDATA.format(folder=folder, port=port), encoding="utf-8")
        command = [netdata.path, "-D", "-c", str(folder / "netdata.conf"), "-P", str(folder / "pid")]
        url = f"http://127.0.0.1:{port}/api/v1/allmetrics?format=prometheus"
        sign = b"netdata_cgroup_"
        yield "netdata", stack.enter_context(_running("netdata", command, url, sign, netdata.env, number))
    except (FetchError, Unavailable, TimeoutError) as error:
        kit.results.missing.append(f"peers of the exporter at {number} cgroups: {error}")


@contextlib.contextmanager
def _running(
    name: str,
    command: list[str],
    url: str,
    sign: bytes,
    environment: Mapping[str, str] | None = None,
    least: int = 1,
    *,
    code: str | None = None,
) -> Iterator[tuple[Server, str]]:
    """Start a server and wait until its page has ``sign`` in it often enough."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=code)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while _signs(url, sign) < least:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{name} does not show {least} cgroups")
            time.sleep(0.5)
        yield Server(name, process.pid), url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _signs(url: str, sign: bytes) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - on loopback
            page: bytes = answer.read()
    except OSError:
        return 0
    return page.count(sign)


def fetch(url: str) -> int:
    """Fetch a page; its size in bytes."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        return len(answer.read())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
