"""Who may import whom: the contracts of pyproject.toml, and two rules that a list of forbidden modules cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = sorted((ROOT / "cgroup_model").rglob("*.py"))
VIEWS = sorted(path for path in (ROOT / "procfs_fuse" / "views").glob("*.py") if path.name != "__init__.py")

PSUTIL_USERS = {"cgroup_model/host.py", "cgroup_model/processes.py"}
PURE = {
    "__future__",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "itertools",
    "math",
    "operator",
    "re",
    "typing",
}
MODEL_FOR_VIEWS = {"cgroup_model.parse", "cgroup_model.snapshot"}


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            # `from package import module` names the module only in its second half.
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from (name if _is_module(name) else module for name in names)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_import_contracts() -> None:
    """The layers and the purity of views, transitive imports included, as pyproject.toml has them."""
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", MODEL, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_model_needs_the_standard_library_only(path: Path) -> None:
    """Whoever embeds the model gets no dependency; psutil serves processes and the host alone."""
    allowed = sys.stdlib_module_names | {"cgroup_model"}
    if str(path.relative_to(ROOT)) in PSUTIL_USERS:
        allowed |= {"psutil"}
    assert {name for name in imported(path) if name.split(".")[0] not in allowed} == set()


@pytest.mark.parametrize("path", VIEWS, ids=lambda path: path.stem)
def test_views_import_pure_modules_only(path: Path) -> None:
    """A view turns a snapshot into bytes: of the model it needs records and parsers, of Python nothing with a clock."""
    foreign = {
        name
        for name in imported(path)
        if name not in MODEL_FOR_VIEWS and not name.startswith("procfs_fuse.views") and name.split(".")[0] not in PURE
    }
    assert foreign == set()
