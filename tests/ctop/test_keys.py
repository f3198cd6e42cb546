"""Every key in the real application, without a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cgroup_model.recording import Recorder, Recording
from ctop import keys
from ctop.actions import parse_tasks
from ctop.app import CtopApp
from ctop.columns import COLUMNS, DEFAULT
from ctop.recorded import Replay, look_of
from ctop.renderables.pages import PAGES
from ctop.scene import Scene
from ctop.screens.detail import DetailScreen
from ctop.screens.dialogs import Menu, Pager, Prompt
from ctop.screens.main import MainScreen
from ctop.session import open_session
from ctop.settings import Settings, load
from ctop.widgets import Lines
from tests.ctop.scenes import Still, containers, entry, scene

pytestmark = pytest.mark.asyncio

SLOW = 3600.0  # seconds between looks: nothing happens by itself


class Run:
    """A running application."""

    def __init__(self, app: CtopApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *names: str) -> None:
        """Press keys and wait until everything has come to rest."""
        await self._pilot.press(*names)
        for _ in range(3):  # a dialog comes and goes in steps of its worker
            await self._pilot.pause()

    async def click(self, selector: str, x: int, y: int, times: int = 1) -> None:
        """Click into a widget."""
        await self._pilot.click(selector, offset=(x, y), times=times)
        await self._pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal."""
        await self._pilot.resize_terminal(width, height)
        await self._pilot.pause()

    @property
    def names(self) -> list[str]:
        """The labels of all rows."""
        return [row.label for row in self.app.session.rows]

    @property
    def foot(self) -> str:
        """The last line."""
        return self.app.screen.query_one("#foot", Lines).text[0]

    @property
    def problem(self) -> str:
        """What the dialog complains about; empty when it does not."""
        said = self.app.screen.query_one("#problem", Static)
        return str(said.render()) if said.display else ""

    @property
    def lines(self) -> list[str]:
        """The list as it is drawn."""
        return self.app.screen.query_one("#list", Lines).text


@asynccontextmanager
async def running(shown: Scene | None = None, size: tuple[int, int] = (120, 30), **more: Any) -> AsyncIterator[Run]:  # noqa: ANN401
    """Run the application over a scene that never changes."""
    scenes = more.pop("scenes", None) or Still(shown or scene())
    settings = more.pop("settings", Settings(delay=SLOW))
    session = open_session(scenes, settings, recorded=more.pop("recorded", None))
    app = CtopApp(session, settings, zone=ZoneInfo("UTC"), **{"environ": {"HOME": "/nonexistent"}, **more})
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Run(app, pilot)


async def test_first_frame() -> None:
    """Head, heading, rows, and the keys."""
    async with running() as run:
        assert run.lines[0].startswith("NAME")
        assert run.lines[1].startswith("web")
        assert "? help" in run.foot
        assert run.app.screen.query_one("#head", Lines).text[0].startswith("CPU[")


@pytest.mark.parametrize(
    ("key", "cursor"), [("down", 1), ("j", 1), ("end", 2), ("G", 2), ("pagedown", 2), ("ctrl+f", 2)]
)
async def test_moving(key: str, cursor: int) -> None:
    """There and back with the opposite key."""
    back = {"down": "up", "j": "k", "end": "home", "G": "g", "pagedown": "pageup", "ctrl+f": "ctrl+b"}
    async with running() as run:
        await run.press(key)
        assert run.app.session.cursor == cursor
        await run.press(back[key])
        assert run.app.session.cursor == 0


@pytest.mark.parametrize(("key", "column"), [("M", "memory"), ("N", "name"), ("I", "read"), ("T", "pids")])
async def test_sort_keys(key: str, column: str) -> None:
    """One key sorts; again reverses; r too."""
    async with running() as run:
        await run.press(key)
        assert run.app.session.view.sort == column
        first = run.names
        await run.press(key)
        assert run.app.session.view.reverse
        await run.press("r")
        assert run.names == first


@pytest.mark.parametrize("key", ["P", "C"])
async def test_sort_by_cpu(key: str) -> None:
    """CPU is what is sorted by at first; both keys come back to it."""
    async with running() as run:
        await run.press("N", key)
        assert run.app.session.view.sort == "cpu"


