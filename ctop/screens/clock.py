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
        text = await self.app.push_screen_wait(Prompt("Interval, such as 500ms, 2s", f"{self.ctop.settings.delay:g}s"))
        if text is None:
            return
        try:
            self.say(f"every {format_duration(self.ctop.set_delay(parse_duration(text)))}")
        except ValueError as error:
            self.say(str(error), problem=True)

    @work
    async def action_jump(self) -> None:
        """Ask for a time and go there."""
        text = await self.app.push_screen_wait(Prompt("Go to a time, such as 14:05, 2026-01-01 12:00, -10m"))
        if text is None:
            return
        now = self.session.scene.taken_at if self.session.scene is not None else time.time()
        try:
            self.session.jump(parse_moment(text, datetime.fromtimestamp(now, self.ctop.zone)))
        except ValueError as error:
            self.say(str(error), problem=True)
            return
        self.redraw()

    def action_next_oom(self) -> None:
        """Go to the next OOM kill."""
        if self.session.go_to_next_oom():
            self.redraw()
        else:
            self.say("nobody was killed for lack of memory in this time")
