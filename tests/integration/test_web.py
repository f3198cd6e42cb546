"""The exporter's page in a real Chromium, over real containers that do something."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgroup_model.control import Limits, apply, kill, remove
from cgroup_model.mounts import discover_mounts
from scripts.browser import Browser, browser
from scripts.debian_tools import Tool
from scripts.load import MIB, WORKS, Work, busy, start
from tests.integration.test_exporter import secured

pytestmark = pytest.mark.skipif(bool(os.environ.get("CGSCOPE_WORLD")), reason="a browser runs beside the native suite")

TOP = f"/cgscope-test-web-{os.getpid()}"
PICTURES = os.environ.get("CGSCOPE_SCREENSHOTS")  # `make screenshots` says where
PATIENCE_SECONDS = 60
EVIL = Work("""<img src=x onerror=window.hacked=1>"'&""", "<script>window.hacked=2</script>", "exec sleep 100000")

# The rules that come with it, more often than usual.
CONFIG = "alerts: {evaluation-interval: 1s}\n"


@dataclass
class Exporter:
    """A running exporter that can be started again at the same address."""

    command: list[str]
    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        errors = self.process.communicate(timeout=PATIENCE_SECONDS)[1]
        assert (self.process.returncode, b"Traceback" in errors) == (0, False), errors.decode()

    def start_again(self) -> None:
        """Start it at the address that it had."""
        self.process, url = run([*self.command, "--listen", self.url.split("//")[1]])
        assert url == self.url


