"""Real OOM kills in real cgroups: how many, of whom, also of cgroups that live shorter than a blink."""

from __future__ import annotations

import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts
from cgroup_model.oom import Account, OomMonitor, Report
from exporters.encoder import encode
from exporters.families import FAMILIES
from exporters.setup import Exporter, Settings

TOP = f"/cgscope-test-oom-{os.getpid()}"
MIB = 1 << 20
LIMIT_BYTES = 16 * MIB
IN_GUEST = bool(os.environ.get("CGSCOPE_WORLD"))  # one slow CPU
PATIENCE_SECONDS = 60
EVENT_SECONDS = 0.05


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Find the machine's hierarchies."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    found = discover_mounts()
    if found.for_controller("memory") is None:
        pytest.skip("no memory controller")
    return found


@pytest.fixture
def limited(mounts: Mounts) -> Iterator[Callable[[str], str]]:
    """Make a cgroup of 16 MiB below our own; all are removed in the end."""

    def make(name: str) -> str:
        path = f"{TOP}/{name}"
        create(mounts, path)
        apply(mounts, path, Limits(memory_bytes=LIMIT_BYTES, swap_bytes=0))
        return path

    try:
        yield make
    finally:
        kill(mounts, TOP)
        remove(mounts, TOP)


@pytest.fixture
def monitor(mounts: Mounts, tmp_path: Path) -> Iterator[OomMonitor]:
    """Watch."""
    with OomMonitor(mounts, state_path=str(tmp_path / "oom.json")) as made:
        made.start()
        yield made


def die_of_oom(mounts: Mounts, path: str) -> None:
    """Let a process of ours touch more memory than its cgroup may have."""
    ready, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(ready, 1)
        memory = mmap.mmap(-1, 4 * LIMIT_BYTES)
        for offset in range(0, 4 * LIMIT_BYTES, mmap.PAGESIZE):
            memory[offset] = 1
        os._exit(0)
    os.close(ready)
    try:
        add_process(mounts, path, pid)
    finally:
        os.close(go)
        status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def wait_for(monitor: OomMonitor, condition: Callable[[Report], bool]) -> Report:
    """Look until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition(report := monitor.report()) and time.monotonic() < deadline:
        time.sleep(EVENT_SECONDS)
    assert condition(report), report
    return report


def accounts(report: Report, prefix: str = TOP) -> dict[str, Account]:
    """Map path -> account, of ours."""
    return {one.path: one for one in report.accounts if one.path.startswith(prefix)}


def booked(report: Report) -> int:
    """Give all kills that the ledger knows of, whoever died."""
    return report.attributed + report.unattributed


def lines_about(path: str, page: str) -> str:
    """Leave out all other containers: the parser would read those of a large machine for minutes."""
    return "".join(f"{line}\n" for line in page.splitlines() if line.startswith("#") or path in line)


def total(report: Report, prefix: str) -> int:
    """Add up the kills in the cgroups themselves."""
    return sum(one.own_kills for one in accounts(report, prefix).values())


@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.long)])
def test_a_storm_in_one_cgroup(mounts: Mounts, limited: Callable[[str], str], monitor: OomMonitor, count: int) -> None:
    """As many as there were, at every level; the kernel's log names only some of them with their cgroup."""
    path = limited("storm")
    for _ in range(count):
        die_of_oom(mounts, path)
    found = accounts(wait_for(monitor, lambda report: total(report, path) == count))
    assert (found[path].kills, found[path].own_kills, found[TOP].kills) == (count, count, count)
    assert found[path].victims


@pytest.mark.parametrize("count", [10, pytest.param(30, marks=pytest.mark.long)])
def test_cgroups_that_die_at_once(
    mounts: Mounts, limited: Callable[[str], str], monitor: OomMonitor, count: int
) -> None:
    """Made, killed in, removed: each is in the ledger with its kill, and none is unattributed."""
    limited("parent")
    before = monitor.report()
    machine_before, booked_before = before.machine_kills or 0, booked(before)
    for number in range(count):
        path = limited(f"parent/{number}")
        die_of_oom(mounts, path)
        remove(mounts, path)
    prefix = f"{TOP}/parent"
    report = wait_for(
        monitor, lambda report: accounts(report)[prefix].kills == count if prefix in accounts(report) else False
    )
    found = {path: one.kills for path, one in accounts(report, f"{prefix}/").items()}
    assert found == {f"{prefix}/{number}": 1 for number in range(count)}
    assert all(one.departed for one in accounts(report, f"{prefix}/").values())
    # Others may be killed on this machine at the same time: the sum is right whoever it was.
    wait_for(monitor, lambda report: (report.machine_kills or 0) - machine_before == booked(report) - booked_before)


def test_removed_without_a_kill_is_none(mounts: Mounts, limited: Callable[[str], str], monitor: OomMonitor) -> None:
    """The signal that a cgroup's removal sends is not taken for a kill."""
    limited("parent")
    for number in range(20):
        remove(mounts, limited(f"parent/{number}"))
    victim = limited("parent/last")
    die_of_oom(mounts, victim)
    report = wait_for(monitor, lambda report: total(report, TOP) > 0)
    assert [path for path, one in accounts(report).items() if one.own_kills] == [victim]


def test_a_limit_above_kills_below(mounts: Mounts, limited: Callable[[str], str], monitor: OomMonitor) -> None:
    """The kill is the victim's cgroup's, not that of the one with the limit or of a sibling that is notified, too."""
    limited("pod")
    for name in ("pod/a", "pod/b", "pod/gone"):
        create(mounts, f"{TOP}/{name}")
    die_of_oom(mounts, f"{TOP}/pod/a")
    remove(mounts, f"{TOP}/pod/gone")
    report = wait_for(monitor, lambda report: total(report, TOP) > 0)
    time.sleep(10 * EVENT_SECONDS)  # for what would be wrong to happen
    report = monitor.report()
    assert {path: one.own_kills for path, one in accounts(report).items() if one.own_kills} == {f"{TOP}/pod/a": 1}


