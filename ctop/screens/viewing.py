"""Keys that change what the list shows: order, shape, columns, theme."""

from __future__ import annotations

from textual import work

from ctop.columns import COLUMNS
from ctop.screens.common import Common
from ctop.screens.dialogs import ColumnMenu, Menu


class Viewing(Common):
    """The view's part of the main screen."""

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