async def test_sort_steps_and_menu() -> None:
    """< and > follow the shown columns; the menu has all of them."""
    async with running() as run:
        await run.press(">")
        assert run.app.session.view.sort == "memory"
        await run.press("<")
        assert run.app.session.view.sort == "cpu"
        for key in ("s", "f6"):
            await run.press(key)
            assert isinstance(run.app.screen, Menu)
            await run.press("home", "enter")
            assert run.app.session.view.sort == next(iter(COLUMNS))
            await run.press("P")


async def test_tree_fold_all_group() -> None:
    """The shapes of the list."""
    async with running() as run:
        await run.press("a")
        assert len(run.names) == len(containers())
        for key in ("t", "f5"):
            await run.press(key)
        assert not run.app.session.view.tree
        await run.press("t", "home")
        for key in ("minus", "+", "="):
            count = len(run.names)
            await run.press(key)
            assert (len(run.names) == 1) != (count == 1)
        await run.press("*")
        assert run.app.session.view.folded == frozenset()
        await run.press("b")
        assert run.app.session.view.group == "engine"
        assert not run.app.session.view.tree
        assert "by engine" in run.foot
        await run.press("home", "enter")  # the head of a group folds
        assert run.app.session.rows[0].folds


async def test_filter_follows_each_letter() -> None:
    """Live, kept by Enter, cleared by Esc; Esc never quits."""
    for key in ("/", "f", "f4"):
        async with running() as run:
            await run.press(key, "w", "e")
            assert run.names == ["web"]
            await run.press("b", "enter")
            assert "filter: web (1)" in run.foot
            await run.press("escape")
            assert len(run.names) == 3
            await run.press("escape", "escape")
            assert run.app.is_running


async def test_half_typed_regex_is_a_hint() -> None:
    """Everything is still there, and the last line says why."""
    async with running() as run:
        await run.press("/", "~", "(")
        assert "not a regular expression" in run.foot
        assert len(run.names) == 3
        await run.press("w", "e", "b", ")")
        assert run.names == ["web"]


async def test_letters_are_text_while_typing() -> None:
    """A q in the filter is a letter, not the end."""
    async with running() as run:
        await run.press("/", "q", "x")
        assert run.app.is_running
        assert run.app.screen.query_one("#filter", Input).value == "qx"
        assert "nothing fits" in run.lines[1]


async def test_selection_survives_the_filter() -> None:
    """What a filter found stays selected when it is cleared, and in the tree: no other is acted on."""
    async with running() as run:
        await run.press("j")
        other = run.app.session.selected
        assert other is not None
        await run.press("g", "/", *other.label, "enter")
        assert run.app.session.selected_key == other.key
        await run.press("escape")
        assert len(run.names) > 1
        assert run.app.session.selected_key == other.key
        await run.press("t")
        assert run.app.session.selected_key == other.key


async def test_an_unfinished_expression_is_told_of_while_it_stands() -> None:
    """Everything passes, and the last line says why, also after the next key."""
    async with running() as run:
        await run.press("/", "~", "(", "enter", "j")
        assert "filter: ~( (not a regular expression" in run.foot
        assert len(run.names) > 1


async def test_keys_that_open_the_line_are_letters_in_it() -> None:
    """A second / or f is text."""
    async with running() as run:
        await run.press("/", "/", "f", "f", "N")
        assert run.app.screen.query_one("#filter", Input).value == "/ffN"
        assert run.app.session.view.sort == "cpu"


async def test_search() -> None:
    """F3 goes to the next row that fits, n to the one after, around the end."""
    async with running() as run:
        await run.press("f3", "s", "enter")
        first = run.app.session.selected_key
        await run.press("n")
        assert run.app.session.selected_key != first
        await run.press("f3", "x", "x", "enter")
        assert "nothing fits" in run.foot


async def test_follow() -> None:
    """The selected row stays selected when the order changes; without, the cursor stays where it is."""
    async with running() as run:
        await run.press("F", "N")
        assert run.app.session.selected is not None
        assert run.app.session.selected.label == "web"
        assert run.app.session.cursor == 2
        await run.press("F", "P")
        assert run.app.session.cursor == 2


async def test_columns() -> None:
    """Enter or Space switches a column on and off, K and J move it, Esc ends; the last one stays."""
    for key in ("c", "f2"):
        async with running(settings=Settings(delay=SLOW, columns=("name", "cpu"))) as run:
            await run.press(key, "home", "down", "down", "enter", "escape")
            assert ",".join(run.app.session.columns) == "name,cpu,engine"
            await run.press(key, "end", "J", "home", "down", "down", "K", "escape")
            assert ",".join(run.app.session.columns) == "name,engine,cpu"
            await run.press(key, "home", "space", "down", "space", "down", "space", "escape")
            assert ",".join(run.app.session.columns) == "cpu"


