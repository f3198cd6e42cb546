"""Small questions: choose from a list, type a text, confirm, read a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ctop.format import fit
from ctop.renderables.lines import Line
from ctop.themes import Theme
from ctop.widgets import Lines

_CSS = """
ModalScreen { align: center middle; background: ansi_default; }
ModalScreen > Vertical {
    width: 80%; max-width: 76; height: auto; max-height: 90%;
    border: solid ansi_default; padding: 0 1; background: ansi_default; color: ansi_default;
}
OptionList { height: auto; max-height: 24; border: none; background: ansi_default; color: ansi_default; padding: 0; }
OptionList > .option-list--option-highlighted { text-style: reverse; }
Input { border: none; height: 1; background: ansi_default; color: ansi_default; padding: 0; }
"""


class Menu(ModalScreen[str | None]):
    """Choose one of (key, label); None when nothing was chosen."""

    CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]], chosen: str | None = None) -> None:
        super().__init__()
        self._title = title
        self._options = list(options)
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """Lay out the title over the list."""
        with Vertical():
            yield Static(Text(self._title, style="bold"))
            yield OptionList(
                *(Option(Text(label), id=f"o{index}") for index, (_key, label) in enumerate(self._options))
            )

    def on_mount(self) -> None:
        """Start at what is chosen now."""
        listing = self.query_one(OptionList)
        keys = [key for key, _label in self._options]
        listing.highlighted = keys.index(self._chosen) if self._chosen in keys else 0
        listing.focus()

    def action_down(self) -> None:
        """One down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One up."""
        self.query_one(OptionList).action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer."""
        self.dismiss(self._options[event.option_index][0])


class Prompt(ModalScreen[str | None]):
    """Ask for a line of text; None when it was given up."""

    CSS = _CSS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay out the question over the line."""
        with Vertical():
            yield Static(Text(self._title, style="bold"))
            yield Input(self._text, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer."""
        self.dismiss(event.value)


class Confirm(ModalScreen[bool]):
    """Ask before something happens; only the letter y means yes."""

    CSS = _CSS
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
    """Read lines; moves with the usual keys."""

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

    def __init__(self, lines: Sequence[Line], theme: Theme, *, at_end: bool = False) -> None:
        super().__init__()
        self._all = list(lines)
        self._theme = theme
        self._top = len(self._all) if at_end else 0

    def compose(self) -> ComposeResult:
        """Fill the screen."""
        yield Lines(theme=self._theme)

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
        self._top = max(0, min(self._top + rows, len(self._all) - height + 1))
        shown = self._all[self._top : self._top + height - 1]
        blank: Line = [("", "")]
        foot: Line = [(fit("Esc: back  ↑↓ PgUp PgDn: move", width), "hint")]
        lines.show([*shown, *[blank] * (height - 1 - len(shown)), foot])

    def action_page(self, pages: int) -> None:
        """Move by screens."""
        self.action_move(pages * max(1, self.query_one(Lines).size.height - 2))
