"""Completions in real shells: options, virtual files and the names of containers that really are there."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cgroup_model.control import create, remove
from cgroup_model.mounts import discover_mounts
from scripts import manual
from scripts.debian_tools import Tool
from tests.integration.command_line import ANY_WORLD, NEEDS, PATIENCE_SECONDS, REASON

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), ANY_WORLD]

TOP = f"/cgscope-test-completion-{os.getpid()}"
NAME = f"web{os.getpid()}"
HOSTILE = "$(touch owned)", "`touch owned`", "x;touch owned", "'touch owned", 'x" touch', "*"
_START = {
    "bash": "source {share}/bash-completion/completions/procfs-fuse",
    "zsh": "fpath=({share}/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -D",
    "fish": "source {share}/fish/vendor_completions.d/procfs-fuse.fish",
}
_CONTROL = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")
_WORDS = {"bash": ["--norc", "-i"], "zsh": ["-d", "-i"], "fish": ["--no-config", "-i"]}


@pytest.fixture(scope="module")
def containers() -> Iterator[None]:
    """Containers of LXC, whose names are in the paths of their cgroups: a usual one, and some of malicious people."""
    mounts = discover_mounts()
    try:
        for name in (NAME, *HOSTILE):
            create(mounts, f"{TOP}/lxc.payload.{name}")
        yield
    finally:
        remove(mounts, TOP)


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make manual` makes."""
    folder = tmp_path_factory.mktemp("completion")
    assert list(manual.share(folder))
    return folder


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with `ctop`, which knows the containers, as an installation has it."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "ctop"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={Path.cwd()} exec {sys.executable} -m ctop "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return str(folder)


@pytest.mark.usefixtures("containers")
def test_names_of_containers(share: Path, commands: str, tmp_path: Path) -> None:
    """Bash, which expands what it offers, is given names without anything to be expanded, and executes nothing."""
    code = f"source {share}/bash-completion/completions/procfs-fuse; cd {tmp_path}; _cgscope_containers ''"
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    offered = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert NAME in offered.stdout.splitlines()
    assert "touch" not in offered.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("shell", _START)
def test_in_the_shell(shell: str, share: Path, commands: str, tmp_path: Path, tool: Callable[[str], Tool]) -> None:
    """Tab after the beginning of a container's name, of an option, or of a virtual file gives the rest."""
    program = tool(shell)
    environment = {**program.env, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "vt100", "LC_ALL": "C.UTF-8"}
    environment["PATH"] = f"{commands}:{environment['PATH']}"
    # Where it is unpacked zsh finds neither its modules nor its functions.
    tree = Path(program.path).parents[1]
    places = [f"fpath=({tree}/share/zsh/functions/**/*(/))", f"module_path=({tree}/lib/*/zsh/*(/))"]
    (tmp_path / ".zshenv").write_text("\n".join(places) + "\n", encoding="utf-8")
    words = [program.path, *_WORDS[shell]]
    with typing(words, environment) as typed:
        typed(_START[shell].format(share=share) + "; echo RE''ADY\r", "READY")
        typed(f"procfs-fuse attach {NAME[:-1]}\t", f"attach {NAME}")
        typed("\x15procfs-fuse run --memo\t", "--memory")
        typed("\x15procfs-fuse show x proc/mem\t", "proc/meminfo")


@contextlib.contextmanager
def typing(words: Sequence[str], environment: dict[str, str]) -> Iterator[Callable[[str, str], None]]:
    """Give a function that types into a shell's terminal, and waits until something is to be read there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], list(words), environment)  # noqa: S606 - an interactive one, in a terminal

    def typed(keys: str, expected: str) -> None:
        os.write(terminal, keys.encode())
        shown, until = "", time.monotonic() + PATIENCE_SECONDS
        while expected not in _CONTROL.sub("", shown):
            assert select.select([terminal], [], [], max(0, until - time.monotonic()))[0], shown
            shown += os.read(terminal, 1 << 16).decode(errors="replace")

    try:
        yield typed
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
