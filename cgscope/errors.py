"""Errors that a user sees: one line, what failed, on which object, why, and what to do about it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

FAILED: Final = 1
WRONG_USAGE: Final = 2
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


class Failure(Exception):
    """The operation failed. ``advice`` says what to do, ``code`` is the exit status."""

    def __init__(self, message: str, advice: str = "", *, code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.code = code

    def __str__(self) -> str:
        """The message and the advice as one line, whatever strangers' names inside it contain."""
        whole = f"{self.message} ({self.advice})" if self.advice else self.message
        return printable(whole)


class Failures(Failure):
    """The operation failed for several reasons, each of which has a line."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("\n".join(messages))
        self._messages = messages

    def __str__(self) -> str:
        """The messages, each as one line."""
        return "\n".join(map(printable, self._messages))


class UsageError(Failure):
    """The command line is wrong."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message, advice, code=WRONG_USAGE)


def printable(text: str) -> str:
    """The text without control characters: names of files and cgroups must neither break lines nor steer terminals."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def explain(error: OSError) -> str:
    """An operating system error in words, with the file it is about."""
    reason = (error.strerror or str(error)).rstrip(".")
    return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason


def guarded(program: str, function: Callable[[], int]) -> int:
    """Call ``function`` and return its exit status; turn every exception into one line on standard error.

    With ``CGSCOPE_DEBUG`` set in the environment, exceptions that nobody foresaw are raised.
    """
    status = _status(program, function)
    try:
        _write_out()
    except OSError:  # told already; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _status(program: str, function: Callable[[], int]) -> int:
    try:
        return _finished(function)
    except Failure as failure:
        return _report(program, str(failure), failure.code)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has enough, like `head`
        return FAILED
    except OSError as error:
        return _report(program, printable(explain(error)), FAILED)
    except Exception as error:
        if os.environ.get("CGSCOPE_DEBUG"):
            raise
        text = printable(f"internal error: {type(error).__name__}: {error}")
        return _report(program, f"{text} (CGSCOPE_DEBUG=1 shows where; please report it)", FAILED)


def _finished(function: Callable[[], int]) -> int:
    """Call it to its end, all that it printed written out; argparse ends programs itself after ``--help``."""
    _hold_closed_streams()
    try:
        status = function()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    _write_out()
    return status


def _hold_closed_streams() -> None:
    """Keep the numbers of streams that our caller closed from other files; to use them is an error, as it was."""
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives


def _write_out() -> None:
    if sys.stdout is not None:  # None: our caller had closed it, and there is no /dev/null
        sys.stdout.flush()


def _report(program: str, text: str, code: int) -> int:
    # Standard error may be closed or encoded as ASCII; neither may raise.
    data = f"{program}: {text}\n".encode(errors="backslashreplace")
    with contextlib.suppress(OSError):
        os.write(2, data)
    return code
