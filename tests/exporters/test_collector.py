"""One pass: failures stay small, budgets hold, nothing that is gone stays."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from cgroup_model.hierarchy import Cgroup
from exporters.collector import Scraper
from exporters.encoder import encode
from exporters.families import FAMILIES
from exporters.metric import Family
from exporters.readers.oom import Kills, OomReader
from exporters.selection import selector
from exporters.setup import Exporter
from exporters.sheet import Sheet
from tests.exporters.scenes import SHOP, WEB

MakeExporter = Callable[..., Exporter]


def text(sheet: Sheet) -> str:
    """Write a sheet."""
    return b"".join(encode(sheet, "text")).decode()


def ids(page: str) -> set[str]:
    """List the cgroups on a page."""
    return {line.split('id="')[1].split('"')[0] for line in page.splitlines() if 'id="' in line}


def broken(family: Family) -> Family:
    """Make a family whose second group fails."""

    def fail(_: object) -> object:
        raise RuntimeError("as a test")

    first, second, *rest = family.groups
    return replace(family, groups=(first, replace(second, select=fail), *rest))


def with_families(exporter: Exporter, families: dict[str, Family]) -> Scraper:
    """Change what an exporter collects."""
    exporter.scraper.families = families
    return exporter.scraper


def test_one_failing_family_costs_only_its_own_values(exporter: MakeExporter, caplog: pytest.LogCaptureFixture) -> None:
    """The others' values are all there, the failure is a metric, and it is logged once."""
    families = {**FAMILIES, "memory": broken(FAMILIES["memory"])}
    scraper = with_families(exporter("v2-docker"), families)
    with caplog.at_level(logging.ERROR):
        first, second = text(scraper.scrape()), text(scraper.scrape())
    assert 'cgroup_exporter_collector_success{collector="memory"} 0\n' in first
    assert 'cgroup_exporter_collector_success{collector="cpu"} 1\n' in second
    assert "container_memory_usage_bytes{" in second
    assert "container_memory_rss{" not in second
    assert "container_cpu_usage_seconds_total{" in second
    assert len(caplog.records) == 1


def test_a_failing_family_of_the_machine_costs_only_its_own_values(exporter: MakeExporter) -> None:
    """The same for what is told once per page."""
    families = {**FAMILIES, "machine": broken(FAMILIES["machine"])}
    page = text(with_families(exporter("v2-docker"), families).scrape())
    assert 'cgroup_exporter_collector_success{collector="machine"} 0\n' in page
    assert "machine_memory_bytes " in page


def test_only_what_is_asked_for_is_read(exporter: MakeExporter) -> None:
    """`?collect[]=pids` neither reads nor writes anything else."""
    page = text(exporter("v2-docker").scraper.scrape({"pids"}))
    assert {line.split("{")[0] for line in page.splitlines() if line[0] != "#"} == {
        "container_threads",
        "container_threads_max",
        "container_threads_peak",
        "container_pids_max_events_total",
    }


def test_health_is_that_of_the_scrape(exporter: MakeExporter, tmp_path: Path) -> None:
    """As cAdvisor writes it, and as Docker's file has it now; who has no such file has no health."""
    scraper = exporter("v2-docker", collectors=dict.fromkeys(FAMILIES, False) | {"health": True}).scraper
    file = tmp_path / f"0/root/var/lib/docker/containers/{WEB}/config.v2.json"
    config = json.loads(file.read_text())
    for status, value in (("starting", 0), ("healthy", 1), ("unhealthy", 0), (None, -1)):
        started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        config["State"] = {"StartedAt": started, "Health": {"Status": status}} if status else {}
        file.write_text(json.dumps(config))
        page = text(scraper.scrape())
        assert ids(page) == {f"/system.slice/docker-{WEB}.scope"}
        assert page.endswith(f"}} {value}\n")
    file.unlink()
    assert "container_health_state" not in text(scraper.scrape())


def test_the_budget_holds_and_says_so(exporter: MakeExporter) -> None:
    """Whole containers are left out, the youngest first; what was left out is counted."""
    collectors = dict.fromkeys(FAMILIES, False) | {"pids": True, "exporter": True}
    scraper = exporter("v2-kubernetes", collectors=collectors, max_series=6).scraper
    page = text(scraper.scrape())
    assert len([line for line in page.splitlines() if line.startswith("container_")]) == 4
    assert not any(SHOP in one for one in ids(page))
    assert "cgroup_exporter_series 4\n" in page
    assert "cgroup_exporter_series_dropped_total 4\n" in page
    scraper.scrape()
    assert scraper.status.series_dropped == 8


def test_a_container_that_went_is_not_on_the_next_page(exporter: MakeExporter, tmp_path: Path) -> None:
    """No stale series, no error: the next page has exactly what is there."""
    scraper = exporter("v2-docker").scraper
    path = f"/system.slice/docker-{WEB}.scope"
    for name in ("memory.events", "memory.events.local"):
        (tmp_path / f"0/cgroup/v2{path}/{name}").write_text("oom_kill 0\n")
    assert ids(text(scraper.scrape())) == {"/", path}
    shutil.rmtree(f"{tmp_path}/0/cgroup/v2{path}")
    page = text(scraper.scrape())
    assert ids(page) == {"/"}
    (tmp_path / f"0/cgroup/v2{path}").mkdir()
    assert ids(text(scraper.scrape())) == {"/", path}


