"""The wheel: installed by pip and by pipx, used, and uninstalled without leaving anything."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.integration.command_line import NEEDS, REASON
from tests.integration.engines import truth
from tests.packages.sources import copy_sources

pytestmark = [pytest.mark.long, pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

COMMANDS = ("cgroup-exporter", "cgscope", "ctop", "procfs-fuse")


def done(words: Sequence[str | Path], **environment: str) -> str:
    """Output of a command, which must succeed; away from the sources, which Python would find first."""
    given = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    given.pop("PYTHONPATH", None)
    ended = subprocess.run(words, env=given, cwd="/", capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
    return ended.stdout


def files(folder: Path) -> set[str]:
    """All files below a folder but what Python compiles on the way; pip leaves empty folders of data files."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {str(path.relative_to(folder)) for path in found if "__pycache__" not in str(path)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources in a folder of their own, in which a wheel can be built."""
    return copy_sources(tmp_path_factory.mktemp("wheel") / "sources")


@pytest.fixture(scope="module")
def wheel(sources: Path) -> Path:
    """The wheel."""
    done([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(sources.parent), str(sources)])
    return next(sources.parent.glob("cgscope-*.whl"))


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a new environment."""
    done([sys.executable, "-m", "venv", tmp_path / "environment"])
    return tmp_path / "environment/bin/python"


def use(folder: Path, state: Path) -> None:
    """Use each command of a folder."""
    assert all((folder / command).exists() for command in COMMANDS)
    assert "CPU" in done([folder / "ctop", "--once"])
    assert "cgroup_" in done([folder / "cgroup-exporter", "--once"])
    assert '"checks"' in done([folder / "cgscope", "doctor", "--json"])
    options = ["--memory", "256M", "--", "grep", "MemTotal", "/proc/meminfo"]
    assert "262144 kB" in done([folder / "procfs-fuse", "run", *options], CGSCOPE_STATE_DIR=str(state))


def test_pip(python: Path, wheel: Path, sources: Path, tmp_path: Path) -> None:
    """Rules, dashboards and commands are there; after `pip uninstall` every file is gone that the wheel had brought."""
    pip = [str(python), "-m", "pip", "--quiet"]
    project: Mapping[str, list[str]] = tomllib.loads((sources / "pyproject.toml").read_text("utf-8"))["project"]
    done([*pip, "install", *project["dependencies"]])
    environment = tmp_path / "environment"
    before = files(environment)
    done([*pip, "install", str(wheel)])
    assert list(environment.glob("share/cgscope/grafana/*.json"))
    assert list(environment.glob("share/cgscope/prometheus/*.yml"))
    use(environment / "bin", tmp_path / "state")
    done([*pip, "uninstall", "--yes", "cgscope"])
    assert files(environment) == before


def test_pipx(python: Path, wheel: Path, tmp_path: Path) -> None:
    """The same with an environment that pipx makes, and removes."""
    done([python, "-m", "pip", "--quiet", "install", "pipx"])
    places = {f"PIPX_{name}": str(tmp_path / name.lower()) for name in ("HOME", "BIN_DIR", "MAN_DIR")}
    done([python, "-m", "pipx", "install", wheel], **places)
    use(tmp_path / "bin_dir", tmp_path / "state")
    done([python, "-m", "pipx", "uninstall", "cgscope"], **places)
    assert files(tmp_path / "bin_dir") == set()
    assert files(tmp_path / "home/venvs") == {".cgscope.lock"}  # pipx's own
