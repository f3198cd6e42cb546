"""Only the dialects know what control files are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIALECTS = ROOT / "cgroup_model" / "dialects"
SOURCES = sorted(
    path
    for folder in ROOT.iterdir()
    if folder.is_dir() and folder.name[0] != "." and folder.name not in {"tests", "build"}
    for path in folder.rglob("*.py")
    if DIALECTS not in path.parents
)

# `io` and `misc` are spelled out: `io.open` is Python's. Elsewhere new kernels may add any name.
CONTROL_FILE = re.compile(
    r"""(?<![\w.-]) (?:
        (?: memory | cpu | cpuacct | cpuset | blkio | pids | hugetlb | cgroup | rdma | freezer )
            \. (?! (?:c|h|md|py|rst|toml)\b ) [a-z0-9_]+ (?: \. [a-zA-Z0-9_]+ )*
      | io \. (?: stat | max | low | weight | latency | pressure | cost | bfq | prio ) \b
      | misc \. (?: current | max | peak | capacity | events ) \b
      | irq \. pressure \b
    )""",
    re.VERBOSE,
)


def control_file_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each control file named in a string or bytes constant, docstrings excepted."""
    tree = ast.parse(source)
    # A docstring, like any string that is a statement of its own, is a comment: nothing can read it.
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in comments:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str):
                yield from ((node.lineno, match[0]) for match in CONTROL_FILE.finditer(text))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_dialects_name_control_files(path: Path) -> None:
    """A control file's name outside dialects/ would be a second place to change for each kernel interface."""
    assert list(control_file_names(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "constant",
    [
        "'memory.max'",
        "b'memory.limit_in_bytes'",
        "'/sys/fs/cgroup/a/cpu.cfs_quota_us'",
        "f'{directory}/cgroup.procs'",
        "'io.stat'",
        "'hugetlb.2MB.max'",
        "'cpu.pressure'",
        "'freezer.state'",
        "'blkio.throttle.io_service_bytes'",
    ],
)
def test_the_search_finds_names(constant: str) -> None:
    """The search sees str, bytes, paths and f-strings: otherwise the test above could not fail."""
    assert list(control_file_names(f"x = {constant}"))


@pytest.mark.parametrize(
    "source", ["'''memory.max'''", "x = 'cgroup.py'", "x = 'io.open'", "x = 'out of memory. Try'", "x = 'a-cpu.max'"]
)
def test_the_search_passes_prose_and_python(source: str) -> None:
    """Docstrings, module names and sentences are not control files."""
    assert list(control_file_names(source)) == []
