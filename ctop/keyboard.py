"""Keys, one at a time.

Textual gives a key to whatever has the focus when it arrives, also while the key before it still waits in a queue.
On a busy machine, or when somebody types fast, the letters behind ``/`` were taken for commands, and a ``j`` behind
``x`` moved the list under the menu that was about to open. Here a key waits until what the last one set off is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from textual import events

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump

_GIVE_UP_SECONDS: Final = 2.0  # a widget that is being removed may never answer
_QUIET_ROUNDS: Final = 2  # a dialog's answer is taken up by its worker one step later


class Keyboard:
    """Holds keys back until the application has come to rest."""

    def __init__(self, app: App[Any], deliver: Callable[[events.Key], Awaitable[None]]) -> None:
        self._app = app
        self._deliver = deliver
        self._waiting: asyncio.Queue[events.Key] = asyncio.Queue()

    def press(self, key: events.Key) -> None:
        """Take in a key; it has its turn when those before it are done."""
        self._waiting.put_nowait(key)

    async def run(self) -> None:
        """Deliver keys for as long as the application runs."""
        while True:
            await self._deliver(await self._waiting.get())
            await self._rest()

    async def _rest(self) -> None:
        """Wait until everybody whom the key concerns, and whoever has the focus thereafter, has an empty queue."""
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            screens = self._app.screen_stack
            if not screens:  # the application is ending
                return
            target = self._app.focused or screens[-1]
            for node in target.ancestors_with_self:
                await _idle(node)
            same = self._app.screen_stack == screens and (self._app.focused or screens[-1]) is target
            quiet = quiet + 1 if same else 0


async def _idle(node: MessagePump) -> None:
    reached = asyncio.Event()
    if node.call_later(reached.set):
        try:
            await asyncio.wait_for(reached.wait(), _GIVE_UP_SECONDS)
        except TimeoutError:
            return
