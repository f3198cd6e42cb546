"""The first thing a stranger sees when the machine lacks something: one line that says what, and how to get it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PREFLIGHT = Path(__file__).resolve().parents[2] / "scripts" / "preflight"


def preflight(*needs: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the check for ``needs``."""
    environment = {**os.environ, **variables}
    return subprocess.run([PREFLIGHT, *needs], env=environment, capture_output=True, text=True, check=False)


def interpreter(folder: Path, script: str) -> str:
    """Make an executable that stands for a Python of another machine; return its path."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_this_python_will_do() -> None:
    """Nothing missing, nothing said."""
    result = preflight("python", PYTHON=sys.executable)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        ("""[ "$1" = --version ] && echo 'Python 3.9.2'; exit 1""", "Python 3.9.2 is too old"),
        ("""case "$2" in *venv*) exit 1; esac""", "apt-get install python3-venv"),
    ],
)
def test_an_unfit_python(tmp_path: Path, script: str, advice: str) -> None:
    """Too old, or without venv as Debian ships it: one line with the remedy, exit code 1."""
    result = preflight("python", PYTHON=interpreter(tmp_path, script))
    assert result.returncode == 1
    assert advice in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_python() -> None:
    """Without any Python the check still runs: it is a shell script."""
    result = preflight("python", PYTHON="/nonexistent/python3")
    assert result.returncode == 1
    assert "/nonexistent/python3 not found" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_not_root() -> None:
    """The line is the command to type instead."""
    # Read from standard input: another user may not reach the folder that this project is in.
    result = subprocess.run(
        ["sh", "-s", "root"],
        input=PREFLIGHT.read_text(encoding="utf-8"),
        user=65534,
        cwd="/",
        env={**os.environ, "GOAL": "test"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "sudo make test" in result.stderr
