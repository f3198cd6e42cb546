"""Starting the serving process in the background, and learning whether it came up."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

import procfs_fuse
from cgscope.errors import FAILED, Failure
from procfs_fuse.instances import Instance

_READY_DESCRIPTOR: Final = 3
_MOST_LOG_BYTES: Final = 1 << 20  # a log that long is moved aside by the next start


def start(arguments: Sequence[str], log_file: str) -> int:
    """Start ``procfs-fuse mount --foreground ARGUMENTS`` as a session of its own; returns its pid when it is mounted.

    Raises Failure with the text and exit code of the process that could not start.
    """
    ready, announce = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, announce, _READY_DESCRIPTOR),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, _fresh(log_file), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    options = ["mount", "--foreground", "--ready-fd", str(_READY_DESCRIPTOR), *arguments]
    command = [*program(), *options]
    every_signal = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=every_signal,
        )
    finally:
        os.close(announce)
    with open(ready, "rb") as answers:
        _check(answers.readline(), log_file)
    return pid


def program() -> list[str]:
    """The words that start this program with the interpreter that runs it now."""
    return [sys.executable, "-P", "-m", "procfs_fuse"]


def resuming(words: Sequence[str], state: object, program_words: Sequence[str] = ()) -> list[str]:
    """The command line of a server with these words of `mount` that takes over what ``state`` (JSON types) says."""
    return [*(program_words or program()), "mount", "--resume", json.dumps(state), *words]


def probe(instance: Instance) -> None:
    """Ask both mounts something: a mount whose server failed at its first request must not count as started."""
    for path in (instance.mountpoint, instance.containers):
        try:
            os.listdir(path)
        except OSError as error:
            raise Failure(f"{path} is mounted, but does not answer: {error.strerror}", "see the log") from error


def announce_ready(descriptor: int) -> None:
    """Tell the process that called `start` that we serve."""
    _announce(descriptor, {})


def announce_failure(descriptor: int, failure: Failure) -> None:
    """Tell the process that called `start` why we do not serve."""
    _announce(descriptor, {"message": failure.message, "advice": failure.advice, "code": failure.code})


def _announce(descriptor: int, answer: dict[str, object]) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")


def _check(line: bytes, log_file: str) -> None:
    if not line:
        raise Failure("the server ended while it was starting", f"see {log_file}")
    answer = json.loads(line)
    if answer:
        raise Failure(answer["message"], answer["advice"], code=answer.get("code", FAILED))


def _fresh(log_file: str) -> str:
    try:
        if os.stat(log_file).st_size > _MOST_LOG_BYTES:
            os.replace(log_file, f"{log_file}.old")
    except FileNotFoundError:
        pass
    return log_file


def environment() -> dict[str, str]:
    """Our environment, extended so that the new interpreter finds this package also in a checkout."""
    environment = dict(os.environ)
    home = os.path.dirname(next(iter(procfs_fuse.__path__)))
    if os.path.basename(home) not in {"site-packages", "dist-packages"}:
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{inherited}" if inherited else home
    return environment
