"""The main screen: head, list, last line."""

from __future__ import annotations

import time
from datetime import datetime
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from cgscope.quantities import format_duration, parse_duration
from ctop.columns import COLUMNS
from ctop.format import fit
from ctop.keys import MAIN
from ctop.renderables.foot import Status, foot_line
from ctop.renderables.header import alarm_line, machine_lines
from ctop.renderables.lines import Line
from ctop.renderables.table import heading, lay_out, row_line
from ctop.scene import Entry
from ctop.screens.common import Common
from ctop.screens.detail import DetailScreen
from ctop.screens.dialogs import ColumnMenu, Menu, Prompt
from ctop.times import parse_moment
from ctop.widgets import Lines

_HEAD_FROM = 12  # lines of screen; below that every line is for rows


class MainScreen(Common):
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
        self._searched = ""
        self._is_searching = False
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
        scene = self.session.scene
        if scene is None or not self.is_mounted:
            return
        width = self.size.width
        head: list[Line] = []
        if self.ctop.settings.head and self.size.height >= _HEAD_FROM:
            head = machine_lines(scene, width, zone=self.ctop.zone)
            if found := self.session.alarms:
                head.append(alarm_line(found, width))
        self._draw_head(head)
        self._draw_list(width)
        self.query_one("#foot", Lines).show([foot_line(self._status(), width, zone=self.ctop.zone)])

    def _draw_head(self, lines: list[Line]) -> None:
        head = self.query_one("#head", Lines)
        head.show(lines)
        if len(lines) != self._head_lines:
            self._head_lines = len(lines)
            head.styles.height = len(lines)
            head.display = bool(lines)

    def _draw_list(self, width: int) -> None:
        session = self.session
        layout = lay_out(session.shown_columns, width)
        by = COLUMNS[session.view.sort]
        lines = [heading(layout, by.name, descending=by.is_text == session.view.reverse)]
        lines += [row_line(row, layout) for row in session.visible]
        if not session.rows:
            lines.append([(fit("nothing fits the filter; Esc clears it", width), "dim")])
        self.query_one("#list", Lines).show(lines, 1 + session.cursor - session.top if session.rows else None)

    def _status(self) -> Status:
        session = self.session
        return Status(
            message=self.message,
            is_problem=self.is_problem,
            filter=session.view.filter.text,
            is_paused=session.is_paused,
            is_following=session.is_following,
            is_read_only=self.ctop.is_read_only,
            position=session.position,
            taken_at=0.0 if session.scene is None else session.scene.taken_at,
            shown=len(session.rows),
            group=session.view.group,
            is_replay=self.ctop.is_replay,
        )

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

    # -------------------------------------------------------------------------------------------- view

    def action_sort_by(self, name: str) -> None:
        """Sort."""
        self.session.sort_by(name)
        self.redraw()

    def action_sort_step(self, step: int) -> None:
        """Sort by a neighbour."""
        self.session.sort_step(step)
        self.redraw()

    @work
    async def action_sort_menu(self) -> None:
        """Choose what to sort by."""
        options = [(column.name, f"{column.title:<8} {column.about}") for column in COLUMNS.values()]
        name = await self.app.push_screen_wait(Menu("Sort by", options, self.session.view.sort))
        if name is not None and name != self.session.view.sort:
            self.action_sort_by(name)

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.session.change(reverse=not self.session.view.reverse)
        self.redraw()

    def action_tree(self) -> None:
        """Change between tree and list."""
        self.session.change(tree=not self.session.view.tree)
        self.redraw()

    def action_group(self) -> None:
        """Group by the next thing."""
        self.session.next_group()
        self.redraw()

    def action_fold(self) -> None:
        """Fold or unfold the row."""
        self.session.fold()
        self.redraw()

    def action_fold_all(self) -> None:
        """Fold or unfold everything."""
        self.session.fold_all()
        self.redraw()

    def action_show_all(self) -> None:
        """Show every cgroup, or not."""
        self.session.change(show_all=not self.session.view.show_all)
        self.redraw()

    def action_variant(self, position: int) -> None:
        """Show another CPU % or memory."""
        self.session.variant(position)
        self.redraw()

    @work
    async def action_column_menu(self) -> None:
        """Choose columns and their order."""
        abouts = {column.name: f"{column.title:<8} {column.about}" for column in COLUMNS.values()}
        self.session.columns = await self.app.push_screen_wait(ColumnMenu(abouts, self.session.columns))
        self.session.look_again()
        self.redraw()

    def action_head(self) -> None:
        """Show or hide the head."""
        self.ctop.set(head=not self.ctop.settings.head)
        self.redraw()

    def action_theme(self) -> None:
        """Use the next theme."""
        self.say(f"theme: {self.ctop.next_theme()}")

    # ----------------------------------------------------------------------------------- filter, search

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

    # -------------------------------------------------------------------------------------------- time

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
        self.say(*self.ctop.save())

    def action_suspend(self) -> None:
        """Back to the shell until fg."""
        self.app.action_suspend_process()