async def test_variants() -> None:
    """% and m go round; the sort column goes along."""
    async with running() as run:
        titles = []
        for _ in range(3):
            await run.press("%", "m")
            titles.append((run.app.session.view.sort, run.app.session.columns[2]))
        assert titles == [("cpu_host", "working_set"), ("cpu_limit", "anon"), ("cpu", "memory")]


async def test_head_and_themes() -> None:
    """H hides the head, y changes colours; neither loses a row."""
    async with running() as run:
        await run.press("H")
        assert not run.app.screen.query_one("#head", Lines).display
        await run.press("H")
        assert run.app.screen.query_one("#head", Lines).display
        await run.press("y")
        assert "theme: safe" in run.foot


async def test_no_color() -> None:
    """NO_COLOR means no colour in any line, whatever theme is set."""
    async with running(environ={"NO_COLOR": "1"}, settings=Settings(delay=SLOW, theme="safe")) as run:
        lines = run.app.screen.query_one("#list", Lines)
        styles = [segment.style for y in range(3) for segment in lines.render_line(y) if segment.style]
        assert styles
        assert all(style.color is None and style.bgcolor is None for style in styles)


async def test_detail_pages() -> None:
    """Every way in, every page, every way back."""
    for way_in, way_back in (("enter", "escape"), ("o", "left"), ("right", "q"), ("enter", "enter")):
        async with running() as run:
            await run.press(way_in)
            assert isinstance(run.app.screen, DetailScreen)
            await run.press(way_back)
            assert isinstance(run.app.screen, MainScreen)
    async with running() as run:
        await run.press("enter")
        seen = []
        for _ in PAGES:
            text = run.app.screen.query_one(Lines).text[1]
            seen.append(text[text.index("[") + 1 : text.index("]")])
            await run.press("tab")
        assert tuple(seen) == PAGES
        await run.press("shift+tab", "p")
        assert "[processes]" in run.app.screen.query_one(Lines).text[1]
        await run.press("s", "down", "up", "pagedown", "pageup", "end", "home", "j", "k", "G", "g")
        assert isinstance(run.app.screen, DetailScreen)


async def test_help_lists_every_key() -> None:
    """Help is made from the key map, and every key is in it."""
    for key in ("?", "h", "f1"):
        async with running(size=(120, 200)) as run:
            await run.press(key)
            assert isinstance(run.app.screen, Pager)
            text = "\n".join(run.app.screen.query_one(Lines).text)
            assert all(one.about in text for one in (*keys.MAIN, *keys.DETAIL))
            await run.press("escape")
            assert isinstance(run.app.screen, MainScreen)


async def test_every_key_of_the_map_has_an_action() -> None:
    """A key without a method would be dead."""
    for screen, table in ((MainScreen, keys.MAIN), (DetailScreen, keys.DETAIL)):
        for key in table:
            assert hasattr(screen, f"action_{key.action.partition('(')[0]}"), key


async def test_pause_and_step_back() -> None:
    """Space stops; [ and ] step; the last line says where; going on is now again."""
    for key in ("space", "Z"):
        async with running() as run:
            await run.press("ctrl+r", "ctrl+r", key)
            assert "PAUSED" in run.foot
            looks = len(run.app.session.past)
            await run.press("[")
            assert f"{looks - 1}/{looks}" in run.foot
            await run.press("]")
            assert f"{looks}/{looks}" in run.foot
            await run.press("[", "escape")
            assert not run.app.session.is_paused
            assert "PAUSED" not in run.foot


async def test_interval() -> None:
    """{ and } halve and double within bounds; d asks: nonsense is refused in the dialog, nothing changes nothing."""
    async with running() as run:
        await run.press("{")
        assert run.app.settings.delay == SLOW / 2
        await run.press("}", "}")
        assert run.app.settings.delay == SLOW
        await run.press("d")
        assert isinstance(run.app.screen, Prompt)
        await run.press("ctrl+u", "x", "enter")
        assert "not a duration" in run.problem
        await run.press("backspace")
        assert not run.problem
        await run.press("3", "s", "enter")
        assert run.app.settings.delay == 3
        assert "every 3s" in run.foot
        await run.press("d", "ctrl+u", "enter")
        assert isinstance(run.app.screen, MainScreen)
        assert run.app.settings.delay == 3


