"""The exporter over real cgroups, and a real Prometheus over the exporter."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.snapshot import UNLIMITED
from exporters.catalogue import CADVISOR_ONLY_NAMES
from exporters.encoder import encode
from exporters.families import FAMILIES
from exporters.labels import Naming
from exporters.registry import families
from exporters.setup import Exporter, Settings
from scripts.debian_tools import Tool
from tests.exporters.parsed import PARSERS, samples
from tests.integration.command_line import REPOSITORY
from tests.integration.reach import let_others_in

MIB = 1 << 20
TOP = f"/cgscope-test-exporter-{os.getpid()}"
MANY = 1000 if not os.environ.get("CGSCOPE_WORLD") else 100  # a guest has one slow CPU
PATIENCE_SECONDS = 60

# What is compared with control files: metric -> (controller, v1 file, v2 file), each a number alone in its file.
SAME = {
    "container_memory_usage_bytes": ("memory", "memory.usage_in_bytes", "memory.current"),
    "container_memory_max_usage_bytes": ("memory", "memory.max_usage_in_bytes", "memory.peak"),
    "container_spec_memory_limit_bytes": ("memory", "memory.limit_in_bytes", "memory.max"),
    "container_threads": ("pids", "pids.current", "pids.current"),
    "container_threads_max": ("pids", "pids.max", "pids.max"),
}


def container_path(number: int) -> str:
    """Name a cgroup as Docker would."""
    return f"{TOP}/docker/{hashlib.sha256(str(number).encode()).hexdigest()}"


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Find the machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    return discover_mounts()


@pytest.fixture
def containers(mounts: Mounts) -> Iterator[Callable[[int], None]]:
    """Make the container of a number; all are removed in the end."""
    try:
        yield lambda number: create(mounts, container_path(number))
    finally:
        kill(mounts, TOP)
        remove(mounts, TOP)


def page(exporter: Exporter) -> str:
    """Scrape."""
    return b"".join(encode(exporter.scraper.scrape(), "text")).decode()


def values(text: str, name: str) -> dict[str, float]:
    """Map id -> value of a metric without further labels; of a machine with many containers parsing all takes long."""
    found = {}
    for metric in parse_text("".join(line for line in text.splitlines(keepends=True) if line.startswith(f"{name}{{"))):
        found.update({one.labels["id"]: one.value for one in metric.samples if one.name == name and "id" in one.labels})
    return found


def control_file(mounts: Mounts, name: str, path: str) -> int | None:
    """Read a number without any of our readers; "max" and v1's largest are 0, as on the page. None: no such file."""
    controller, *names = SAME[name]
    hierarchy = mounts.for_controller(controller)
    if hierarchy is None:
        return None
    try:
        text = Path(f"{hierarchy.mountpoint}{path}/{names[hierarchy.version - 1]}").read_text().strip()
    except FileNotFoundError:
        return None
    return 0 if text == "max" or int(text) > 1 << 62 else int(text)


