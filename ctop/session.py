"""What one user looks at: the scene, the rows, the cursor, and the past that can be stepped through. No terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cgroup_model.snapshot import Need
from ctop.arrange import GROUPINGS, Row, View, arrange
from ctop.columns import COLUMNS, Column, chosen, needs_of, next_variant
from ctop.filters import parse, searchable
from ctop.levels import Alarm, alarms
from ctop.ooms import Kills
from ctop.past import Past, Remembered
from ctop.scene import Entry, Scene, Scenes
from ctop.trails import Trails

_GRAPHED: Final = 150  # scenes that a graph in the past goes back
_ALARM_NEEDS: Final = Need.MEMORY | Need.PIDS | Need.CPU


class Session:
    """The state behind the screen. ``height`` is the number of rows that are visible."""

    def __init__(self, scenes: Scenes, view: View, columns: tuple[str, ...], *, recorded: Past | None = None) -> None:
        """``recorded`` is given for a replay: then time is a position in it."""
        self.scenes = scenes
        self._recorded = recorded
        self._remembered = Remembered()
        self.view = view
        self.columns = columns
        self.height = 20
        self.scene: Scene | None = None
        self.rows: list[Row] = []
        self.cursor = 0
        self.top = 0
        self.is_paused = False
        self.is_following = False
        self.trails = Trails()
        self._past_trails: tuple[int, str, Trails] | None = None  # up to which position, of which cgroup
        self._kills = Kills()
        self.watched: str | None = None  # path that is looked at wholly, also when its row is out of sight
        self._has_names = False  # of everything, not only of what is seen
        self._searches = False
        self._at: int | None = None  # position in the past; None: now

    # ------------------------------------------------------------------------------------------- looking

    def refresh(self) -> None:
        """Look now, unless paused."""
        if self.is_paused:
            return
        if self._recorded is not None:
            self._play(self._recorded)
            return
        by = COLUMNS[self.view.sort]
        # The first frame does not wait for a thousand counters: CPU usage is unknown then anyway.
        wanted = by.survey if self.scene is not None or by.survey != "cpu" else ""
        parts = {wanted} if wanted else set()
        if self._names_matter:
            parts.add("names")
        scene = self.scenes.survey(frozenset(parts), Need.NOTHING if by.survey is not None else by.needs)
        self._has_names = self._names_matter
        self._show(scene)
        self._look()
        if self.scene is not None:
            seen = [row.entry.path for row in self.visible if row.entry is not None]
            self.trails.add(self.scene, seen if self.watched is None else {*seen, self.watched})
            self._kills.add(self.scene)
            self._remembered.add(self.scene)

    def _play(self, recorded: Past) -> None:
        """Show the next scene of a recording; stop at its end."""
        position = 0 if self._at is None else self._at + 1
        if position >= len(recorded):
            self.is_paused = True
            return
        self._at = position
        self._show(recorded.scene(position))

    def _show(self, scene: Scene) -> None:
        key = self.selected_key
        self.scene = scene
        self.rows = arrange(scene, self.view)
        if self.is_following and key is not None:
            self.select(key)
        self._keep_in_sight()

    def _look(self) -> None:
        """Read what the visible rows need."""
        if self.scene is None or self._at is not None:
            return
        paths = [row.entry.path for row in self.visible if row.entry is not None]
        shown = self.shown_columns
        network = any(column.network for column in shown)
        needs = needs_of(shown) | _ALARM_NEEDS
        if not self._remembered:  # nor for ages: of a large subtree all processes are looked at
            needs &= ~Need.AGE
        scene = self.scenes.look(self.scene, paths, needs, network=network)
        if self.watched is not None and self.watched in scene.entries:
            scene = self.scenes.look(scene, [self.watched], EVERYTHING, network=True)
        self.scene = scene
        end = self.top + self.height
        self.rows[self.top : end] = [_renewed(row, scene) for row in self.rows[self.top : end]]

    def look_at_visible(self) -> None:
        """After scrolling: read rows that came into sight and were not read yet."""
        if self.is_paused or self.scene is None:
            return
        if any(row.entry is not None and row.entry.moment is None for row in self.visible):
            self._look()

    def look_again(self) -> None:
        """After a change of columns: read what they need, now."""
        if not self.is_paused:
            self._look()

    @property
    def _names_matter(self) -> bool:
        """True when what is seen depends on the names of what is not seen."""
        view = self.view
        return self._searches or bool(view.filter.tests) or view.group != "none" or COLUMNS[view.sort].is_text

    def rearrange(self) -> None:
        """After a change of the view: the same scene in another order."""
        if self._names_matter and not self._has_names and not self.is_paused and self.scene is not None:
            self.refresh()
        elif self.scene is not None:
            self._show(self.scene)
            self.look_at_visible()

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The chosen columns, in order."""
        return chosen(self.columns)

    @property
    def alarms(self) -> list[Alarm]:
        """What is critical now."""
        return [] if self.scene is None else list(alarms(self.scene))

    # ------------------------------------------------------------------------------------------ selection

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

    def entry(self, path: str) -> Entry | None:
        """The entry of a path in the scene that is shown."""
        return None if self.scene is None else self.scene.entries.get(path)

    def select(self, key: str) -> bool:
        """Move the cursor to the row with this key; False when it is gone."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self.cursor = index
                self._keep_in_sight()
                return True
        return False

    def move(self, rows: int) -> None:
        """Move the cursor; it stops at either end."""
        self.cursor += rows
        self._keep_in_sight()
        self.look_at_visible()

    def scroll(self, rows: int) -> None:
        """Move the window, and the cursor only as far as it has to."""
        self.top = max(0, min(self.top + rows, len(self.rows) - self.height))
        self.cursor = max(self.top, min(self.cursor, self.top + self.height - 1))
        self._keep_in_sight()
        self.look_at_visible()

    def resize(self, height: int) -> None:
        """Tell how many rows are visible."""
        self.height = max(1, height)
        self._keep_in_sight()
        self.look_at_visible()

    def _keep_in_sight(self) -> None:
        self.cursor = max(0, min(self.cursor, len(self.rows) - 1))
        self.top = max(self.cursor - self.height + 1, min(self.top, self.cursor, max(0, len(self.rows) - self.height)))

    # ----------------------------------------------------------------------------------------- the view

    def change(self, **what: object) -> None:
        """Change the view and show it."""
        self.view = replace(self.view, **what)  # type: ignore[arg-type]
        self.rearrange()

    def sort_by(self, name: str) -> None:
        """Sort by a column; by the same again turns the order round."""
        same = name == self.view.sort
        self.change(sort=name, reverse=not self.view.reverse if same else False)
        if not same and not self.is_paused:
            self.refresh()

    def sort_step(self, step: int) -> None:
        """Sort by the neighbouring column."""
        names = list(self.columns)
        position = names.index(self.view.sort) + step if self.view.sort in names else 0
        self.sort_by(names[max(0, min(position, len(names) - 1))])

    def filter(self, text: str) -> str:
        """Narrow the list; returns a hint when the text is not understood."""
        found = parse(text)
        self.change(filter=found)
        return found.hint

    def search(self, text: str) -> bool:
        """Move to the next row that fits; wraps around."""
        wanted = parse(text)
        if not wanted.tests:
            return False
        if not self._has_names and not self.is_paused:
            self._searches = True
            self.refresh()
        count = len(self.rows)
        for step in range(1, count + 1):
            index = (self.cursor + step) % count
            entry = self.rows[index].entry
            if entry is not None and all(test(searchable(entry)) for test in wanted.tests):
                self.move(index - self.cursor)
                return True
        return False

    def next_group(self) -> None:
        """Group by the next thing."""
        position = GROUPINGS.index(self.view.group)
        self.change(group=GROUPINGS[(position + 1) % len(GROUPINGS)], tree=False)

    def fold(self) -> None:
        """Fold or unfold the selected row."""
        row = self.selected
        if row is not None and row.folds is not None:
            self.change(folded=self.view.folded ^ {row.key})

    def fold_all(self) -> None:
        """Unfold everything when something is folded, else fold whatever can be."""
        folded = frozenset() if self.view.folded else frozenset(row.key for row in self.rows if row.folds is not None)
        self.change(folded=folded)

    def variant(self, position: int) -> None:
        """Show the next variant of CPU % or memory."""
        before = self.columns
        self.columns = next_variant(before, position)
        exchanged = dict(zip(before, self.columns, strict=True))
        sort = exchanged.get(self.view.sort, self.view.sort)
        self.change(sort=sort)
        self.look_again()

    # -------------------------------------------------------------------------------------------- the past

    @property
    def past(self) -> Past:
        """What can be stepped through."""
        return self._remembered if self._recorded is None else self._recorded

    @property
    def position(self) -> tuple[int, int]:
        """Which scene of the past is shown (counted from 1), and how many there are."""
        count = len(self.past)
        return (count if self._at is None else self._at + 1), count

    def pause(self) -> None:
        """Stop, or go on: live with now, in a recording from here."""
        self.is_paused = not self.is_paused
        if not self.is_paused:
            if self._recorded is None:
                self._at = None
            self.refresh()

    def step(self, looks: int) -> None:
        """Show an earlier or later scene; stops the clock."""
        self.go_to(self._shown_position + looks)

    def go_to(self, position: int) -> None:
        """Show the scene at this position of the past, or at its nearest end."""
        if not len(self.past):
            return
        self.is_paused = True
        self._at = max(0, min(position, len(self.past) - 1))
        self._show(self.past.scene(self._at))

    def jump(self, seconds: float) -> None:
        """Show the scene at (or just before) this time; seconds since the epoch."""
        self.go_to(self.past.at(seconds))

    def go_to_next_oom(self) -> bool:
        """Go to the next kill for lack of memory, from the end again from the start; False when there is none."""
        for start in (self._shown_position, -1):
            position = self.past.next_oom(start)
            if position is not None:
                self.go_to(position)
                return True
        return False

    def trail(self, path: str, series: str) -> list[float | None]:
        """What a graph of one cgroup is drawn from, up to the scene that is shown."""
        if self._at is None:
            return self.trails.of(path, series)
        if self._past_trails is None or self._past_trails[:2] != (self._at, path):
            trails = Trails()
            for position in range(max(0, self._at + 1 - _GRAPHED), self._at + 1):
                trails.add(self.past.scene(position), [path])
            self._past_trails = (self._at, path, trails)
        return self._past_trails[2].of(path, series)

    def kills(self, entry: Entry) -> list[tuple[float, int]]:
        """When how many of a cgroup were killed for lack of memory, up to the scene that is shown."""
        kills = self._kills if self._recorded is None else Kills.until(self._recorded, self._shown_position)
        now = 0.0 if self.scene is None else self.scene.taken_at
        return [(epoch, count) for epoch, count in kills.of(entry.path, entry.inode) if epoch <= now]

    @property
    def is_now(self) -> bool:
        """True when what is shown is this machine as it is, not its past."""
        return self._at is None and self._recorded is None

    @property
    def _shown_position(self) -> int:
        return len(self.past) - 1 if self._at is None else self._at


EVERYTHING: Final = (
    Need.MEMORY | Need.MEMORY_DETAIL | Need.CPU | Need.CPUS | Need.CPUSET | Need.IO | Need.PIDS | Need.PRESSURE
    | Need.CORE | Need.AGE | Need.TASKS | Need.LOAD | Need.HUGETLB
)  # fmt: skip
"""What the detail view shows."""


def _renewed(row: Row, scene: Scene) -> Row:
    if row.entry is None:
        return row
    entry = scene.entries.get(row.entry.path)
    return row if entry is None or entry is row.entry else replace(row, entry=entry)