def test_counts_go_on_after_a_restart(mounts: Mounts, limited: Callable[[str], str], tmp_path: Path) -> None:
    """Of living cgroups, of those that are gone, and of kills while nobody watched; each counted once."""
    state = str(tmp_path / "oom.json")
    lives, dies = limited("lives"), limited("dies")
    with OomMonitor(mounts, state_path=state) as monitor:
        monitor.start()
        die_of_oom(mounts, lives)
        die_of_oom(mounts, dies)
        remove(mounts, dies)
        before = wait_for(monitor, lambda report: total(report, TOP) == 2)
    die_of_oom(mounts, lives)
    with OomMonitor(mounts, state_path=state) as monitor:
        monitor.start()
        report = wait_for(monitor, lambda report: total(report, TOP) == 3)
    found = accounts(report)
    assert (found[lives].kills, found[dies].kills, found[TOP].kills) == (2, 1, 3)
    assert found[dies].departed
    assert found[dies].victims == accounts(before)[dies].victims
    assert report.attributed > before.attributed  # others may be killed at the same time


def test_what_could_not_be_saved_is_saved_later(
    mounts: Mounts, limited: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that was full for a while costs one line, and no count that a restart would need."""
    in_the_way = tmp_path / "oom.json.new"
    in_the_way.mkdir()
    with OomMonitor(mounts, state_path=str(tmp_path / "oom.json")) as monitor:
        monitor.start()
        die_of_oom(mounts, limited("kept"))
        wait_for(monitor, lambda report: total(report, TOP) == 1 and "cannot be saved" in caplog.text)
        in_the_way.rmdir()
        wait_for(monitor, lambda _: (tmp_path / "oom.json").exists())
    assert caplog.text.count("cannot be saved") == 1


def test_a_container_that_is_gone_stays_on_two_pages(
    mounts: Mounts, limited: Callable[[str], str], tmp_path: Path
) -> None:
    """With name, kills and, in OpenMetrics, the victim; after a restart of the exporter again."""
    name = "ab" * 32
    switches = {family: family in ("info", "oom") for family in FAMILIES}
    settings = Settings(collectors=switches, oom_state=str(tmp_path / "oom.json"))
    for restarted in (False, True):
        with Exporter(settings) as exporter:
            exporter.watch()
            if not restarted:
                path = limited(f"docker/{name}")
                die_of_oom(mounts, path)
                remove(mounts, path)
                wait_for(exporter.oom, lambda report: total(report, TOP) == 1)
            for _ in range(2):
                page = lines_about(path, b"".join(encode(exporter.scraper.scrape(), "openmetrics")).decode())
                samples = {
                    sample.name: sample
                    for metric in openmetrics.text_string_to_metric_families(page)  # type: ignore[no-untyped-call]
                    for sample in metric.samples
                    if sample.labels.get("id") == path
                }
                assert {"container_info", "container_oom_kills_total", "container_oom_events_total"} <= set(samples)
                assert not [one for one in samples if one != "container_info" and "oom" not in one]
                kills = samples["container_oom_kills_total"]
                assert (kills.value, kills.labels["engine"]) == (1, "docker")
                if exporter.world.oom is not None and exporter.world.oom.report.log_readable:
                    assert kills.exemplar.labels["pid"].isdigit()
            assert exporter.scraper.status.vanished >= 0  # a counter: what is only remembered is not among those read


def test_without_watching_counters_are_read_all_the_same(mounts: Mounts, limited: Callable[[str], str]) -> None:
    """A ledger that was not started counts what living cgroups say."""
    path = limited("polled")
    with OomMonitor(mounts) as monitor:
        assert total(monitor.report(), TOP) == 0
        die_of_oom(mounts, path)
        assert accounts(monitor.report())[path].kills == 1


@pytest.mark.parametrize("watching", [False, True])
def test_a_kill_during_a_scrape_is_in_both_counts(
    mounts: Mounts, limited: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, watching: bool
) -> None:
    """The ledger is looked at before the cgroups are read: a page never has fewer kills than a cgroup's own file."""
    path = limited(f"docker/{'cd' * 32}")
    switches = {family: family in ("memory", "oom") for family in FAMILIES}
    with Exporter(Settings(collectors=switches, oom_state=str(tmp_path / "oom.json"))) as exporter:
        if watching:
            exporter.watch()
        reader = exporter.world.oom
        assert reader is not None
        begin = reader.begin

        def then_kill() -> None:
            begin()
            die_of_oom(mounts, path)

        monkeypatch.setattr(reader, "begin", then_kill)
        for count in (1, 2):
            page = lines_about(path, b"".join(encode(exporter.scraper.scrape(), "text")).decode())
            found = {
                line.split("{")[0]: float(line.rpartition(" ")[2])
                for line in page.splitlines()
                if line.startswith("container_oom_kills_total{") or 'event="oom_kill"' in line
            }
            assert found["container_memory_events_total"] == count
            assert found["container_oom_kills_total"] == count


def test_it_ends_when_it_is_told_to(limited: Callable[[str], str], monitor: OomMonitor) -> None:
    """The thread, at once; what is asked afterwards is empty, and closing twice is closing once."""
    limited("quiet")
    thread = next(one for one in threading.enumerate() if one.name == "oom-watch")
    monitor.close()
    assert not thread.is_alive()
    monitor.close()
    assert monitor.report().accounts == ()
