"""ctop inside of tmux, which is a terminal of its own kind between it and the one that people look at."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import ANY_WORLD
from tests.integration.terminal import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = ANY_WORLD


class Multiplexer:
    """A tmux server of our own with one window, which nobody is attached to."""

    def __init__(self, tool: Tool, folder: Path, environment: Mapping[str, str]) -> None:
        self._words = [tool.path, "-S", str(folder / "socket"), "-f", os.devnull]
        self._environment = {**tool.env, **environment}

    def ask(self, *words: str) -> str:
        """Run one of tmux's commands; gives what it prints."""
        done = subprocess.run(
            [*self._words, *words],
            env=self._environment,
            check=True,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return done.stdout

    @property
    def screen(self) -> str:
        """What the window shows."""
        return self.ask("capture-pane", "-p")

    def wait_for(self, fits: Callable[[str], bool]) -> None:
        """Look until the screen fits."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not fits(shown := self.screen):
            assert time.monotonic() < deadline, f"that never came; the screen is:\n{shown}"
            time.sleep(0.05)

    def close(self) -> None:
        """End the server and whatever runs in it."""
        subprocess.run([*self._words, "kill-server"], env=self._environment, check=False, capture_output=True)


@pytest.fixture
def tmux(tool: Callable[[str], Tool], tmp_path: Path) -> Iterator[Multiplexer]:
    """Start ctop in a window of 160 columns and 30 lines, and a command behind it that stays."""
    multiplexer = Multiplexer(
        tool("tmux"), tmp_path, {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    )
    command = f"echo before; {shlex.quote(sys.executable)} -m ctop --all; echo left with $?; exec cat"
    try:
        multiplexer.ask("new-session", "-d", "-x", "160", "-y", "30", command)
        yield multiplexer
    finally:
        multiplexer.close()


def test_in_tmux(tmux: Multiplexer) -> None:
    """It draws, takes keys, follows the window's size, and leaves the window as it was."""
    tmux.wait_for(lambda shown: "NAME" in shown and "WRIT/s" in shown)
    tmux.ask("send-keys", "/")
    tmux.ask("send-keys", "-l", "no-such-cgroup")
    tmux.wait_for(lambda shown: "nothing fits the filter" in shown)
    tmux.ask("send-keys", "Escape")
    tmux.wait_for(lambda shown: "nothing fits the filter" not in shown and "NAME" in shown)
    tmux.ask("resize-window", "-x", "44", "-y", "12")
    tmux.wait_for(lambda shown: "NAME" in shown and "WRIT/s" not in shown)
    tmux.ask("send-keys", "F1")
    tmux.wait_for(lambda shown: "Moving" in shown)
    tmux.ask("send-keys", "q")
    tmux.wait_for(lambda shown: "NAME" in shown)
    tmux.ask("send-keys", "q")
    tmux.wait_for(lambda shown: "left with 0" in shown and "before" in shown)
    flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_sgr_flag} #{keypad_cursor_flag}"
    assert tmux.ask("display-message", "-p", flags).split() == ["0", "1", "0", "0", "0"]
