"""The detail view of one cgroup, on pages."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from ctop.format import trim
from ctop.keys import DETAIL
from ctop.renderables.lines import Line, Style
from ctop.renderables.pages import PAGES, PROCESS_ORDERS, Detail, page_at, page_lines, tabs, title_line
from ctop.scene import Entry, Scene
from ctop.screens.common import Common
from ctop.widgets import Lines

_FRAME = 3  # title, tabs, last line


class DetailScreen(Common):
    """One cgroup by its path; when it is gone the last that was known stays, and says so."""

    CSS = "DetailScreen { background: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(key.keys), key.action, key.about, show=False) for key in DETAIL
    ]

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._page = PAGES[0]
        self._top = 0
        self._order = PROCESS_ORDERS[0]
        self._last: Entry | None = None
        self._detail: Detail | None = None
        self._of: tuple[Scene | None, str, str] | None = None  # what that was gathered for

    def compose(self) -> ComposeResult:
        """Fill the screen."""
        yield Lines(theme=self.ctop.theme_colours)

    def on_mount(self) -> None:
        """Read everything of it from now on."""
        self.session.watched = self._path
        if self.session.is_now:
            self.session.refresh()
        self.redraw()

    def on_unmount(self) -> None:
        """Read no more than its row."""
        self.session.watched = None

    def current(self) -> Entry | None:
        """The entry; the last that was known when it is gone."""
        found = self.session.entry(self._path)
        if found is not None and found.moment is not None:
            self._last = found
        return self._last

    def redraw(self) -> None:
        """Show the page that is open."""
        entry = self.current()
        if entry is None or not self.is_mounted:
            return
        lines = self.query_one(Lines)
        width, height = lines.size.width, lines.size.height
        body = self._body(entry, width, height - _FRAME)
        self._top = max(0, min(self._top, len(body) - (height - _FRAME)))
        shown = body[self._top : self._top + height - _FRAME]
        blank: Line = [("", "")]
        shown += [blank] * (height - _FRAME - len(shown))
        lines.show([title_line(entry, width), tabs(self._page, width), *shown, self._foot(width)])

    def _body(self, entry: Entry, width: int, height: int) -> list[Line]:
        if self._detail is None or self._of != (self.session.scene, self._page, self._order):
            self._of = (self.session.scene, self._page, self._order)
            self._detail = self._gather(entry)
        return page_lines(self._page, self._detail, width, height)

    def _gather(self, entry: Entry) -> Detail:
        """Read what the page shows beyond the scene: once per scene, however often it is drawn."""
        is_now = self.session.is_now
        return Detail(
            entry,
            lambda series: self.session.trail(self._path, series),
            processes=self.ctop.processes(entry) if self._page == "processes" and is_now else None,
            process_order=self._order,
            device_names=self.ctop.device_names,
            virtual_files=self.ctop.virtual_files(entry) if self._page == "labels" and is_now else (),
            kills=self.session.kills(entry) if self._page == "oom" else (),
            victims=self.ctop.victims() if self._page == "oom" and is_now else None,
            zone=self.ctop.zone,
        )

    def _foot(self, width: int) -> Line:
        gone = self.session.entry(self._path) is None
        text = self.message or ("it is gone: this is the last that was seen" if gone else "")
        if self.session.is_paused:
            text = text or "PAUSED {}/{}".format(*self.session.position)
        style: Style = "critical" if self.is_problem or gone else "hint"
        return [(trim(text or "Esc: back  Tab: next page  p: processes  x: actions  ?: help", width), style)]

    def on_lines_resized(self) -> None:
        """Fill the new size."""
        self.redraw()

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        """Scroll the page."""
        self.action_move(event.rows)

    def on_lines_clicked(self, event: Lines.Clicked) -> None:
        """Open the page whose name was clicked."""
        page = page_at(event.x, self._page, self.size.width) if event.y == 1 else None
        if page is not None:
            self.action_open(page)

    def on_key(self) -> None:
        """Take the last message away."""
        self.message, self.is_problem = "", False

    def action_move(self, rows: int) -> None:
        """Scroll."""
        self._top += rows
        self.redraw()

    def action_page(self, pages: int) -> None:
        """Scroll by screens."""
        self.action_move(pages * (self.size.height - _FRAME))

    def action_edge(self, direction: int) -> None:
        """Scroll to an end."""
        self.action_move(direction * 1_000_000)

    def action_turn(self, step: int) -> None:
        """Open a neighbouring page."""
        self.action_open(PAGES[(PAGES.index(self._page) + step) % len(PAGES)])

    def action_open(self, page: str) -> None:
        """Open a page."""
        self._page = page
        self._top = 0
        self.redraw()

    def action_sort_processes(self) -> None:
        """Sort processes by the next column."""
        position = PROCESS_ORDERS.index(self._order)
        self._order = PROCESS_ORDERS[(position + 1) % len(PROCESS_ORDERS)]
        self.action_open("processes")

    def action_back(self) -> None:
        """Back to the list."""
        self.dismiss()