async def test_settings_are_saved(tmp_path: Path) -> None:
    """S writes what is shown now."""
    async with running(environ={"XDG_CONFIG_HOME": str(tmp_path)}) as run:
        await run.press("M", "t", "S")
        assert "saved to" in run.foot
    settings = load(str(tmp_path / "cgscope" / "ctop.yaml"))
    assert (settings.sort, settings.tree, settings.columns) == ("memory", True, DEFAULT)


@pytest.mark.parametrize("key", ["q", "f10", "ctrl+c"])
async def test_leaving(key: str) -> None:
    """These end it; Esc does not."""
    async with running() as run:
        await run.press("escape")
        assert run.app.is_running
        await run.press(key)
        assert run.app._exit


async def test_mouse() -> None:
    """A click selects, on a heading sorts, twice opens; the wheel scrolls."""
    async with running() as run:
        await run.click("#list", 2, 2)
        assert run.app.session.cursor == 1
        await run.click("#list", 1, 0)
        assert run.app.session.view.sort == "name"
        await run.click("#list", 2, 1, times=2)
        assert isinstance(run.app.screen, DetailScreen)
        await run.click("Lines", 12, 1)
        assert "[limits]" in run.app.screen.query_one(Lines).text[1]


async def test_sizes() -> None:
    """From 40x10 to 400x100 and back, also while a dialog is open, nothing breaks."""
    async with running() as run:
        for size in ((40, 10), (400, 100), (20, 5), (120, 30)):
            await run.resize(*size)
            assert len(run.lines[0]) == size[0]
        await run.press("s")
        await run.resize(40, 10)
        await run.press("escape", "enter")
        await run.resize(120, 30)
        assert isinstance(run.app.screen, DetailScreen)


async def test_only_visible_rows_are_read() -> None:
    """A thousand rows, thirty lines: at most thirty are looked at; scrolling looks at what comes into sight."""
    bare = [entry(f"/job-{number:04}", cores=1.0) for number in range(1000)]
    still = Still(scene([type(one)(one.path, one.inode, one.identity, one.brief) for one in bare]))
    async with running(scenes=still) as run:
        assert all(len(paths) <= 30 for paths, _needs in still.looks)
        await run.press("G")
        assert still.looks[-1][0][-1] == "/job-0999"


@pytest.mark.parametrize("key", ["x", "f9", "e"])
async def test_nothing_is_done_in_read_only_mode(key: str) -> None:
    """The menu does not even open."""
    async with running(read_only=True) as run:
        await run.press(key)
        assert isinstance(run.app.screen, MainScreen)
        assert "read-only" in run.foot


async def test_a_wrong_argument_can_be_mended() -> None:
    """The dialog says what is wrong and stays; what is right afterwards is the answer."""
    async with running() as run:
        answers: list[str | None] = []
        run.app.push_screen(Prompt("Tasks", check=parse_tasks), answers.append)
        await run.press(*"7x", "enter")
        assert isinstance(run.app.screen, Prompt)
        assert "'7x' is no number of tasks" in run.problem
        await run.press("backspace", "enter")
        assert answers == ["7"]


async def test_a_recording_cannot_be_changed(tmp_path: Path) -> None:
    """Replay: space plays and stops, steps and jumps find looks, O the next kill, actions are refused."""
    path = str(tmp_path / "r.db")
    recorder = Recorder(path)
    for second in range(6):
        shown = scene([entry("/a", memory=second + 1, oom=3 if second >= 4 else 1)])
        look = look_of(type(shown)(shown.taken_at + 60 * second, shown.machine, "v2", shown.entries))
        recorder.add(look)
    recorder.close()
    with contextlib.closing(Recording(path)) as recording:
        replay = Replay(recording)
        async with running(scenes=replay, recorded=replay) as run:
            assert "REPLAY 2026-01-01 12:00:00  1/6" in run.foot
            await run.press("ctrl+r")
            assert "2/6" in run.foot
            await run.press("O")
            assert "5/6" in run.foot
            await run.press("J", *"12:02", "enter")
            assert "12:02:00  3/6" in run.foot
            await run.press("J", *"+1m", "enter")
            assert "4/6" in run.foot
            await run.press("J", "x", "enter")
            assert "not a time" in run.problem
            await run.press("escape")
            assert "4/6" in run.foot
            await run.press("x")
            assert "cannot be changed" in run.foot
            await run.press("enter", "[", "l", "p")
            assert "not known here" in "\n".join(run.app.screen.query_one(Lines).text)
