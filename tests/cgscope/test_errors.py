"""Every error is one line on standard error, and the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from cgscope.errors import Failure, UsageError, guarded


def raising(error: BaseException) -> Callable[[], int]:
    """A command that fails."""

    def run() -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Failure("cannot do x", "do y"), 1, "tool: cannot do x (do y)\n"),
        (Failure("no command", code=127), 127, "tool: no command\n"),
        (UsageError("which?"), 2, "tool: which?\n"),
        (FileNotFoundError(2, "No such file or directory", "/x"), 1, "tool: /x: No such file or directory\n"),
        (OSError("no mount here."), 1, "tool: no mount here\n"),
        (Failure("bad \n\033[31m\udcff name"), 1, "tool: bad \\n\\x1b[31m\\udcff name\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_line_and_code(error: BaseException, code: int, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The line says what the exception says, printable whatever names are in it."""
    assert guarded("tool", raising(error)) == code
    assert capfd.readouterr().err == line


def test_unforeseen_errors_are_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours is no traceback either, unless somebody who debugs wants it."""
    monkeypatch.delenv("CGSCOPE_DEBUG", raising=False)
    assert guarded("tool", raising(ZeroDivisionError("1/0"))) == 1
    assert capfd.readouterr().err.count("\n") == 1
    monkeypatch.setenv("CGSCOPE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        guarded("tool", raising(ZeroDivisionError("1/0")))


def test_success_passes_the_code_through(capfd: pytest.CaptureFixture[str]) -> None:
    """Without an error the command's own exit code counts, and nothing is printed."""
    assert guarded("tool", lambda: 42) == 42
    assert capfd.readouterr() == ("", "")


def test_closed_standard_error_changes_nothing() -> None:
    """The exit code arrives even when nobody can be told why."""
    saved = os.dup(2)
    os.close(2)
    try:
        assert guarded("tool", raising(Failure("unheard", code=3))) == 3
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def printed_to(output: int) -> tuple[int, bytes]:
    """What becomes of ``--help``: code, complaints. Its text is still in a buffer as argparse ends the program."""
    script = "from cgscope.cli import main; import sys; sys.exit(main(['--help']))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, env=environment, stdout=output, stderr=subprocess.PIPE, check=False)
    os.close(output)
    return done.returncode, done.stderr


def test_help_for_a_reader_that_has_enough() -> None:
    """Neither is told of the other."""
    reading, writing = os.pipe()
    os.close(reading)
    assert printed_to(writing) == (1, b"")


def test_a_full_disk_is_told_once() -> None:
    """In our line, and not in Python's when it tries again at its end."""
    assert printed_to(os.open("/dev/full", os.O_WRONLY)) == (1, b"cgscope: No space left on device\n")


def test_closed_streams_are_nobody_elses() -> None:
    """What is opened takes none of their numbers, so that it is not written to; printing is an error, told once."""
    script = (
        "import os, sys; from cgscope.errors import guarded; "
        "sys.exit(guarded('tool', lambda: sys.stdout.write(str(os.open('/', 0))) * 0))"
    )
    words = ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"tool: Bad file descriptor\n")
    words[2] = 'exec "$@" <&-'
    assert subprocess.run(words, capture_output=True, check=False).stdout == b"3"
