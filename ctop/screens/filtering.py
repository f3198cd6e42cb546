"""The line in which a filter, or what is searched for, is typed."""

from __future__ import annotations

from textual.widgets import Input

from ctop.screens.common import Common


class Filtering(Common):
    """The filter's part of the main screen, which has an `Input` with the id ``filter``."""

    def __init__(self) -> None:
        super().__init__()
        self._searched = ""
        self._is_searching = False

    def action_filter(self) -> None:
        """Type a filter; the list follows each letter."""
        self._type(self.session.view.filter.text, searching=False)

    def action_search(self) -> None:
        """Type what to look for."""
        self._type(self._searched, searching=True)

    def _type(self, text: str, *, searching: bool) -> None:
        self._is_searching = searching
        line = self.query_one("#filter", Input)
        line.disabled = False
        line.display = True
        line.value = text
        line.cursor_position = len(text)
        self.set_focus(line)  # at once: what is typed next is text

    def on_input_changed(self, event: Input.Changed) -> None:
        """Follow each letter."""
        if self.focused is not event.input:
            return
        if self._is_searching:
            self._searched = event.value
            return
        self.message = self.session.filter(event.value)
        self.redraw()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        """Keep the filter, or search."""
        self._close_line()
        if self._is_searching:
            self.action_search_next()

    def _close_line(self) -> None:
        line = self.query_one("#filter", Input)
        line.display = False
        line.disabled = True
        self.set_focus(None)

    def action_search_next(self) -> None:
        """Go to the next row that fits what was searched for."""
        if self.session.search(self._searched):
            self.redraw()
        else:
            self.say(f"nothing fits {self._searched!r}")

    def action_back(self) -> None:
        """Leave the line being typed, else clear the filter, else go on with now. Never quits."""
        if isinstance(self.focused, Input):
            self._close_line()
            if not self._is_searching:
                self.session.filter("")
        elif self.session.view.filter.text:
            self.session.filter("")
        elif self.session.is_paused:
            self.session.pause()
        self.message = ""
        self.redraw()
