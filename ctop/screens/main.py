"""The main screen: head, list, last line."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from ctop.frame import cursor_line, head_lines, list_lines, status
from ctop.keys import MAIN
from ctop.renderables.foot import foot_line
from ctop.renderables.lines import Line
from ctop.renderables.table import lay_out
from ctop.scene import Entry
from ctop.screens.clock import Clock
from ctop.screens.detail import DetailScreen
from ctop.screens.filtering import Filtering
from ctop.screens.viewing import Viewing
from ctop.widgets import Lines


class MainScreen(Viewing, Filtering, Clock):
    """Head, list, last line; and the line in which the filter is typed."""

    CSS = """
    MainScreen { background: ansi_default; }
    #head { height: auto; } #foot { height: 1; }
    #filter { height: 1; border: none; padding: 0; background: ansi_default; color: ansi_default; display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(key.keys), key.action, key.about, show=False) for key in MAIN
    ]

    def __init__(self) -> None:
        super().__init__()
        self._head_lines = -1

    def compose(self) -> ComposeResult:
        """Lay out the three parts."""
        theme = self.ctop.theme_colours
        yield Lines(id="head", theme=theme)
        yield Lines(id="list", theme=theme)
        yield Input(id="filter", select_on_focus=False, disabled=True)
        yield Lines(id="foot", theme=theme)

    def current(self) -> Entry | None:
        """The entry under the cursor."""
        row = self.session.selected
        return None if row is None or row.entry is None else row.entry

    # ------------------------------------------------------------------------------------------- drawing

    def redraw(self) -> None:
        """Show the session as it is."""
        if self.session.scene is None or not self.is_mounted:
            return
        width, height, zone = self.size.width, self.size.height, self.ctop.zone
        self._draw_head(head_lines(self.session, width, height, zone) if self.ctop.settings.head else [])
        self.query_one("#list", Lines).show(list_lines(self.session, width), cursor_line(self.session))
        about = status(
            self.session, is_read_only=self.ctop.is_read_only, message=self.message, is_problem=self.is_problem
        )
        self.query_one("#foot", Lines).show([foot_line(about, width, zone=zone)])

    def _draw_head(self, lines: list[Line]) -> None:
        head = self.query_one("#head", Lines)
        head.show(lines)
        if len(lines) != self._head_lines:
            self._head_lines = len(lines)
            head.styles.height = len(lines)
            head.display = bool(lines)

    def on_lines_resized(self) -> None:
        """Read and show what fits now."""
        self.session.resize(self.query_one("#list", Lines).size.height - 1)
        self.redraw()

    def on_key(self, _event: events.Key) -> None:
        """Take the last message away."""
        if self.message:
            self.message = ""
            self.redraw()

    # ------------------------------------------------------------------------------------------- mouse

    def on_lines_clicked(self, event: Lines.Clicked) -> None:
        """Select a row, open it, or sort by a column."""
        if event.lines.id != "list":
            return
        if event.y == 0:
            self._sort_at(event.x)
            return
        index = self.session.top + event.y - 1
        if index < len(self.session.rows):
            self.session.move(index - self.session.cursor)
            if event.chain == 2:
                self.action_detail()
        self.redraw()

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        """Scroll the list."""
        self.session.scroll(event.rows)
        self.redraw()

    def _sort_at(self, x: int) -> None:
        start = 0
        for column, width in lay_out(self.session.shown_columns, self.size.width).columns:
            if start <= x < start + width:
                self.action_sort_by(column.name)
            start += width + 1

    # ------------------------------------------------------------------------------------------- moving

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.session.move(rows)
        self.redraw()

    def action_page(self, pages: int) -> None:
        """Move by screens."""
        self.action_move(pages * self.session.height)

    def action_edge(self, direction: int) -> None:
        """Go to an end."""
        self.action_move(direction * max(1, len(self.session.rows)))

    def action_follow(self) -> None:
        """Keep the selected row."""
        self.session.is_following = not self.session.is_following
        self.redraw()

    # -------------------------------------------------------------------------------------------- doing

    def action_detail(self) -> None:
        """Open the selected row, or fold a group."""
        entry = self.current()
        if entry is None:
            self.action_fold()
        else:
            self.app.push_screen(DetailScreen(entry.path))

    def action_save(self) -> None:
        """Save the settings."""
        message, problem = self.ctop.save()
        self.say(message, problem=problem)

    def action_suspend(self) -> None:
        """Back to the shell until fg."""
        self.app.action_suspend_process()
