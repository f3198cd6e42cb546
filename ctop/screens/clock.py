"""Keys about time: when to look, how often, and which moment to show."""

from __future__ import annotations

import time
from datetime import datetime

from textual import work

from cgscope.quantities import format_duration, parse_duration
from ctop.screens.common import Common
from ctop.screens.dialogs import Prompt
from ctop.times import parse_moment


class Clock(Common):
    """The clock's part of the main screen."""

    def action_look(self) -> None:
        """Look now."""
        self.session.refresh()
        self.redraw()

    def action_faster(self, factor: float) -> None:
        """Change the interval."""
        delay = self.ctop.set_delay(self.ctop.settings.delay * factor)
        self.say(f"every {delay:g} s")

    @work
    async def action_interval(self) -> None:
        """Ask for the interval."""
        now = f"{self.ctop.settings.delay:g}s"
        text = await self.app.push_screen_wait(Prompt("Interval, such as 500ms, 2s", now, parse_duration))
        if text is not None:
            self.say(f"every {format_duration(self.ctop.set_delay(parse_duration(text)))}")

    @work
    async def action_jump(self) -> None:
        """Ask for a time and go there."""
        taken_at = self.session.scene.taken_at if self.session.scene is not None else time.time()
        shown = datetime.fromtimestamp(taken_at, self.ctop.zone)
        question = "Go to a time, such as 14:05, 2026-01-01 12:00, -10m"
        text = await self.app.push_screen_wait(Prompt(question, check=lambda text: parse_moment(text, shown)))
        if text is not None:
            self.session.jump(parse_moment(text, shown))
            self.redraw()

    def action_next_oom(self) -> None:
        """Go to the next OOM kill."""
        if self.session.go_to_next_oom():
            self.redraw()
        else:
            self.say("nobody was killed for lack of memory in this time")
