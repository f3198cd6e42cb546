"""A minute of everything at once; `make soak MINUTES=…` is the same for longer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from tests import own_cgroups
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY
from tests.soak import Report, Sample, grown, is_complaint, main, summary

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

SEEN = """
import os, sys
from cgroup_model.control import Limits, apply, create
from cgroup_model.mounts import discover_mounts

mounts = discover_mounts()
create(mounts, "/made")
apply(mounts, "/made", Limits(memory_bytes=64 << 20))
print(sorted(entry.name for entry in os.scandir(mounts.primary.mountpoint) if entry.is_dir() and entry.name != "own"))
sys.exit(7)
"""

IN_GUEST = "User Mode Linux" in Path("/proc/cpuinfo").read_text()


@pytest.mark.skipif(IN_GUEST, reason="the soak is long enough for one world")
@pytest.mark.parametrize("minutes", [1.0, pytest.param(10.0, marks=pytest.mark.long)])
def test_nothing_grows_and_nobody_complains(tmp_path: Path, minutes: float) -> None:
    """After readers, churn, kills and scrapes: no complaint, memory and descriptors as before."""
    file = tmp_path / "report.json"
    assert main(["--minutes", str(minutes), "--report", str(file)]) == 0
    report = json.loads(file.read_text("utf-8"))
    assert report["complaints"] == []
    assert all(report[what] for what in ("reads", "scrapes", "kills", "short_containers")), report


def test_cgroups_of_its_own() -> None:
    """A program that runs so sees no cgroup but those made there, may limit them, and nothing is left of them."""
    words = [sys.executable, "-m", "tests.own_cgroups", sys.executable, "-c", SEEN]
    process = subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    seen, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, seen) == (7, "['made']\n")
    assert not [
        one for one in discover_mounts().hierarchies if Path(one.directory(own_cgroups.path(process.pid))).exists()
    ]


def samples(first: int, last: int, descriptors: int = 10) -> list[Sample]:
    """A process that grows evenly, in MiB."""
    return [Sample(n, (first + (last - first) * n // 99) << 20, 10 + (descriptors - 10) * n // 99) for n in range(100)]


@pytest.mark.parametrize(
    ("looks", "words"),
    [(samples(30, 31), []), (samples(30, 60), ["rss_bytes"]), (samples(30, 30, descriptors=80), ["descriptors"])],
)
def test_growth_is_seen(looks: list[Sample], words: list[str]) -> None:
    """A leak of memory or descriptors is a complaint, the noise of an interpreter is not."""
    found = list(grown("worker", looks))
    assert [word for word in ("rss_bytes", "descriptors") for one in found if word in one] == words


def test_logs_are_read() -> None:
    """Errors count; that a worker ended is what the soak is about."""
    assert is_complaint("2026-01-01 ERROR something broke")
    assert is_complaint("Traceback (most recent call last):")
    assert not is_complaint("2026-01-01 ERROR worker 7 has ended; the next serves")
    assert not is_complaint("2026-01-01 INFO all is well")


def test_the_summary_names_what_is_wrong() -> None:
    """Whoever runs `make soak` sees it on the last lines."""
    assert summary(Report(1.0, complaints=["it leaks"])).endswith("WRONG: it leaks")
