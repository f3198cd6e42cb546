"""What can go wrong before or around a guest, and how its user hears of it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


class GuestError(Exception):
    """No guest can be had; the message is one line for the person who asked for it."""


def run_logged(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run ``command`` with everything it says appended to ``log``. Raises GuestError when it fails.

    When we are told to stop meanwhile, so is the command with all that it started (make's compilers, for example).
    """
    with log.open("ab") as output:
        output.write(f"\n$ {shlex.join(command)}\n".encode(errors="surrogateescape"))
        output.flush()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        except OSError as error:
            raise GuestError(f"{command[0]}: {error.strerror}") from error
        try:
            exit_code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if exit_code:
        raise GuestError(f"{command[0]} failed with exit code {exit_code}; what it said is in {log}")


def say(message: str) -> None:
    """Tell the person who waits; standard output belongs to the guest's command."""
    print(f"guest: {message}", file=sys.stderr, flush=True)  # noqa: T201
