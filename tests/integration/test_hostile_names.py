"""Real cgroups with names that somebody chose to do harm: each program shows them as names, and nothing more.

A newline is not among them: the kernel refuses it in the name of a cgroup (cgroup_mkdir() in kernel/cgroup/cgroup.c).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cgroup_model.control import Limits, apply, create, remove
from cgroup_model.keys import escape_path
from cgroup_model.mounts import Mounts, discover_mounts
from tests.integration.command_line import ANY_WORLD, NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, CommandLine, program

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), ANY_WORLD]

TOP = f"/cgscope-test-hostile-{os.getpid()}"
NAMES = {
    "label": 'x"} 1 machine_memory_bytes{id="',
    "backslash": "x\\n\\",
    "terminal": "x\x1b]0;owned\x07\x1b[2J\r\x9b31m",
    "page": "<img src=x onerror=alert(1)>&amp;",
    "traversal": "..%2F..%2Fetc",
    "no text": os.fsdecode(b"x\xff\xfe"),
    "columns": "x,y;z\t1",
    "direction": "x\u202egnp.exe\u2066\ufeff\u200b",
    "wide": "🦊漢字e\u0301👩‍🚀",
    "expansion": "${x}$(id)`id`%n%s{0}{x}",
    "longest": "n" * 255,
}
LIMIT_BYTES = 64 << 20


@pytest.fixture(scope="module")
def cgroups() -> Iterator[dict[str, str]]:
    """Kind of name -> path of a cgroup with a limit."""
    mounts: Mounts = discover_mounts()
    paths = {kind: f"{TOP}/{name}" for kind, name in NAMES.items()}
    for path in paths.values():
        create(mounts, path)
        apply(mounts, path, Limits(memory_bytes=LIMIT_BYTES))
    yield paths
    remove(mounts, TOP)


def output(module: str, *options: str) -> bytes:
    """What one of our programs prints; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    words = program(module, *options)
    return subprocess.run(words, env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=True).stdout


def test_metrics(cgroups: dict[str, str]) -> None:
    """Each is the value of a label, whole and alone; none adds a line or a label."""
    page = output("exporters", "--once", "--cgroups", "all").decode("utf-8")
    found = [
        sample
        for family in parse_text(page)
        for sample in family.samples
        if sample.name == "container_spec_memory_limit_bytes" and sample.labels["id"].startswith(f"{TOP}/")
    ]
    shown = {os.fsencode(path).decode("utf-8", "backslashreplace") for path in cgroups.values()}
    assert {sample.labels["id"] for sample in found} == shown
    assert {sample.value for sample in found} == {LIMIT_BYTES}


def test_terminal(cgroups: dict[str, str]) -> None:
    """No control character reaches the terminal; the line of each is a line. JSON has the names as they are."""
    text = output("ctop", "--once", "--all", "--filter", f"{TOP}/", "--columns", "path,memory_limit")
    assert not set(text) & {*range(0x20), 0x7F} - {ord("\n")}
    assert "\x9b" not in text.decode("utf-8")
    assert text.count(b" 64M\n") == len(cgroups)
    rows = json.loads(output("ctop", "--once", "--all", "--json"))["cgroups"]
    assert {row["path"] for row in rows} >= set(cgroups.values()) - {cgroups["no text"]}


def test_virtual_files(cgroups: dict[str, str], tmp_path: Path) -> None:
    """Each is one name in the tree, which leads to its own files and nowhere else."""
    command = CommandLine(tmp_path / "state")
    (tmp_path / "mount").mkdir()
    try:
        assert command("mount", str(tmp_path / "mount")).returncode == 0
        for path in set(cgroups.values()) - {cgroups["longest"]}:  # shortened, which is undone for containers alone
            text = (tmp_path / "mount/containers" / escape_path(path) / "proc/meminfo").read_text()
            assert f"{LIMIT_BYTES >> 10} kB" in text.splitlines()[0]
        shown = command("show", cgroups["longest"], "proc/meminfo")
        assert f"{LIMIT_BYTES >> 10} kB" in shown.stdout.splitlines()[0]
        for key in ("..%2F..%2Fetc", "%2F..%2F..", "%00", "..%2fproc"):
            assert not (tmp_path / "mount/containers" / key).exists()
    finally:
        command.close()