def test_values_are_those_of_the_control_files(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """Each value on the page is what the control file says at the same moment, for every one of many cgroups."""
    for number in range(MANY):
        containers(number)
        if number % 10 == 0:
            apply(mounts, container_path(number), Limits(memory_bytes=(16 + number) * MIB, pids=10 + number))
    sleeper = subprocess.Popen(["sleep", "600"])
    try:
        add_process(mounts, container_path(0), sleeper.pid)
        with Exporter(Settings()) as exporter:
            expected = {name: expected_values(mounts, name) for name in SAME}
            text = page(exporter)
            again = {name: expected_values(mounts, name) for name in SAME}
    finally:
        sleeper.kill()
        sleeper.wait()
    compared = 0
    for name, before in expected.items():
        on_page = values(text, name)
        for path, value in before.items():
            # Kernel work of an idle cgroup (a page freed late) may change usage between two reads.
            if value == again[name][path]:
                assert on_page[path] == value, (name, path)
                compared += 1
    assert compared >= 0.9 * sum(map(len, expected.values())) > MANY


def test_a_controller_that_is_switched_on_is_seen_at_once(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """And off again. Its files are known to be missing, and nobody writes in the container's own directory."""
    core = mounts.for_controller("")
    if core is None or "pids" not in core.controllers:
        pytest.skip("no v2 controller is handed on here")
    containers(0)
    container = container_path(0)
    switches = Path(f"{core.mountpoint}{os.path.dirname(container)}/cgroup.subtree_control")
    switches.write_text("-pids")
    with Exporter(Settings()) as exporter:
        exporter.watch()
        for switch, shown in (("-", False), ("-", False), ("+", True), ("+", True), ("-", False), ("+", True)):
            switches.write_text(f"{switch}pids")
            assert (container in values(page(exporter), "container_threads")) is shown


def expected_values(mounts: Mounts, name: str) -> dict[str, int]:
    """Read a metric's control file in all containers that have it."""
    found = {container_path(number): control_file(mounts, name, container_path(number)) for number in range(MANY)}
    return {path: value for path, value in found.items() if value is not None}


@pytest.mark.parametrize("naming", ["cadvisor", "thin"])
def test_both_formats_say_what_a_registry_says(naming: Naming, containers: Callable[[int], None]) -> None:
    """With every collector switched on, each sample of a real tree is read back by prometheus-client's parsers."""
    containers(0)
    everything = dict.fromkeys(FAMILIES, True)
    with Exporter(Settings(naming=naming, collectors=everything)) as exporter:
        sheet = exporter.scraper.scrape()
    expected = samples(families(sheet))
    assert any(("id", container_path(0)) in labels for _name, labels, _value in expected)
    for form, parse in PARSERS.items():
        assert samples(parse(b"".join(encode(sheet, form)).decode())) == expected


def test_a_changed_setting_is_on_the_next_page(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """Settings are remembered until somebody writes: every write counts at once, each cgroup's own."""
    for number in range(3):
        containers(number)
    switches = {name: name in ("memory", "pids", "limits") for name in FAMILIES}
    with Exporter(Settings(collectors=switches)) as exporter:
        page(exporter)
        for step in range(1, 10):
            changed = container_path(step % 3)
            apply(mounts, changed, Limits(pids=100 + step, memory_bytes=(100 + step) * MIB, cpus=step / 10))
            text = page(exporter)
            assert values(text, "container_threads_max")[changed] == 100 + step
            assert values(text, "container_spec_memory_limit_bytes")[changed] == (100 + step) * MIB
            assert values(text, "container_effective_cpu_limit_cores")[changed] == pytest.approx(step / 10)
            if step > 3:
                before = container_path((step - 1) % 3)
                assert values(text, "container_threads_max")[before] == 100 + step - 1
        for number in range(3):  # v1 refuses a parent that allows less than its children
            apply(mounts, container_path(number), Limits(cpus=UNLIMITED))
        apply(mounts, f"{TOP}/docker", Limits(cpus=0.05))  # an ancestor's binds all
        cores = values(page(exporter), "container_effective_cpu_limit_cores")
        assert [cores[container_path(number)] for number in range(3)] == pytest.approx([0.05] * 3)


def test_a_setting_written_through_another_mount_is_on_the_next_page(
    mounts: Mounts, containers: Callable[[int], None], tmp_path: Path
) -> None:
    """Also from inside of a cgroup namespace that mounts the hierarchy for itself: there is one superblock for all."""
    containers(0)
    hierarchy = mounts.for_controller("pids")
    assert hierarchy is not None
    kind = "-t cgroup -o pids pids" if hierarchy.version == 1 else "-t cgroup2 cgroup2"
    with Exporter(Settings()) as exporter:
        page(exporter)
        script = f'mount {kind} "$0" && cd "$0/$1" && echo 77 > pids.max'
        command = ["unshare", "--mount", "--cgroup", "sh", "-c", script, str(tmp_path), container_path(0)]
        result = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_SECONDS)
        if result.returncode:
            pytest.skip(f"no mount of one's own here: {result.stderr.decode()}")
        assert values(page(exporter), "container_threads_max")[container_path(0)] == 77


def test_cgroups_come_and_go_during_scrapes(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """No scrape fails or shows what is gone while cgroups appear and vanish as fast as they can."""
    containers(0)
    ended = threading.Event()

    def churn() -> None:
        number = 1
        while not ended.is_set():
            create(mounts, container_path(number))
            remove(mounts, container_path(number))
            number += 1

    with Exporter(Settings()) as exporter:
        page(exporter)
        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(50):
                text = page(exporter)
                assert container_path(0) in values(text, "container_last_seen")
                assert 'collector_success{collector="memory"} 1\n' in text
                assert not [line for line in text.splitlines() if "_success{" in line and not line.endswith(" 1")]
        finally:
            ended.set()
            thread.join()
        final = set(values(page(exporter), "container_last_seen"))
    assert {one for one in final if one.startswith(TOP)} == {container_path(0)}


def test_a_cgroup_made_again_is_another(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """A container removed and made again under its name shows its own numbers, not its predecessor's."""
    containers(0)
    with Exporter(Settings()) as exporter:
        apply(mounts, container_path(0), Limits(pids=111))
        assert values(page(exporter), "container_threads_max")[container_path(0)] == 111
        remove(mounts, container_path(0))
        containers(0)
        apply(mounts, container_path(0), Limits(pids=222))
        assert values(page(exporter), "container_threads_max")[container_path(0)] == 222


def test_start_time_and_network_are_the_containers_own(
    mounts: Mounts, containers: Callable[[int], None], tool: Callable[[str], Tool]
) -> None:
    """A process in a network namespace of its own: its start, and its interface, on the page of its container."""
    containers(0)
    before = time.time()
    script = "ip link add dummy0 type dummy 2>/dev/null || true; echo ready; exec sleep 600"
    environment = dict(tool("ss").env)  # of iproute2, as ip is
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", script], env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        add_process(mounts, container_path(0), process.pid)
        with Exporter(Settings()) as exporter:
            text = page(exporter)
        interfaces = Path(f"/proc/{process.pid}/net/dev").read_text()
        start = values(text, "container_start_time_seconds")[container_path(0)]
        assert before - 2 <= start <= time.time() + 2
        ours = [line for line in text.splitlines() if f'id="{container_path(0)}"' in line]
        on_page = any('interface="dummy0"' in line for line in ours)
        assert on_page == ("dummy0" in interfaces)
        assert 'interface="lo"' not in text
    finally:
        process.kill()
        process.communicate()


def test_threads_are_counted_by_state(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """A process that sleeps and one that is stopped."""
    containers(0)
    made = [subprocess.Popen(["sleep", "600"]), subprocess.Popen(["sleep", "600"])]
    try:
        for process in made:
            add_process(mounts, container_path(0), process.pid)
        made[1].send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, made[1].pid, os.WSTOPPED | os.WNOWAIT)
        with Exporter(Settings(collectors={name: name == "tasks" for name in FAMILIES})) as exporter:
            expected = {"sleeping": 1, "stopped": 1, "running": 0, "uninterruptible": 0, "zombie": 0}
            # The first may still be on its way from exec(2) to sleep.
            found = wait_until(lambda: threads_by_state(page(exporter), container_path(0)), expected)
        assert found == expected
    finally:
        for process in made:
            process.kill()
            process.wait()


def threads_by_state(text: str, path: str) -> dict[str, float]:
    """Map state -> threads of a container."""
    samples = [one for metric in parse_text(text) for one in metric.samples if one.name == "container_tasks_state"]
    return {one.labels["state"]: one.value for one in samples if one.labels["id"] == path}


def wait_until(look: Callable[[], object], expected: object) -> object:
    """Look until it is as expected; gives what was found last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_memory_by_node_is_that_of_the_control_file(mounts: Mounts, containers: Callable[[int], None]) -> None:
    """Types and scopes are those that the kernel tells, also of the root, which uses some."""
    containers(0)
    hierarchy = mounts.for_controller("memory")
    if hierarchy is None:
        pytest.skip("no memory controller")
    if not Path(f"{hierarchy.mountpoint}{container_path(0)}/memory.numa_stat").exists():
        pytest.skip("this kernel has no memory nodes")
    with Exporter(Settings(collectors={name: name == "numa" for name in FAMILIES})) as exporter:
        samples = [one for metric in parse_text(page(exporter)) for one in metric.samples]
    own = [one for one in samples if one.labels.get("id") == container_path(0)]
    assert {one.labels["type"] for one in own} == {"total", "file", "anon", "unevictable"}
    assert {one.labels["scope"] for one in own} == (
        {"container", "hierarchy"} if hierarchy.version == 1 else {"hierarchy"}
    )
    root = [one for one in samples if one.labels.get("id") == "/" and one.labels["scope"] == "hierarchy"]
    totals = {one.labels["type"]: 0.0 for one in root}
    for one in root:
        totals[one.labels["type"]] += one.value
    assert totals["total"] > 0


# ---------------------------------------------------------------------------------------------- over HTTP


@dataclass
class Client:
    """A running exporter and how to reach it."""

    process: subprocess.Popen[bytes]
    url: str

    def get(self, path: str, **headers: str) -> bytes:
        """Ask for a page."""
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body


@contextmanager
def running(*options: str) -> Iterator[Client]:
    """Run ``cgroup-exporter`` on a free port."""
    command = [sys.executable, "-m", "exporters", "--listen", "127.0.0.1:0", "--oom-state", "none", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        line = process.stderr.readline().decode()
        assert "serving http" in line, line + process.stderr.read().decode()
        yield Client(process, line.split("serving ")[1].rsplit("/", 1)[0])
    finally:
        process.terminate()
        errors = process.communicate(timeout=PATIENCE_SECONDS)[1]
    assert (process.returncode, b"Traceback" in errors) == (0, False), errors.decode()


def test_the_command_serves_and_ends(containers: Callable[[int], None]) -> None:
    """Both formats parse; SIGHUP keeps serving; SIGTERM ends it with 0."""
    containers(0)
    with running() as client:
        classic = client.get("/metrics").decode()
        modern = client.get("/metrics", Accept="application/openmetrics-text").decode()
        assert container_path(0) in values(classic, "container_memory_usage_bytes")
        names = {metric.name for metric in openmetrics.text_string_to_metric_families(modern)}  # type: ignore[no-untyped-call]
        assert {"container_memory_usage_bytes", "container_cpu_usage_seconds"} <= names
        client.process.send_signal(signal.SIGHUP)
        assert client.get("/-/healthy")


def test_without_privileges_it_shows_what_it_may(containers: Callable[[int], None], tmp_path: Path) -> None:
    """An ordinary user gets a page, with the containers' numbers, and no traceback."""
    containers(0)

    # Imported before: the interpreter's own files may be root's.
    script = "import os, sys, tomllib, email.parser, encodings.idna; from exporters.cli import main; os.setgroups([]); "
    script += "os.setgid(65534); os.setuid(65534); sys.exit(main(['--once']))"
    # Bound where everybody may read: a checkout in root's home is root's alone, with the rules in it.
    bind = f'mount --bind {REPOSITORY} {let_others_in(tmp_path)}; exec "$@"'
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        bind,
        "sh",
        sys.executable,
        "-P",
        "-c",
        script,
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    assert b"Traceback" not in result.stderr
    assert container_path(0) in values(result.stdout.decode(), "container_memory_usage_bytes")


def test_a_taken_port_is_one_line(mounts: Mounts) -> None:
    """Exit code 1 and one line that says what to do."""
    del mounts
    with running() as client:
        address = client.url.removeprefix("http://")
        command = [sys.executable, "-m", "exporters", "--listen", address]
        result = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    assert result.returncode == 1
    assert result.stderr.count(b"\n") == 1
    assert b"choose with --listen" in result.stderr


# --------------------------------------------------------------------------------------------- Prometheus

native = pytest.mark.skipif(bool(os.environ.get("CGSCOPE_WORLD")), reason="Prometheus runs beside the native suite")


@native
def test_promtool_finds_nothing(containers: Callable[[int], None], tool: Callable[[str], Tool]) -> None:
    """Names, types and texts are as Prometheus wants them; everything is switched on."""
    containers(0)
    promtool = tool("promtool")
    everything = Settings(collectors=dict.fromkeys(FAMILIES, True))
    with Exporter(everything) as exporter:
        text = page(exporter)
    command = [promtool.path, "check", "metrics"]
    result = subprocess.run(command, input=text.encode(), env=promtool.env, capture_output=True, check=False)
    complaints = (result.stdout + result.stderr).decode().splitlines()
    assert [line for line in complaints if line.split(" ")[0] not in CADVISOR_ONLY_NAMES] == []


@native
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS and password"])
def test_prometheus_scrapes_it(
    containers: Callable[[int], None], tool: Callable[[str], Tool], tmp_path: Path, *, secure: bool
) -> None:
    """A real Prometheus finds the target up, and a container's series by its labels; over TLS with a password too."""
    containers(0)
    options, scheme = secured(tmp_path) if secure else ((), "scheme: http")
    with running(*options) as client, prometheus(tool("prometheus"), tmp_path, client.url, scheme) as query:
        path = container_path(0)
        assert query('up{job="cgroup"}') == 1
        assert query(f'container_last_seen{{id="{path}",engine="docker"}}') > 0
        assert query(f'count(container_cpu_usage_seconds_total{{id="{path}",cpu="total"}})') == 1
        assert query('scrape_samples_scraped{job="cgroup"}') > 100


def secured(folder: Path) -> tuple[tuple[str, ...], str]:
    """Make a web configuration; gives the exporter's options and Prometheus' side of it."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (folder / "web.yml").write_text(
        f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{prom: '{hashed}'}}\n"
    )
    scheme = (
        f"scheme: https\n    tls_config: {{ca_file: {folder / 'cert.pem'}}}\n"
        "    basic_auth: {username: prom, password: secret}"
    )
    return ("--web.config.file", str(folder / "web.yml")), scheme


@contextmanager
def prometheus(tool: Tool, folder: Path, target: str, scheme: str) -> Iterator[Callable[[str], float]]:
    """Run Prometheus on a free port; gives a function that waits until a query has one answer."""
    address = target.split("//")[1]
    config = folder / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n  - job_name: cgroup\n    scrape_interval: 1s\n    scrape_timeout: 1s\n"
        f"    {scheme}\n    static_configs: [{{targets: ['{address}']}}]\n"
    )
    port = free_port()
    command = [tool.path, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=tool.env, stderr=log)

    def query(expression: str) -> float:
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
                    found = json.load(answer)["data"]["result"]
            except (OSError, urllib.error.URLError):
                found = []
            if found and float(found[0]["value"][1]) != 0:
                return float(found[0]["value"][1])
            time.sleep(0.2)
        raise AssertionError(f"no answer to {expression}: {(folder / 'log').read_text()[-2000:]}")

    try:
        yield query
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
