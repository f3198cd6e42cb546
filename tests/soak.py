"""A soak: everything at once for minutes, and then the question of what has grown.

    python -m tests.soak --minutes 10 [--report FILE]

Containers with hot, strict readers and limits that change; short containers that come and go; an exporter that is
scraped; workers that are killed, in the first half only, since a worker that was just born cannot have grown. Ends with
1 when a reader, a scrape or a log complained, or when memory or descriptors rose. ``make soak MINUTES=10`` calls it.

An exporter holds memory and descriptors for each cgroup that it sees. So that growth is a leak and not somebody else's
thousand cgroups, all of this runs in cgroups of its own and sees no others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from tests import own_cgroups
from tests.integration.command_line import PATIENCE_SECONDS, REPOSITORY, CommandLine, eventually
from tests.integration.survival import Served, changing_containers, hot_readers

READERS: Final = 3
GROWTH_BYTES: Final = 6 << 20
"""What a process may grow by in the second half: interpreters keep what their fullest moment needed."""
GROWTH_DESCRIPTORS: Final = 16

_KILL_SECONDS: Final = 2.0
_SAMPLE_SECONDS: Final = 1.0
_COMPLAINTS: Final = re.compile(r"Traceback|\bERROR\b|internal error", re.IGNORECASE)
_OUR_DOING: Final = "has ended; the next serves"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process."""

    seconds: float
    rss_bytes: int
    descriptors: int


@dataclass(slots=True)
class Report:
    """What a soak was, and what is wrong."""

    minutes: float
    reads: int = 0
    longest_stall_seconds: float = 0.0
    scrapes: int = 0
    short_containers: int = 0
    kills: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def samples_of(pid: int) -> Sample:
    """Look at a process; raises OSError when it is gone."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return Sample(time.monotonic(), pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd")))


def grown(name: str, samples: Sequence[Sample]) -> Iterator[str]:
    """Yield what rose between the first and the last quarter of the samples."""
    quarter = max(1, len(samples) // 4)
    for what, allowed in (("rss_bytes", GROWTH_BYTES), ("descriptors", GROWTH_DESCRIPTORS)):
        early, late = (
            statistics.median(getattr(one, what) for one in part) for part in (samples[:quarter], samples[-quarter:])
        )
        if late - early > allowed:
            yield f"{name}: {what} rose from {early:.0f} to {late:.0f}"


class Repeated(threading.Thread):
    """Calls a function again and again until told to stop; its exceptions are complaints."""

    def __init__(self, function: Callable[[], None], pause_seconds: float) -> None:
        super().__init__(daemon=True)
        self._function, self._pause_seconds = function, pause_seconds
        self._stopped = threading.Event()
        self.times = 0
        self.complaints: list[str] = []

    def run(self) -> None:
        """Repeat."""
        while not self._stopped.is_set():
            try:
                self._function()
                self.times += 1
            except Exception as error:  # noqa: BLE001 - whatever it is belongs in the report
                self.complaints.append(f"{self._function.__name__}: {type(error).__name__}: {error}")
            self._stopped.wait(self._pause_seconds)

    def stop(self) -> int:
        """Stop; return how often the function was done."""
        self._stopped.set()
        self.join(PATIENCE_SECONDS)
        return self.times


class Soak:
    """One soak in a folder of its own."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self._folder = folder
        self._half_seconds = minutes * 30
        self._command = CommandLine(folder / "state")
        self._log = folder / "exporter.log"
        self.report = Report(minutes)

    def run(self) -> Report:
        """Do it; the report says what was wrong."""
        place = self._folder / "mount"
        place.mkdir()
        with contextlib.closing(self._command), self._exporter() as (exporter, port):
            served = Served(self._command, place)
            with changing_containers(READERS) as targets, hot_readers(served, targets) as answers:
                self._busy(served, exporter, port)
            self.report.reads = sum(answer["calls"] for answer in answers)
            self.report.longest_stall_seconds = max(answer["longest_seconds"] for answer in answers)
            self._read_logs(Path(served.instance.directory, "log"), self._log)
        return self.report

    def _busy(self, served: Served, exporter: int, port: int) -> None:
        helpers = [Repeated(lambda: scrape(port), 1.0), Repeated(self._short_container, 0.2)]
        for helper in helpers:
            helper.start()
        self._killing(served)
        self._watching(served, exporter)
        self.report.scrapes, self.report.short_containers = [helper.stop() for helper in helpers]
        for helper in helpers:
            self.report.complaints += helper.complaints
        for name, samples in self.report.samples.items():
            self.report.complaints += grown(name, samples)

    def _killing(self, served: Served) -> None:
        until = time.monotonic() + self._half_seconds
        while time.monotonic() < until:
            served.kill_worker()
            self.report.kills += 1
            time.sleep(_KILL_SECONDS)

    def _watching(self, served: Served, exporter: int) -> None:
        state = served.complete()
        pids = {"keeper": state["keeper_pid"], "worker": state["worker_pids"][0], "exporter": exporter}
        until = time.monotonic() + self._half_seconds
        while time.monotonic() < until:
            for name, pid in pids.items():
                self.report.samples.setdefault(name, []).append(samples_of(pid))
            time.sleep(_SAMPLE_SECONDS)

    def _short_container(self) -> None:
        found = self._command("run", "--memory", "48M", "--cpus", "1", "--", "grep", "MemTotal", "/proc/meminfo")
        if found.returncode or found.stdout.split()[1:2] != ["49152"]:
            raise AssertionError(f"{found.returncode}: {found.stdout!r} {found.stderr!r}")

    @contextlib.contextmanager
    def _exporter(self) -> Iterator[tuple[int, int]]:
        port = free_port()
        words = [sys.executable, "-m", "exporters", "--listen", f"127.0.0.1:{port}", "--cgroups", "all"]
        words += ["--oom-state", str(self._folder / "oom.json")]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        with self._log.open("wb") as log:
            process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        try:
            if not eventually(lambda: answers(port)):
                raise AssertionError(f"no exporter: {self._log.read_text(encoding='utf-8', errors='replace')}")
            yield process.pid, port
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)

    def _read_logs(self, *logs: Path) -> None:
        for log in logs:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            self.report.complaints += [f"{log.name}: {line}" for line in lines if is_complaint(line)]


