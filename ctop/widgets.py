"""Two widgets: lines of styled text drawn by the line API, and nothing more; and the list, which adds a cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from ctop.renderables.lines import Line
from ctop.themes import THEMES, Theme


class Lines(Widget):
    """Shows lines that somebody else made, each as wide as the widget. Only lines that changed are drawn again."""

    DEFAULT_CSS = "Lines { height: 1fr; width: 1fr; background: ansi_default; color: ansi_default; }"

    class Clicked(Message):
        """A mouse button was pressed on a line; ``chain`` is 2 for a double click."""

        def __init__(self, lines: Lines, x: int, y: int, chain: int) -> None:
            super().__init__()
            self.lines = lines
            self.x = x
            self.y = y
            self.chain = chain

        @property
        def control(self) -> Lines:
            """The widget, for message selectors."""
            return self.lines

    class Scrolled(Message):
        """The wheel was turned; ``rows`` is negative upwards."""

        def __init__(self, lines: Lines, rows: int) -> None:
            super().__init__()
            self.lines = lines
            self.rows = rows

    class Resized(Message):
        """The widget has another size now."""

    def __init__(self, *, id: str | None = None, theme: Theme = THEMES["terminal"]) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._colours = theme
        self._cursor: int | None = None

    def use(self, theme: Theme) -> None:
        """Draw with other colours."""
        self._colours = theme
        self.refresh()

    def show(self, lines: Sequence[Line], cursor: int | None = None) -> None:
        """Show these lines; ``cursor`` is drawn as selected."""
        before, self._lines = self._lines, lines
        old_cursor, self._cursor = self._cursor, cursor
        width = self.size.width
        for y in range(max(len(before), len(lines))):
            same = y < len(before) and y < len(lines) and before[y] == lines[y]
            if not same or (old_cursor != cursor and y in {old_cursor, cursor}):
                self.refresh(Region(0, y, width, 1))

    @property
    def text(self) -> list[str]:
        """What is shown, for tests."""
        return ["".join(part for part, _style in line) for line in self._lines]

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        width = self.size.width
        if y >= len(self._lines):
            return Strip.blank(width)
        styles = self._colours.styles
        chosen = styles["selected"] if y == self._cursor else None
        parts = [
            Segment(text, styles[style] if chosen is None else styles[style] + chosen) for text, style in self._lines[y]
        ]
        return Strip(parts).adjust_cell_length(width, chosen)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - textual's signature
        """As high as there are lines, where the height is ``auto``."""
        return len(self._lines)

    def on_click(self, event: events.Click) -> None:
        """Tell who listens."""
        self.post_message(self.Clicked(self, event.x, event.y, event.chain))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Tell who listens."""
        event.stop()
        self.post_message(self.Scrolled(self, 3))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Tell who listens."""
        event.stop()
        self.post_message(self.Scrolled(self, -3))

    def on_resize(self) -> None:
        """Tell who listens."""
        self.post_message(self.Resized())
