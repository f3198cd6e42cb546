"""Small questions: choose from a list, choose columns, type a text, confirm, read a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from cgscope.errors import printable
from ctop.format import trim
from ctop.renderables.lines import Line
from ctop.themes import Theme
from ctop.widgets import Lines

CSS: Final = """
Dialog { align: center middle; background: ansi_default; }
Dialog > Vertical {
    width: 90%; max-width: 80; height: auto; max-height: 100%;
    border: solid ansi_default; padding: 0 1; background: ansi_default; color: ansi_default;
}
Dialog OptionList {
    height: auto; border: none; background: ansi_default; color: ansi_default; padding: 0;
    scrollbar-size-vertical: 0; text-wrap: nowrap; text-overflow: ellipsis;
}
Dialog OptionList > .option-list--option-highlighted { text-style: reverse; }
Dialog Input { border: none; height: 1; background: ansi_default; color: ansi_default; padding: 0; }
Dialog Static { height: auto; }
Dialog .empty { display: none; }
"""
"""For the application: what is said in a screen's own CSS is about that screen's class alone."""

Answer = TypeVar("Answer")
_FOLLOW_SECONDS: Final = 1.0


class Dialog(ModalScreen[Answer], Generic[Answer]):
    """A frame in the middle of an empty screen."""


class Choice(Dialog[Answer]):
    """A list under a title; as high as it has room for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
    ]
    title_text = ""
    start = 0

    def labels(self) -> list[str]:
        """What the lines say."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Lay out the title over the list."""
        with Vertical():
            yield Static(Text(self.title_text, style="bold"))
            yield OptionList(*(Option(Text(label)) for label in self.labels()))

    def on_mount(self) -> None:
        """Start at what is chosen now."""
        self.listing.highlighted = self.start
        self.listing.focus()

    def on_resize(self) -> None:
        """Leave room for the frame and the title."""
        self.listing.styles.height = max(1, min(self.listing.option_count, self.size.height - 3))

    @property
    def listing(self) -> OptionList:
        """The list."""
        return self.query_one(OptionList)

    def action_down(self) -> None:
        """One down."""
        self.listing.action_cursor_down()

    def action_up(self) -> None:
        """One up."""
        self.listing.action_cursor_up()

    def action_first(self) -> None:
        """To the top."""
        self.listing.action_first()

    def action_last(self) -> None:
        """To the end."""
        self.listing.action_last()