def test_nothing_remembers_a_container_that_went(exporter: MakeExporter, tmp_path: Path) -> None:
    """Whoever is watched for months sees thousands come and go: no object that the exporter holds tells of them."""
    made = exporter("v2-docker")
    path = f"/system.slice/docker-{WEB}.scope"
    for name in ("memory.events", "memory.events.local"):
        (tmp_path / f"0/cgroup/v2{path}/{name}").write_text("oom_kill 0\n")
    assert path in ids(text(made.scraper.scrape()))
    assert telling_of(path, made)
    shutil.rmtree(f"{tmp_path}/0/cgroup/v2{path}")
    text(made.scraper.scrape())
    assert telling_of(path, made) == []


def telling_of(word: str, root: object) -> list[str]:
    """List the texts with a word in them that an object holds, however deep; not what modules and classes do."""
    found: list[str] = []
    seen: set[int] = set()
    pending = [root]
    while pending:
        one = pending.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            found += [one] if word in one else []
        else:
            pending += gc.get_referents(one)
    return found


def test_a_container_that_died_of_oom_is_on_the_next_two_pages(exporter: MakeExporter, tmp_path: Path) -> None:
    """Its kills and its name go on, nothing else of it does; made again, its count goes on."""
    scraper = exporter("v2-docker").scraper
    path = f"/system.slice/docker-{WEB}.scope"
    folder = tmp_path / f"0/cgroup/v2{path}"
    text(scraper.scrape())
    shutil.rmtree(folder)
    for _ in range(2):
        page = text(scraper.scrape())
        names = {line.split("{")[0] for line in page.splitlines() if f'id="{path}",name="web",image="nginx:1"' in line}
        assert names == {
            "container_info",
            "container_oom_events_total",
            "container_oom_kills_total",
        }
        assert f'container_oom_kills_total{{id="{path}",name="web",image="nginx:1",engine="docker"}} 1\n' in page
    folder.mkdir()
    (folder / "memory.events").write_text("oom_kill 2\n")
    page = text(scraper.scrape())
    assert f'container_oom_kills_total{{id="{path}",name="web",image="nginx:1",engine="docker"}} 3\n' in page


@pytest.mark.parametrize("scene", ["v1-docker", "v2-docker"])
def test_kills_are_compared_with_the_own_counter_whoever_asks(exporter: MakeExporter, scene: str) -> None:
    """Also where nothing else about memory is asked for, as by rules: a kill that nobody notified is not missed."""
    counted: dict[str, int | None] = {}

    class Told(OomReader):
        def read(self, cgroup: Cgroup, own: int | None = None) -> Kills | None:
            counted[cgroup.path] = own
            return super().read(cgroup, own)

    made = exporter(scene)
    made.world.oom = Told(made.oom, selector("containers"))
    made.scraper.scrape({"oom"})
    del counted["/"]
    assert set(counted.values()) == {1}


def test_garbage_is_unknown_and_counted(exporter: MakeExporter, tmp_path: Path) -> None:
    """A control file full of nonsense makes its part absent; everything else is told, and the problem is a metric."""
    made = exporter("v2-docker", collectors={})
    (tmp_path / f"0/cgroup/v2/system.slice/docker-{WEB}.scope/memory.stat").write_text("anon many\n")
    page = text(made.scraper.scrape())
    assert not any(line.startswith("container_memory_rss{") and WEB in line for line in page.splitlines())
    assert f'docker-{WEB}.scope",name="web",image="nginx:1",engine="docker"}} 7\n' in page
    assert 'cgroup_exporter_read_problems_total{part="memory",reason="malformed"} 1\n' in page


def test_thin_naming_keeps_two_labels(exporter: MakeExporter) -> None:
    """With `--naming thin` who a container is stands in container_info alone."""
    page = text(exporter("v2-kubernetes", naming="thin").scraper.scrape({"pids", "info"}))
    threads = [line for line in page.splitlines() if line.startswith("container_threads{") and SHOP in line]
    assert [line.split("scope")[1] for line in threads] == ['",name="web"} 7']
    info = next(line for line in page.splitlines() if line.startswith("container_info{") and SHOP in line)
    assert 'pod="shop-0",namespace="prod"' in info


def test_names_that_look_the_same_give_one_series(exporter: MakeExporter, tmp_path: Path) -> None:
    """Two cgroups whose names differ only in how invalid UTF-8 is shown must not break the page for Prometheus."""
    made = exporter("v2-docker", cgroups="all")
    top = f"{tmp_path}/0/cgroup/v2/".encode()
    for name in (b"x\xff", rb"x\xff"):
        os.mkdir(top + name)
    page = text(made.scraper.scrape())
    samples = [line.rsplit(" ", 1)[0] for line in page.splitlines() if line[0] != "#"]
    assert len(samples) == len(set(samples))
    assert r'id="/x\\xff"' in page
