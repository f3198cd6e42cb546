"""The page's API over a machine that is known to the last digit."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exporters.families import FAMILIES
from exporters.serving import Service
from exporters.setup import Exporter
from exporters.web.assets import load
from exporters.web.figures import FIGURES, NEEDED, gather
from exporters.web.looks import LEAST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS, Looks
from tests.exporters.scenes import WEB
from tests.exporters.test_server import Answer, request, visit

PATH = f"/system.slice/docker-{WEB}.scope"


async def ask(service: Service, name: str) -> Any:  # noqa: ANN401 - JSON
    """Ask for an answer of the API."""
    answer = await request(service, f"/api/v1/{name}")
    assert answer.code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    return json.loads(answer.body)


def test_names_and_numbers(tmp_path: Path) -> None:
    """Containers have labels and limits, numbers are columns in their order; unknown is null, no limit is 0."""

    async def guest(service: Service) -> None:
        containers, usage = await ask(service, "containers"), await ask(service, "usage")
        assert containers["version"] == usage["version"]
        ids = [one["labels"]["id"] for one in containers["containers"]]
        at = ids.index(PATH)
        one = containers["containers"][at]
        assert (one["labels"]["name"], one["labels"]["image"], one["labels"]["kind"]) == ("web", "nginx:1", "container")
        assert one["values"]["container_effective_memory_limit_bytes"] == 268435456
        assert one["values"]["container_effective_memory_high_bytes"] == 0
        assert one["values"]["container_effective_cpu_limit_cores"] == 1.5
        values = {name: column[at] for name, column in usage["values"].items()}
        assert {len(column) for column in usage["values"].values()} == {len(ids)}
        assert values["container_cpu_usage_seconds_total"] == 12.5
        assert values["container_memory_working_set_bytes"] == 104857600 - 20971520
        assert values["container_memory_events_total"] == 1  # of all events, the OOM kills
        assert values["container_fs_reads_bytes_total"] == 1048576 + 1  # of both devices
        assert values["container_network_receive_bytes_total"] is None
        assert usage["machine"]["machine_threads"] == 80
        assert usage["interval_seconds"] == LEAST_INTERVAL_SECONDS

    visit(tmp_path, guest)


def test_one_container(tmp_path: Path) -> None:
    """All values of one container, by metric and labels, with texts beside; what is not a container is not there."""

    async def guest(service: Service) -> None:
        found = await ask(service, f"container?id={PATH}")
        values = {(one["metric"], *one["labels"].values()): one["value"] for one in found["values"]}
        assert values["container_threads",] == 7
        assert values["container_memory_events_total", "oom_kill"] == 1
        assert values["container_fs_writes_bytes_total", "/dev/vda"] == 2097152
        metadata = await ask(service, "metadata")
        assert metadata.keys() >= {one["metric"] for one in found["values"]}
        assert metadata["container_threads"]["type"] == "gauge"
        for wrong in ("/nowhere", "/../..", "", "/system.slice"):
            assert (await request(service, f"/api/v1/container?id={wrong}")).code == 404

    visit(tmp_path, guest)


def test_health_alerts_and_kills(tmp_path: Path) -> None:
    """Each tells what it knows, and that it is off where it is."""

    async def guest(service: Service) -> None:
        assert await ask(service, "alerts") == {"enabled": False, "time": None, "alerts": [], "failures": {}}
        accounts = {one["id"]: one for one in (await ask(service, "oom"))["accounts"]}
        assert (accounts[PATH]["kills"], accounts[PATH]["name"], accounts[PATH]["gone"]) == (1, "web", None)
        await ask(service, "usage")
        health = await ask(service, "health")
        assert {one["name"] for one in health["collectors"]} >= {"memory", "cpu"}
        assert all(one["success"] for one in health["collectors"])
        assert {"path": "/api/v1/usage", "code": "200", "count": 1} in health["requests"]

    visit(tmp_path, guest)


def test_files_and_their_headers(tmp_path: Path) -> None:
    """The page and its files are sent with the policy, compressed for who can read that, and once only."""

    def unpacked(answer: Answer) -> bytes:
        return gzip.decompress(answer.body)

    async def guest(service: Service) -> None:
        for path, kind in (("/", "text/html"), ("/web/main.js", "text/javascript"), ("/web/style.css", "text/css")):
            plain, packed = await request(service, path), await request(service, path, "Accept-Encoding: gzip")
            assert (plain.code, plain.body) == (200, unpacked(packed))
            assert plain.headers["content-type"] == f"{kind}; charset=utf-8"
            assert plain.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert plain.headers["x-content-type-options"] == "nosniff"
            again = await request(service, path, f"If-None-Match: {plain.headers['etag']}")
            assert (again.code, again.body) == (304, b"")
        for wrong in ("/web/", "/web/nothing.js", "/web/..%2f..%2froutes.py", "/web/%2fetc%2fpasswd", "/api/v1/"):
            assert (await request(service, wrong)).code == 404
        assert (await request(service, "/api/v1/usage", method="POST")).code == 405

    visit(tmp_path, guest)


def test_metrics_at_the_root_leave_no_room_for_the_page(tmp_path: Path) -> None:
    """With the metrics at ``/`` there is the API, but no page; elsewhere the page links to them."""

    async def guest(service: Service) -> None:
        assert (await request(service, "/")).body.startswith(b"# HELP")
        assert (await request(service, "/web/main.js")).code == 404
        assert (await ask(service, "usage"))["values"]

    async def other(service: Service) -> None:
        assert b'href="x/y"' in (await request(service, "/")).body

    visit(tmp_path / "root", guest, telemetry_path="/")
    visit(tmp_path / "elsewhere", other, telemetry_path="/x/y")


def test_a_version_is_that_of_names_and_limits(exporter: Callable[..., Exporter]) -> None:
    """It stays while only numbers change, and changes with a limit; another process has other versions."""
    made = exporter("v2-docker")
    looks = Looks(lambda: made.scraper, None)  # type: ignore[arg-type]
    first, second = looks._look(), looks._look()
    assert first.version == second.version
    assert first.containers is second.containers
    file = Path(made.settings.proc_root).parent / f"cgroup/v2{PATH}"
    (file / "memory.current").write_text("1000\n")
    assert looks._look().version == first.version
    (file / "memory.max").write_text("1000000\n")
    third = looks._look()
    assert third.version != first.version
    assert Looks(lambda: made.scraper, None)._look().version != first.version  # type: ignore[arg-type]


def test_costly_looks_are_made_more_seldom() -> None:
    """Pages are told to wait twenty times as long as the cheaper of two looks took, within bounds."""
    looks = Looks(lambda: None, None)  # type: ignore[arg-type,return-value]
    assert looks._interval(3.0) == LEAST_INTERVAL_SECONDS  # the first one opens all files
    assert looks._interval(0.25) == 5
    assert looks._interval(0.25) == 5
    assert looks._interval(9.0) == 5
    assert looks._interval(9.0) == MOST_INTERVAL_SECONDS


def test_collectors_that_are_off_have_no_columns(exporter: Callable[..., Exporter]) -> None:
    """Without a family its figures are not there, and the rest is."""
    made = exporter("v2-docker", collectors={"memory": False})
    table = gather(made.scraper.scrape(NEEDED & made.scraper.families.keys()))
    assert not [name for name in table.moving if name.startswith("container_memory")]
    assert "container_threads" in table.moving


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.metric)
def test_figures_are_documented(figure: Any) -> None:  # noqa: ANN401
    """docs/exporter.md lists every figure that the API sends."""
    text = (Path(__file__).parents[3] / "docs/exporter.md").read_text(encoding="utf-8")
    assert f"`{figure.metric}`" in text


def test_the_page_uses_what_the_api_has() -> None:
    """Every metric that a file of the page names is one of the figures or of the machine's."""
    scripts = b"\n".join(gzip.decompress(one.packed) for name, one in load("/metrics").items() if name.endswith(".js"))
    named = set(re.findall(r"\b(?:container|machine)_[a-z_]+\b", scripts.decode()))
    machine = {metric.name for metric in FAMILIES["machine"].metrics}
    assert named
    assert named - machine <= {figure.metric for figure in FIGURES} | {"container_last_seen", "machine_kills"}