def is_complaint(line: str) -> bool:
    """Whether a line of a log tells of something that should not have happened; killed workers should."""
    return bool(_COMPLAINTS.search(line)) and _OUR_DOING not in line


def scrape(port: int) -> None:
    """Get the exporter's page, and understand it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    if not families:
        raise AssertionError("an empty page")


def answers(port: int) -> bool:
    """Whether the exporter serves."""
    try:
        scrape(port)
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def summary(report: Report) -> str:
    """Return the report for people."""
    stall = f"longest stall {report.longest_stall_seconds * 1000:.0f} ms"
    work = f"{report.kills} workers killed, {report.short_containers} short containers, {report.scrapes} scrapes"
    lines = [f"{report.minutes:g} minutes: {report.reads} reads, {stall}, {work}"]
    for name, samples in report.samples.items():
        first, last = samples[0], samples[-1]
        lines.append(
            f"{name:9} RSS {first.rss_bytes / 1e6:.1f} -> {last.rss_bytes / 1e6:.1f} MB, "
            f"descriptors {first.descriptors} -> {last.descriptors}"
        )
    return "\n".join([*lines, *(f"WRONG: {one}" for one in report.complaints)])


def as_json(report: Report) -> Mapping[str, Any]:
    """Return the report as plain data."""
    return asdict(report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a soak; 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long in all (default: 10)")
    parser.add_argument("--report", type=Path, help="write everything, samples included, as JSON")
    parser.add_argument("--here", action="store_true", help="beside all other cgroups of this machine")
    given = parser.parse_args(arguments)
    if not given.here:
        again = list(arguments) if arguments is not None else sys.argv[1:]
        return own_cgroups.run([sys.executable, "-m", "tests.soak", "--here", *again])
    with tempfile.TemporaryDirectory(prefix="cgscope-soak-") as folder:
        report = Soak(Path(folder), given.minutes).run()
    if given.report:
        given.report.write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(summary(report) + "\n")
    return int(bool(report.complaints))


if __name__ == "__main__":
    sys.exit(main())