class Menu(Choice[str | None]):
    """Choose one of (key, label); None when nothing was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,left", "dismiss(None)", show=False)]

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: str | None = None) -> None:
        super().__init__()
        self.title_text = title
        self._options = list(options)
        keys = [key for key, _label in self._options]
        self.start = keys.index(chosen) if chosen in keys else 0

    def labels(self) -> list[str]:
        """See `Choice`."""
        return [label for _key, label in self._options]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.dismiss(self._options[event.option_index][0])


class ColumnMenu(Choice[tuple[str, ...]]):
    """Switch columns on and off and move them; the answer is those that are on, in order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c,f2,left", "done", show=False),
        Binding("space", "switch", show=False),
        Binding("K,shift+up,<", "shift(-1)", show=False),
        Binding("J,shift+down,>", "shift(1)", show=False),
    ]
    title_text = "Columns (Enter: on or off, K J: move, Esc: done)"

    def __init__(self, abouts: Mapping[str, str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._abouts = abouts
        self._on = set(chosen)
        self._order = [*chosen, *(name for name in abouts if name not in self._on)]

    def labels(self) -> list[str]:
        """See `Choice`."""
        return [f"[{'x' if name in self._on else ' '}] {self._abouts[name]}" for name in self._order]

    def on_option_list_option_selected(self, _event: OptionList.OptionSelected) -> None:
        """Take a click or Enter."""
        self.action_switch()

    def action_switch(self) -> None:
        """On or off; the last one stays."""
        name = self._order[self.listing.highlighted or 0]
        if self._on != {name}:
            self._on ^= {name}
        self._show()

    def action_shift(self, step: int) -> None:
        """Move the column."""
        here = self.listing.highlighted or 0
        there = here + step
        if 0 <= there < len(self._order):
            self._order[here], self._order[there] = self._order[there], self._order[here]
            self._show()
            self.listing.highlighted = there

    def action_done(self) -> None:
        """Answer."""
        self.dismiss(tuple(name for name in self._order if name in self._on))

    def _show(self) -> None:
        for index, label in enumerate(self.labels()):
            self.listing.replace_option_prompt_at_index(index, Text(label))


class Prompt(Dialog[str | None]):
    """Ask for a line of text; None when it was given up. ``check`` raises ValueError for what cannot be meant."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, title: str, text: str = "", check: Callable[[str], object] = str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._check = check

    def compose(self) -> ComposeResult:
        """Lay out the question over the line."""
        with Vertical():
            yield Static(Text(self._title, style="bold"))
            yield Input(self._text, select_on_focus=False)
            yield Static(id="problem", classes="empty")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer, or say what is wrong and let it be mended; an empty line gives up."""
        if not event.value.strip():
            self.dismiss(None)
            return
        try:
            self._check(event.value)
        except ValueError as error:
            problem = self.query_one("#problem", Static)
            problem.remove_class("empty")
            problem.update(Text(printable(str(error)), style="bold"))
            return
        self.dismiss(event.value)

    def on_input_changed(self) -> None:
        """Take back what was wrong with another text."""
        self.query_one("#problem", Static).add_class("empty")


class Confirm(Dialog[bool]):
    """Ask before something happens; only the letter y means yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,Y", "dismiss(True)", show=False),
        Binding("n,N,escape,q,enter,space", "dismiss(False)", show=False),
    ]

    def __init__(self, question: str, warning: str) -> None:
        super().__init__()
        self._question = question
        self._warning = warning

    def compose(self) -> ComposeResult:
        """Lay out question, warning and the keys."""
        with Vertical():
            yield Static(Text(self._question, style="bold"))
            yield Static(Text(self._warning))
            yield Static(Text("y: do it   any of n, Esc, Enter: leave it", style="dim"))


class Pager(ModalScreen[None]):
    """Read lines; moves with the usual keys. With ``follows`` it starts at the end, and stays there as lines come."""

    CSS = "Pager { background: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,left,question_mark,h,f1", "dismiss(None)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
    ]

    def __init__(self, read: Callable[[], Sequence[Line]], theme: Theme, *, follows: bool = False) -> None:
        super().__init__()
        self._read = read
        self._all = read()
        self._theme = theme
        self._follows = follows
        self._top = len(self._all) if follows else 0

    def compose(self) -> ComposeResult:
        """Fill the screen."""
        yield Lines(theme=self._theme)

    def on_mount(self) -> None:
        """Read again and again what may grow."""
        if self._follows:
            self.set_interval(_FOLLOW_SECONDS, self._again)

    def on_lines_resized(self) -> None:
        """Show as much as fits."""
        self.action_move(0)

    def on_lines_scrolled(self, event: Lines.Scrolled) -> None:
        """Move with the wheel."""
        self.action_move(event.rows)

    def action_move(self, rows: int) -> None:
        """Move by lines."""
        lines = self.query_one(Lines)
        height, width = lines.size.height, lines.size.width
        self._top = max(0, min(self._top + rows, self._last_top))
        shown = self._all[self._top : self._top + height - 1]
        blank: Line = [("", "")]
        place = f"{min(self._top + height - 1, len(self._all))}/{len(self._all)}"
        foot: Line = [(trim(f"Esc: back  ↑↓ PgUp PgDn: move  {place}", width), "hint")]
        lines.show([*shown, *[blank] * (height - 1 - len(shown)), foot])

    def action_page(self, pages: int) -> None:
        """Move by screens."""
        self.action_move(pages * max(1, self.query_one(Lines).size.height - 2))

    def _again(self) -> None:
        is_at_end = self._top >= self._last_top
        self._all = self._read()
        self.action_move(len(self._all) if is_at_end else 0)

    @property
    def _last_top(self) -> int:
        return max(0, len(self._all) - self.query_one(Lines).size.height + 1)
