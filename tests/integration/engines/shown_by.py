"""What engines, hooks and scripts are told about the tests' instance."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.integration.command_line import CommandLine
from tests.integration.reach import Within

PLAIN_FILES: Final = (
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/swaps",
    "/proc/loadavg",
    "/proc/diskstats",
)
"""What `-v` may bind with any runtime: lxcfs's list."""


def mountpoint(instance: CommandLine) -> str:
    """Where the only instance is mounted."""
    (found,) = instance.status()
    return str(found["mountpoint"])


def source(instance: CommandLine) -> str:
    """What mountinfo calls the instance's mounts."""
    return f"procfs-fuse:{mountpoint(instance)}"


def options(instance: CommandLine) -> list[str]:
    """Options of hooks: no other instance is meant."""
    return [f"--mount={mountpoint(instance)}", f"--state-dir={instance.state_dir}"]


def volumes(instance: CommandLine, paths: Sequence[str] = PLAIN_FILES, mode: str = "ro") -> list[str]:
    """Options of podman and docker that bind these files."""
    place = mountpoint(instance)
    return [f"--volume={place}{path}:{path}:{mode}" for path in paths]


def script(path: Path, instance: CommandLine, *arguments: str, reached: Within | None = None) -> Path:
    """Write a program that calls the command, or the one that can be ``reached``, with these arguments and its own."""
    python, *words = instance.words(*arguments)
    modules = reached.modules if reached is not None else instance.environment["PYTHONPATH"]
    command = shlex.join([reached.python if reached is not None else python, *words])
    path.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(modules)} exec {command} -- "$@"\n')
    path.chmod(0o755)
    return path