def run(command: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start an exporter and wait until it serves."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in iter(process.stderr.readline, b""):
        if b"serving http" in line:
            return process, line.decode().split("serving ")[1].rsplit("/", 1)[0]
    raise AssertionError(f"exit code {process.wait()}")  # it says why among the lines before


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run containers; gives the folder with their engines' files."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    folder = tmp_path_factory.mktemp("machine")
    with busy(TOP, folder, [*WORKS, EVIL]):
        yield folder


@pytest.fixture(scope="module")
def exporter(machine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Run an exporter with alerts."""
    folder = tmp_path_factory.mktemp("exporter")
    config = folder / "exporter.yml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "exporters", "--config", str(config), "--path.rootfs", str(machine)]
    command += ["--oom-state", str(folder / "oom.json")]
    process, url = run([*command, "--listen", "127.0.0.1:0"])
    made = Exporter(command, url, process)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def window(tool: Callable[[str], Tool], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Open a browser."""
    with browser(tool("chromedriver"), tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, exporter: Exporter) -> Iterator[Browser]:
    """Open the page anew and wait for its first rates; in the end, nobody has complained."""
    window.open("about:blank")
    window.console()
    window.open(f"{exporter.url}/#/?filter={TOP}")  # others have containers, too, perhaps more than fit
    window.wait(
        "return /^\\d/.test(document.querySelector(arguments[0])?.innerText ?? '')", f"{row('web')} > :nth-child(3)"
    )
    yield window
    assert window.console() == []


def row(name: str) -> str:
    """Name the row of a container as CSS does."""
    path = next(work for work in [*WORKS, EVIL] if work.name == name).path(TOP)
    return f'tr[title="{path}"]'


def cell(page: Browser, name: str, column: int) -> str:
    """Read a cell of the overview; columns count from 1."""
    return page.text(f"{row(name)} > :nth-child({column})")


def names(page: Browser) -> list[str]:
    """Read the names of all containers of ours that are shown, from top to bottom."""
    script = "return [...document.querySelectorAll(`tr[title^='${arguments[0]}'] a.name`)].map((one) => one.innerText)"
    found = page.run(script, TOP)
    assert isinstance(found, list)
    return found


def test_containers_are_shown_with_their_numbers(page: Browser) -> None:
    """Each container has a row with name, image, engine, CPU of its quota, memory of its limit, threads, kills."""
    assert {"web", "database", "workers", "leak", "shop", "pod shop-0", EVIL.name} <= set(names(page))
    assert "nginx:1.29" in cell(page, "web", 1)
    assert cell(page, "web", 2) == "docker"
    page.wait(
        "return parseFloat(document.querySelector(arguments[0]).innerText) >= 50", f"{row('web')} > td:nth-child(4)"
    )
    assert cell(page, "workers", 9) == "8"
    assert cell(page, "workers", 7) == "no limit"
    assert re.fullmatch(r"[\d.]+ %", cell(page, "database", 7))
    page.wait("return Number(document.querySelector(arguments[0]).innerText) > 0", f"{row('leak')} > td:nth-child(12)")
    page.wait("return document.querySelector(arguments[0]).getAttribute('d').length > 20", f"{row('web')} .spark path")
    assert re.search(r"Memory\n[\d.]+ [MG]iB of [\d.]+ GiB", page.text(".tiles"))


def test_changes_are_followed_without_reloading(page: Browser, machine: Path) -> None:
    """A container that comes, gets a limit and goes is shown so, on the page that has been open all the time."""
    page.run("window.mark = 1")
    mounts, late = discover_mounts(), Work("late", "late:1", "exec sleep 100000")
    process = start(mounts, TOP, machine, late)
    title = f'tr[title="{late.path(TOP)}"]'
    try:
        page.wait_for_text("no limit", f"{title} td:nth-child(7)")
        apply(mounts, late.path(TOP), Limits(memory_bytes=32 * MIB))
        page.wait_for_text("%", f"{title} td:nth-child(7)")
    finally:
        kill(mounts, late.path(TOP))
        process.wait()
        remove(mounts, late.path(TOP))
    page.wait("return document.querySelector(arguments[0]) === null", title)
    assert page.run("return window.mark") == 1


def test_a_restart_of_the_exporter_is_survived(window: Browser, exporter: Exporter) -> None:
    """The page says that the connection is lost, and goes on by itself, with its history, when the exporter is back."""
    window.open(f"{exporter.url}/#/?filter={TOP}")
    window.wait(
        "return document.querySelector(arguments[0])?.getAttribute('d')?.length > 20", f"{row('web')} .spark path"
    )
    window.run("window.mark = 1")
    exporter.stop()
    window.wait_for_text("no connection", "#state")
    exporter.start_again()
    window.wait_for_text("live", "#state")
    before = window.run(
        "return document.querySelector(arguments[0]).getAttribute('d').length", f"{row('web')} .spark path"
    )
    assert before > 20
    window.wait(
        "return document.querySelector(arguments[0]).getAttribute('d').length > arguments[1]",
        f"{row('web')} .spark path",
        before,
    )
    assert window.run("return window.mark") == 1
    # What the browser itself says about a server that is away, and nothing else.
    assert [line for line in window.console() if "net::ERR_" not in line] == []


def test_filter_sorting_and_keys(page: Browser) -> None:
    """Everything can be done with the keyboard: filter, choose, open, go back; the filter is still there then."""
    page.press("/", *f"{TOP} docker nginx")
    page.wait("return document.querySelector('.tally').innerText.startsWith('1 of')")
    assert names(page) == ["web"]
    page.press("Enter", "Enter")
    page.wait_for_text("nginx:1.29", ".facts")
    page.press("Escape")
    page.wait("return document.querySelector('.overview input')?.value.endsWith('docker nginx')")
    page.press("Escape")
    page.wait("return document.querySelector('.overview input').value === ''")
    page.press("/", *TOP)
    page.run("[...document.querySelectorAll('thead button')].find((one) => one.innerText === 'Threads').click()")
    assert names(page)[0] == "workers"
    page.run("document.querySelector('thead button').click()")
    assert names(page) == sorted(names(page), key=str.lower)
    page.press("Escape", "2")
    page.wait_for_text("Alerts", "h1")


def test_a_container_has_charts_with_its_limits(page: Browser) -> None:
    """Charts of the last minutes with limits drawn in and told, facts, and every metric that there is of it."""
    page.click(f"{row('web')} a")
    page.wait_for_text("quota 0.20", "figure:nth-child(1) .legend")
    page.wait("return /^M[^]*L/.test(document.querySelector('figure .line-0').getAttribute('d'))")
    assert page.run("return document.querySelector('figure .limit').getAttribute('d')").startswith("M")
    page.wait_for_text("limit 64 MiB", "figure:nth-child(2) .legend")
    assert "quota 0.20" in page.run("return document.querySelector('figure svg').getAttribute('aria-label')")
    page.click("summary")
    page.wait_for_text("container_cpu_cfs_throttled_periods_total", "details table")
    page.press("/", *"memory rss")
    page.wait("return document.querySelectorAll('details tbody tr').length === 1")
    assert "Anonymous memory" in page.text("details tbody")


def test_an_alert_that_fires_is_shown(page: Browser) -> None:
    """A container at its limit of threads: told above the overview, counted in the menu, listed, on its own page."""
    page.wait("return Number(document.querySelector('#firing').innerText) > 0")
    page.wait("return document.querySelector('p.firing').innerText.length > 0")
    page.press("2")
    page.wait_for_text("ContainerThreadsNearLimit")
    line = page.wait(
        "return [...document.querySelectorAll('tbody tr')].map((one) => one.innerText)"
        ".find((one) => one.includes('ContainerThreadsNearLimit') && one.includes('workers'))"
    )
    assert line.startswith("firing")
    page.run("[...document.querySelectorAll('tbody a')].find((one) => one.innerText === 'workers').click()")
    page.wait_for_text("alert", ".facts")
    assert "critical" in page.text(".facts")


def test_kills_and_the_exporter_itself(page: Browser) -> None:
    """The ledger names the container whose processes are killed; the exporter's page tells what it did and cost."""
    page.press("3")
    page.wait("return [...document.querySelectorAll('tbody tr')].some((one) => /^leak\\t\\d/.test(one.innerText))")
    page.press("4")
    page.wait_for_text("/api/v1/usage")
    assert re.search(r"last look\t.* cgroups and [\d,]+ values", page.text())
    assert re.search(r"memory\t[\d.]+ ms\tgood", page.text())


def test_names_are_text_whatever_they_hold(page: Browser) -> None:
    """Markup in names of containers and images stays text, on every page, and nothing that it says is run."""
    assert EVIL.name in names(page)
    page.click(f"{row(EVIL.name)} a")
    page.wait_for_text(EVIL.image, ".facts")
    page.click("summary")
    page.wait_for_text("container_threads", "details table")
    assert page.run("return document.querySelectorAll('img, main script').length") == 0
    assert page.run("return window.hacked ?? null") is None


def test_the_browser_would_run_nothing_of_others(window: Browser, exporter: Exporter) -> None:
    """Should markup get into the page, the policy stops it: no inline script, no handler, no other host."""
    window.open(f"{exporter.url}/")
    window.run(
        "window.refused = 0; const attempt = (act) => { try { act(); } catch { window.refused += 1; } };"
        "document.addEventListener('securitypolicyviolation', () => { window.refused += 1; });"
        "attempt(() => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hacked=1>'));"
        "attempt(() => document.createElement('img').setAttribute('onerror', 'window.hacked = 1'));"
        "attempt(() => { document.createElement('script').textContent = 'window.hacked = 1'; });"
        "fetch('http://192.0.2.1/').catch(() => { window.refused += 1; });"
    )
    window.wait("return window.refused >= 4")
    assert window.run("return window.hacked ?? null") is None
    assert window.console() != []


def test_over_tls_with_a_password(window: Browser, machine: Path, tmp_path: Path) -> None:
    """With TLS and users the page works as it is, once somebody has logged in; and does not show anything before."""
    options, _ = secured(tmp_path)
    command = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--path.rootfs", str(machine), *options]
    process, url = run([*command, "--oom-state", str(tmp_path / "oom.json")])
    try:
        window.open(url.replace("//", "//prom:wrong@"))
        assert "web" not in window.text()
        window.open(url.replace("//", "//prom:secret@") + f"/#/?filter={TOP}")
        window.wait("return document.querySelector(arguments[0]) !== null", row("web"))
        window.wait_for_text("live", "#state")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
        window.console()


def test_nothing_is_loaded_from_elsewhere(exporter: Exporter) -> None:
    """The page consists of the exporter's own files, and each forbids everything else and being framed."""
    with urllib.request.urlopen(f"{exporter.url}/", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own
        text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for part in ("unsafe", "http", "*", "data:"):
        assert part not in policy
    assert "frame-ancestors 'none'" in policy
    linked = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert linked
    assert not [one for one in linked if "//" in one]


def test_pictures(page: Browser, tmp_path: Path) -> None:
    """The pages can be photographed in light and in dark; `make screenshots` keeps the pictures for the docs."""
    folder = Path(PICTURES or tmp_path)
    looks = 30 if PICTURES else 3
    points = (
        "return (document.querySelector(arguments[0])?.getAttribute('d').match(/[ML]/g) ?? []).length >= arguments[1]"
    )
    page.wait(points, f"{row('web')} .spark path", looks)
    (folder / "web-overview.png").write_bytes(page.picture(1320, 760))
    page.run("localStorage.setItem('theme', 'dark'); document.documentElement.dataset.theme = 'dark'")
    page.click(f"{row('web')} a")
    page.wait_for_text("quota 0.20", "figure:nth-child(1) .legend")
    (folder / "web-container.png").write_bytes(page.picture(1180, 900))
    page.run("localStorage.clear(); delete document.documentElement.dataset.theme")
    page.press("2")
    page.wait_for_text("ContainerThreadsNearLimit")
    (folder / "web-alerts.png").write_bytes(page.picture(1180, 560))
    sizes = [len((folder / f"web-{name}.png").read_bytes()) for name in ("overview", "container", "alerts")]
    assert all(5_000 < size < 300_000 for size in sizes)
