"""The main job, seen: ordinary tools on the machine and in a limited container, side by side (`make run`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

LIMITS: Final = ("--memory", "256M", "--cpus", "1")

COMMANDS: Final[Mapping[str, str]] = {
    "free -m": "free -m",
    "CPUs in /proc/cpuinfo": "grep -c ^processor /proc/cpuinfo",
    "lscpu": "lscpu | grep -E '^(CPU\\(s\\)|On-line)'",
    "uptime": "uptime",
    "head -3 /proc/meminfo": "head -3 /proc/meminfo",
    "top -b -n1": "top -b -n1 | head -5",
}
"""Title -> what the shell runs, the same on both sides."""

SEPARATOR: Final = "--- next command ---"
TIMEOUT_SECONDS: Final = 60
WIDTH_WITHOUT_TERMINAL: Final = 200


class DemoError(Exception):
    """A side could not be shown; the message says which, why and what the command said."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one command printed on both sides."""

    title: str
    machine: tuple[str, ...]
    container: tuple[str, ...]


def script() -> str:
    """Return one shell script of all commands: one container, not one for each of them."""
    return f"\necho '{SEPARATOR}'\n".join(COMMANDS.values())


def outputs(prefix: Sequence[str]) -> list[tuple[str, ...]]:
    """Run the script after ``prefix`` (a launcher, or nothing); return the lines of each command. Raises DemoError."""
    command = [*prefix, "sh", "-c", script()]
    side = "in the container" if prefix else "on this machine"
    try:
        result = subprocess.run(
            command,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except OSError as error:
        raise DemoError(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"the commands {side} took more than {TIMEOUT_SECONDS} s") from error
    blocks = [tuple(block.strip("\n").splitlines()) for block in result.stdout.split(SEPARATOR + "\n")]
    if result.returncode or len(blocks) != len(COMMANDS) or not all(blocks):
        said = result.stderr.strip() or result.stdout.strip() or "nothing"
        raise DemoError(f"the commands {side} failed with exit code {result.returncode} and said: {said}")
    return blocks


def layout(blocks: Sequence[Shown], columns: int) -> str:
    """Return the two sides next to one another or, where ``columns`` is too narrow, one below the other."""
    left = max(len(line) for block in blocks for line in block.machine)
    right = max(len(line) for block in blocks for line in block.container)
    beside = left + len(" | ") + right <= columns
    limits = " ".join(LIMITS)
    lines = [f"{'on this machine':{left}} | in a container, {limits}" if beside else f"[m] machine, [c] {limits}"]
    for block in blocks:
        lines += ["", f"$ {block.title}"]
        if beside:
            pairs = zip_longest(block.machine, block.container, fillvalue="")
            lines += [f"{machine:{left}} | {container}".rstrip() for machine, container in pairs]
        else:
            lines += [f"[m] {line}" for line in block.machine] + [f"[c] {line}" for line in block.container]
    return "\n".join(lines)


def main() -> int:
    """Show both sides; return the exit code."""
    # The launcher of this very installation, not whatever PATH has.
    launcher = os.path.join(os.path.dirname(sys.executable), "procfs-fuse")
    try:
        machine = outputs([])
        container = outputs([launcher, "run", *LIMITS, "--"])
    except DemoError as error:
        print(f"procfs_fuse.demo: {error}", file=sys.stderr)
        return 1
    blocks = [Shown(*block) for block in zip(COMMANDS, machine, container, strict=True)]
    columns = shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns
    print(layout(blocks, columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
