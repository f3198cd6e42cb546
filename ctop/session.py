"""What one user looks at: the scene, its rows, and the past that can be stepped through. No terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cgroup_model.snapshot import Need
from ctop.arrange import GROUPINGS, Row, View, arrange
from ctop.columns import COLUMNS, Column, chosen, needs_of, next_variant
from ctop.filters import parse, searchable
from ctop.levels import Alarm, alarms
from ctop.past import Past
from ctop.scene import Entry, Scene, Scenes
from ctop.settings import Settings
from ctop.timeline import Timeline
from ctop.window import Window

_ALARM_NEEDS: Final = Need.MEMORY | Need.PIDS | Need.CPU


class Session(Window):
    """The state behind the screen."""

    def __init__(self, scenes: Scenes, view: View, columns: tuple[str, ...], *, recorded: Past | None = None) -> None:
        """``recorded`` is given for a replay."""
        super().__init__()
        self.scenes = scenes
        self.view = view
        self.columns = columns
        self.scene: Scene | None = None
        self.is_paused = False
        self.is_following = False
        self.watched: str | None = None  # path that is looked at wholly, also when its row is out of sight
        self._timeline = Timeline(recorded)
        self._has_names = False  # of everything, not only of what is seen
        self._searches = False

    # ------------------------------------------------------------------------------------------- looking

    def refresh(self) -> None:
        """Look now, unless paused; in a recording: at the next look, until its end."""
        if self.is_paused:
            return
        if self.is_replay:
            scene = self._timeline.next()
            if scene is None:
                self.is_paused = True
            else:
                self._show(scene)
            return
        self._show(self._survey())
        self._look()
        if self.scene is not None:
            seen = [row.entry.path for row in self.visible if row.entry is not None]
            self._timeline.add(self.scene, seen if self.watched is None else {*seen, self.watched})

    def _survey(self) -> Scene:
        """Look at everything, as far as the order of the rows needs it."""
        by = COLUMNS[self.view.sort]
        # The first frame does not wait for a thousand counters: CPU usage is unknown then anyway.
        wanted = by.survey if self.scene is not None or by.survey != "cpu" else ""
        parts = {wanted} if wanted else set()
        self._has_names = self._names_matter
        if self._has_names:
            parts.add("names")
        return self.scenes.survey(frozenset(parts), Need.NOTHING if by.survey is not None else by.needs)

    def _show(self, scene: Scene) -> None:
        key = self.selected_key
        self.scene = scene
        self.rows = arrange(scene, self.view)
        if self.is_following and key is not None:
            self.select(key)
        self.keep_in_sight()

    def _look(self) -> None:
        """Read what the visible rows need."""
        if self.scene is None or not self.is_now:
            return
        paths = [row.entry.path for row in self.visible if row.entry is not None]
        shown = self.shown_columns
        network = any(column.network for column in shown)
        needs = needs_of(shown) | _ALARM_NEEDS
        if not len(self.past):  # nor for ages: of a large subtree all processes are looked at
            needs &= ~Need.AGE
        scene = self.scenes.look(self.scene, paths, needs, network=network)
        if self.watched is not None and self.watched in scene.entries:
            scene = self.scenes.look(scene, [self.watched], EVERYTHING, network=True)
        self.scene = scene
        end = self.top + self.height
        self.rows[self.top : end] = [_renewed(row, scene) for row in self.rows[self.top : end]]

    def came_into_sight(self) -> None:
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
            self.came_into_sight()

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        """The chosen columns, in order."""
        return chosen(self.columns)

    @property
    def alarms(self) -> list[Alarm]:
        """What is critical now."""
        return [] if self.scene is None else list(alarms(self.scene))

    def entry(self, path: str) -> Entry | None:
        """The entry of a path in the scene that is shown."""
        return None if self.scene is None else self.scene.entries.get(path)

    # ----------------------------------------------------------------------------------------- the view

    def change(self, **what: object) -> None:
        """Change the view and show it. The selected row stays selected, but in a new order one wants to see the top."""
        before, key = self.view, self.selected_key
        self.view = replace(before, **what)  # type: ignore[arg-type]
        was_chosen = self.cursor > 0 or bool(before.filter.tests)
        self.rearrange()
        if key is not None and was_chosen and (self.view.sort, self.view.reverse) == (before.sort, before.reverse):
            self.select(key)
            self.came_into_sight()

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
        return self.move_to(
            lambda row: row.entry is not None and all(test(searchable(row.entry)) for test in wanted.tests)
        )

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
        return self._timeline.past

    @property
    def position(self) -> tuple[int, int]:
        """Which scene of the past is shown (counted from 1), and how many there are."""
        return self._timeline.position

    @property
    def is_now(self) -> bool:
        """True when what is shown is this machine as it is, not its past."""
        return self._timeline.is_now

    @property
    def is_replay(self) -> bool:
        """True when a recording is shown."""
        return self._timeline.recorded is not None

    def pause(self) -> None:
        """Stop, or go on: live with now, in a recording from here."""
        self.is_paused = not self.is_paused
        if not self.is_paused:
            if not self.is_replay:
                self._timeline.at = None
            self.refresh()

    def step(self, looks: int) -> None:
        """Show an earlier or later scene; stops the clock."""
        self.go_to(self._timeline.shown + looks)

    def go_to(self, position: int) -> None:
        """Show the scene at this position of the past, or at its nearest end."""
        if len(self.past):
            self.is_paused = True
            self._show(self._timeline.go_to(position))

    def jump(self, seconds: float) -> None:
        """Show the scene at (or just before) this time; seconds since the epoch."""
        self.go_to(self.past.at(seconds))

    def go_to_next_oom(self) -> bool:
        """Go to the next kill for lack of memory, from the end again from the start; False when there is none."""
        position = self._timeline.next_oom()
        if position is not None:
            self.go_to(position)
        return position is not None

    def trail(self, path: str, series: str) -> list[float | None]:
        """What a graph of one cgroup is drawn from, up to the scene that is shown."""
        return self._timeline.trail(path, series)

    def kills(self, entry: Entry) -> list[tuple[float, int]]:
        """When how many of a cgroup were killed for lack of memory, up to the scene that is shown."""
        return self._timeline.kills(entry, 0.0 if self.scene is None else self.scene.taken_at)


def open_session(scenes: Scenes, settings: Settings, *, recorded: Past | None = None) -> Session:
    """Begin as the settings say."""
    view = View(
        sort=settings.sort,
        reverse=settings.reverse,
        filter=parse(settings.filter),
        tree=settings.tree,
        group=settings.group,  # type: ignore[arg-type]
        show_all=settings.all,
    )
    return Session(scenes, view, settings.columns, recorded=recorded)


EVERYTHING: Final = (
    Need.MEMORY | Need.MEMORY_DETAIL | Need.CPU | Need.CPUS | Need.CPUSET | Need.IO | Need.PIDS | Need.PRESSURE
    | Need.CORE | Need.AGE | Need.TASKS | Need.LOAD | Need.HUGETLB
)  # fmt: skip
"""What the detail view shows."""


def _renewed(row: Row, scene: Scene) -> Row:
    if row.entry is None:
        return row
    entry = scene.entries.get(row.entry.path)
    return row if entry is None or entry is row.entry else row._replace(entry=entry)
