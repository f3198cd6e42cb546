"""What the list and the detail view have in common: actions, logs, a shell, time, help."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from textual import work
from textual.screen import Screen

from ctop.actions import Action, Machine, Target, actions, perform
from ctop.format import clean
from ctop.keys import DETAIL, DOING, LISTING, MOVING
from ctop.logs import find_log, last_lines
from ctop.renderables.help import help_lines
from ctop.renderables.lines import Line
from ctop.screens.dialogs import Confirm, Menu, Pager, Prompt
from ctop.values import title

if TYPE_CHECKING:
    from ctop.scene import Entry
    from ctop.screens.host import Host
    from ctop.session import Session

_SHELL_DIRECTORY = "/"
_SHELL_WARNING = "It runs as root in all of its namespaces. What it uses is not counted to it. exit comes back."
_LOOKS = (("shell", "Shell inside"), ("logs", "Show its log"))


class Common(Screen[None]):
    """Base of both screens. `current` says which entry the user means."""

    message = ""
    is_problem = False

    @property
    def ctop(self) -> Host:
        """The application."""
        return cast("Host", self.app)

    @property
    def session(self) -> Session:
        """What is looked at."""
        return self.ctop.session

    def current(self) -> Entry | None:
        """The entry that actions are about."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Show the session as it is."""
        raise NotImplementedError

    def say(self, message: str, *, problem: bool = False) -> None:
        """Show a message until the next key."""
        self.message, self.is_problem = message, problem
        self.redraw()

    # --------------------------------------------------------------------------------------------- time

    def action_pause(self) -> None:
        """Stop or go on."""
        self.session.pause()
        self.redraw()

    def action_step(self, looks: int) -> None:
        """Show another look."""
        self.session.step(looks)
        self.redraw()

    # ------------------------------------------------------------------------------------------- doing

    @work
    async def action_actions(self) -> None:
        """Choose what to do, answer its question, confirm, do it."""
        target = self._target("act on")
        machine = self.ctop.machine
        if target is None or machine is None:
            return
        known = {action.name: action for action in actions()}
        options = [*((one.name, one.label) for one in known.values()), *_LOOKS]
        name = await self.app.push_screen_wait(Menu(f"What to do to {target.title}?", options))
        if name == "shell":
            self.action_shell()
        elif name == "logs":
            self.action_logs()
        elif name is not None:
            await self._ask(known[name], machine, target)

    async def _ask(self, action: Action, machine: Machine, target: Target) -> None:
        """Ask for what the action needs, then whether it is meant."""
        argument = await self.app.push_screen_wait(Prompt(action.ask, check=action.check)) if action.ask else ""
        if argument is None:
            return
        question = f"{action.label}{f' to {clean(argument)}' if argument else ''}: {target.title}?"
        if await self.app.push_screen_wait(Confirm(question, f"{action.warning}\n{clean(target.path)}")):
            self.ctop.in_background(lambda: perform(action, machine, target, argument), self.say)

    @work
    async def action_shell(self) -> None:
        """Run a shell in the namespaces of the container's first process."""
        target = self._target("run a shell in")
        if target is None:
            return
        pid = self.ctop.first_process(target)
        if pid is None or not shutil.which("nsenter"):
            self.say(f"{target.title}: no process inside, or no nsenter here", problem=True)
            return
        question = f"A shell inside of {target.title}?"
        if await self.app.push_screen_wait(Confirm(question, _SHELL_WARNING)):
            self._run_shell(pid)

    def _run_shell(self, pid: int) -> None:
        command = ["nsenter", "--target", str(pid), "--all", "--wd=/", "--", "/bin/sh"]
        with self.app.suspend(), _deaf_to_interrupts():
            code = subprocess.run(command, cwd=_SHELL_DIRECTORY, check=False).returncode
        self.say(f"the shell ended with {code}", problem=code != 0)

    def action_logs(self) -> None:
        """Show the end of the container's log."""
        entry = self.current()
        path = None if entry is None or self.session.is_replay else find_log(entry.identity)
        if path is None:
            self.say("no log file of it is known here", problem=True)
            return
        try:
            last_lines(path)
        except OSError as error:
            self.say(f"{path}: {error.strerror}", problem=True)
            return
        self.app.push_screen(Pager(lambda: _log(path), self.ctop.theme_colours, follows=True))

    def _target(self, doing: str) -> Target | None:
        entry = self.current()
        if entry is None:
            self.say("select a cgroup first", problem=True)
        elif self.ctop.is_read_only:
            self.say(f"read-only: ctop may not {doing} anything", problem=True)
        elif self.ctop.machine is None:
            self.say("a recording cannot be changed", problem=True)
        elif entry.path == "/":
            self.say("the root is the whole machine: choose something below it", problem=True)
        else:
            return Target(entry.path, entry.inode, title(entry))
        return None

    # -------------------------------------------------------------------------------------------- rest

    def action_help(self) -> None:
        """Show all keys."""
        sections = [("Moving", MOVING), ("The list", LISTING), ("Doing", DOING), ("In the detail view", DETAIL)]
        width = self.size.width
        self.app.push_screen(Pager(lambda: help_lines(sections, width), self.ctop.theme_colours))

    def action_leave(self) -> None:
        """Quit."""
        self.app.exit()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Leave ^C to whoever runs in the terminal: a shell without job control is in our group. Not inherited by it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _log(path: str) -> list[Line]:
    try:
        return [[(clean(line), "")] for line in last_lines(path)]
    except OSError as error:
        return [[(clean(f"{path}: {error.strerror}"), "critical")]]
