"""Rows with a cursor, and the part of them that is in sight. No terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ctop.arrange import Row

_ROWS: Final = 20  # until somebody says how many fit


class Window:
    """``height`` rows from ``top`` on are visible; the cursor is always among them."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.height = _ROWS
        self.cursor = 0
        self.top = 0

    @property
    def visible(self) -> list[Row]:
        """The rows in sight."""
        return self.rows[self.top : self.top + self.height]

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def selected_key(self) -> str | None:
        """What the selected row is known by."""
        return None if self.selected is None else self.selected.key

    def came_into_sight(self) -> None:
        """Called when the window moved; for who reads what is seen."""

    def select(self, key: str) -> bool:
        """Move the cursor to the row with this key; False when it is gone."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self.cursor = index
                self.keep_in_sight()
                return True
        return False

    def move(self, rows: int) -> None:
        """Move the cursor; it stops at either end."""
        self.cursor += rows
        self.keep_in_sight()
        self.came_into_sight()

    def move_to(self, fits: Callable[[Row], bool]) -> bool:
        """Move the cursor to the next row that fits, from the end again from the start; False when there is none."""
        count = len(self.rows)
        for step in range(1, count + 1):
            index = (self.cursor + step) % count
            if fits(self.rows[index]):
                self.move(index - self.cursor)
                return True
        return False

    def scroll(self, rows: int) -> None:
        """Move the window, and the cursor only as far as it has to."""
        self.top = max(0, min(self.top + rows, len(self.rows) - self.height))
        self.cursor = max(self.top, min(self.cursor, self.top + self.height - 1))
        self.keep_in_sight()
        self.came_into_sight()

    def resize(self, height: int) -> None:
        """Tell how many rows are visible."""
        self.height = max(1, height)
        self.keep_in_sight()
        self.came_into_sight()

    def keep_in_sight(self) -> None:
        """Bring the cursor back to the rows, and the window to the cursor."""
        self.cursor = max(0, min(self.cursor, len(self.rows) - 1))
        self.top = max(self.cursor - self.height + 1, min(self.top, self.cursor, max(0, len(self.rows) - self.height)))
