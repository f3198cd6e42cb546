"""The interactive view: a timer, a session, two screens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.timer import Timer

from cgscope.errors import Failure
from ctop import actions, settings
from ctop.inside import device_names, mounted_inside
from ctop.keyboard import Keyboard
from ctop.screens.common import Common
from ctop.screens.dialogs import CSS as DIALOGS
from ctop.screens.main import MainScreen
from ctop.settings import Settings
from ctop.themes import THEMES, Theme, choose
from ctop.times import local_zone
from ctop.widgets import Lines

if TYPE_CHECKING:
    from cgroup_model.oom import Victim
    from cgroup_model.processes import Process, Processes
    from ctop.first import Handover
    from ctop.live import Live
    from ctop.scene import Entry
    from ctop.session import Session
    from ctop.victims import Victims

_SECOND_LOOK_SECONDS = 0.3  # after the start: when the first frame is out


class CtopApp(App[None]):
    """Shows a session. ``live`` is what can be acted on; ``before`` drew the first frame."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = f"Screen {{ background: ansi_default; color: ansi_default; }}\n{DIALOGS}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(
        self,
        session: Session,
        chosen: Settings,
        *,
        live: Live | None = None,
        read_only: bool = False,
        environ: Mapping[str, str] = os.environ,
        zone: tzinfo | None = None,
        before: Handover | None = None,
    ) -> None:
        super().__init__(ansi_color=True, driver_class=None if before is None else before.driver())
        self.settings = chosen
        self.session = session
        self.machine = None if live is None else actions.Machine(live.mounts, live.tree)
        self.is_read_only = read_only
        self.zone: tzinfo = zone or local_zone()
        self.theme_colours: Theme = choose(chosen.theme, environ)
        self.failure: BaseException | None = None
        self._before = before
        self._environ = environ
        self._live = live
        self._processes: Processes | None = None
        self._victims: Victims | None = None
        self._timer: Timer | None = None
        self._keyboard = Keyboard(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """Let a key wait for its turn; everything else happens at once."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._keyboard.press(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Look again and again."""
        self.run_worker(self._keyboard.run())
        if self.session.scene is None:
            self.session.refresh()
        main = MainScreen()
        self.push_screen(main)
        if self.settings.hint:
            main.message, main.is_problem = self.settings.hint, True
        self._timer = self.set_interval(self.settings.delay, self._tick)
        if not self.session.is_replay:
            self.set_timer(_SECOND_LOOK_SECONDS, self._tick)  # so that the next regular look has rates
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: somebody else's signals
                loop.add_signal_handler(number, self.exit)
        if self._before is not None:
            self._before.take_signals()

    def _tick(self) -> None:
        if self._before is not None and not os.isatty(0):  # hung up on, and nobody was there to tell us by a signal
            self.exit()
        if self.session.is_paused:
            return
        self.session.refresh()
        self.redraw()

    def redraw(self) -> None:
        """Show the session on the screen that is in front; dialogs are left alone."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, Common):
                screen.redraw()
                return

    def _handle_exception(self, error: Exception) -> None:
        """Leave the terminal as it was; the caller says what happened in one line."""
        if self.is_headless:
            super()._handle_exception(error)
            return
        self.failure = self.failure or error
        self.exit(return_code=1)

    # ----------------------------------------------------------------------------------------- settings

    def set(self, **what: object) -> None:
        """Change settings."""
        self.settings = replace(self.settings, **what)  # type: ignore[arg-type]

    def set_delay(self, seconds: float) -> float:
        """Change the interval; returns what it became within its bounds."""
        delay = max(settings.LEAST_DELAY, min(settings.MOST_DELAY, seconds))
        self.set(delay=delay)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_interval(delay, self._tick)
        return delay

    def next_theme(self) -> str:
        """Use the next theme; returns its name."""
        names = list(THEMES)
        self.theme_colours = THEMES[names[(names.index(self.theme_colours.name) + 1) % len(names)]]
        self.set(theme=self.theme_colours.name)
        for screen in self.screen_stack:
            for lines in screen.query(Lines):
                lines.use(self.theme_colours)
        return self.theme_colours.name

    def save(self) -> tuple[str, bool]:
        """Save the settings; returns what to say, and whether it is a problem."""
        view = self.session.view
        self.set(
            columns=self.session.columns,
            sort=view.sort,
            reverse=view.reverse,
            tree=view.tree,
            group=view.group,
            all=view.show_all,
        )
        path = settings.path_of(self._environ)
        try:
            settings.save(path, self.settings)
        except OSError as error:
            return f"cannot save to {path}: {error.strerror}", True
        return f"saved to {path}", False

    # ------------------------------------------------------------------------------------------- inside

    @cached_property
    def device_names(self) -> Mapping[tuple[int, int], str]:
        """Names of block devices by (major, minor); none in a recording."""
        return {} if self._live is None else device_names()

    def in_background(self, work: Callable[[], str], say: Callable[..., None]) -> None:
        """Do something that may wait, in a thread, and say how it went."""

        def run() -> None:
            try:
                message, problem = work(), False
            except Failure as failure:
                message, problem = str(failure), True
            self.call_from_thread(say, message, problem=problem)

        self.run_worker(run, thread=True)

    def processes(self, entry: Entry) -> list[Process] | None:
        """The processes of a cgroup; None in a recording."""
        if self._live is None:
            return None
        if self._processes is None:
            from cgroup_model.processes import Processes  # noqa: PLC0415 - psutil is 3 MiB, and few look at processes

            self._processes = Processes()
        return self._processes.read(self._live.members(entry))

    def victims(self) -> Sequence[Victim] | None:
        """Whom the kernel's log names as killed for lack of memory; None in a recording, or when it may not be read."""
        if self._live is None:
            return None
        if self._victims is None:
            from ctop.victims import Victims  # noqa: PLC0415 - few look at them

            self._victims = Victims()
        return self._victims.read()

    def first_process(self, target: actions.Target) -> int | None:
        """A process of the target; None without any."""
        entry = self.session.entry(target.path)
        if self._live is None or entry is None or entry.inode != target.inode:
            return None
        return next(iter(self._live.members(entry)), None)

    def virtual_files(self, entry: Entry) -> list[str]:
        """Where the virtual proc is mounted inside of a container."""
        members = [] if self._live is None else self._live.members(entry)
        return mounted_inside(members[0]) if members else []
