"""The commands of docs/quickstart.md, typed as they stand there, show what it says they show."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY
from tests.integration.typed import OURS, Typed, sessions

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

PAGE = REPOSITORY / "docs/quickstart.md"
SESSIONS = [(title, typed) for title, typed in sessions(PAGE.read_text("utf-8")) if all(one.is_ours for one in typed)]
"""Those without an engine, which tests/packages/test_newcomer.py has."""


@pytest.fixture
def environment(tmp_path: Path, tool: Callable[[str], Tool]) -> dict[str, str]:
    """The programs in PATH, with state and a mount point that nobody else has."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in OURS.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    given = tool("free").env
    return {
        **given,
        "PATH": f"{programs}:{given['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "CGSCOPE_STATE_DIR": str(tmp_path / "state"),
        "LC_ALL": "C.UTF-8",
    }


def type_all(typed: list[Typed], folder: Path, environment: dict[str, str]) -> None:
    """Type commands into one shell that has a /var/lib of its own: the default places may be in use here."""
    (folder / "lib").mkdir()
    lines = [f"mount --bind {folder}/lib /var/lib || exit 1"]
    for number, one in enumerate(typed):
        lines.append(
            f"{{ {one.command}\n}} >{folder}/{number}.out 2>{folder}/{number}.err; echo $? >{folder}/{number}.code"
        )
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-c", "\n".join(lines)]
    subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, timeout=PATIENCE_SECONDS, check=True)


@pytest.mark.parametrize(("title", "typed"), [pytest.param(*session, id=session[0]) for session in SESSIONS])
def test_commands_do_what_the_page_says(
    title: str, typed: list[Typed], environment: dict[str, str], tmp_path: Path
) -> None:
    """Each command ends with 0 and prints what stands below it."""
    assert typed, title
    type_all(typed, tmp_path, environment)
    for number, one in enumerate(typed):
        code, out, err = ((tmp_path / f"{number}.{what}").read_text("utf-8") for what in ("code", "out", "err"))
        assert code == "0\n", (one.command, err)
        assert one.fits(out), (one.command, out)


def test_the_page_is_read() -> None:
    """Sections without a console, and prompts that are none, are no commands."""
    page = "## a\n```console\n# ctop -x\none …\n# TYPE x\n$ cgscope y\n```\n## b\n```text\n# ctop z\n```\n"
    assert list(sessions(page)) == [("a", [Typed("ctop -x", ("one …", "# TYPE x")), Typed("cgscope y", ())])]


def test_what_fits() -> None:
    """Whole lines in order; … is part of a line, or any number of lines."""
    output = "a 1\nb\nc\nd\n"
    assert Typed("x", ("a …", "…", "c")).fits(output)
    assert not any(Typed("x", lines).fits(output) for lines in (("b",), ("a …", "c"), ("a 2",)))
