"""Whole frames as golden text, at the sizes people have, from scenes of every cgroup world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len

from cgroup_model.engines import Kind
from cgroup_model.processes import Process
from ctop.arrange import View, arrange
from ctop.columns import COLUMNS, DEFAULT, chosen
from ctop.levels import alarms
from ctop.renderables.foot import Status, foot_line
from ctop.renderables.header import alarm_line, machine_lines
from ctop.renderables.lines import Line, plain
from ctop.renderables.pages import PAGES, Detail, page_lines, tabs, title_line
from ctop.renderables.table import heading, lay_out, row_line
from ctop.scene import Scene
from tests.ctop.scenes import containers, entry, identity, scene

GOLDEN = Path(__file__).parents[1] / "golden" / "ctop"
SIZES = ((80, 24), (120, 40), (200, 50), (40, 10))
UTC = ZoneInfo("UTC")


def kubernetes() -> Scene:
    """Return two pods, one of them with a sidecar, names only in labels and files."""
    entries = [entry("/", cores=2.0, memory=6000)]
    for pod, names in (("shop-7d4b9", ("web", "proxy")), ("queue-0", ("worker",))):
        path = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice"
        who = identity(path, "kubernetes", pod, kind=Kind.POD, pod=pod, namespace="prod")
        entries.append(entry(path, who, cores=0.5, memory=512, limit=1024))
        for name in names:
            inner = f"{path}/cri-containerd-{name * 16}.scope"
            who = identity(inner, "containerd", name, pod=pod, namespace="prod", image=f"registry.example/{name}:1")
            entries.append(entry(inner, who, cores=0.25, memory=256, limit=1024, origin=path, quota=2.0))
    return scene(entries)


def without_memory() -> Scene:
    """Return a machine whose memory controller is off, as some boot (Raspberry Pi)."""
    return scene([entry("/docker/one")], missing=("memory",), notes=("not allowed to read io",))


def thousand() -> Scene:
    """Return a thousand cgroups."""
    return scene([entry(f"/batch/job-{number:04}", cores=number / 1000, memory=number) for number in range(1000)])


def hostile() -> Scene:
    """Return names that try to break the screen."""
    names = [
        "\x1b[2J\x1b[31mred",
        "two\nlines",
        "tab\tbed",
        "日本語のコンテナ",
        "e\u0301" * 30,
        "\u202egnp.exe",
        "\udcff\udcfe",
        "x" * 300,
    ]
    return scene([entry(f"/{name}", identity(f"/{name}", "docker", name)) for name in names])


SCENES: dict[str, Callable[[], Scene]] = {
    "containers": scene,
    "kubernetes": kubernetes,
    "no-memory-controller": without_memory,
    "thousand": thousand,
    "hostile": hostile,
}
VIEWS = {"flat": View(), "tree": View(tree=True, show_all=True), "grouped": View(group="engine")}


def frame(shown: Scene, view: View, width: int, height: int) -> list[Line]:
    """Return what the main screen draws."""
    rows = arrange(shown, view)
    layout = lay_out(chosen(DEFAULT), width)
    lines = machine_lines(shown, width, zone=UTC) if height >= 12 else []
    if lines and (found := list(alarms(shown))):
        lines.append(alarm_line(found, width))
    lines.append(heading(layout, view.sort, descending=True))
    lines += [row_line(row, layout) for row in rows[: height - len(lines) - 1]]
    lines += [[(" " * width, "")]] * (height - len(lines) - 1)
    return [*lines, foot_line(Status(filter=view.filter.text, shown=len(rows), group=view.group), width, zone=UTC)]


def compare(name: str, lines: list[Line], *, update: bool) -> None:
    """Compare lines with a golden file, or write it."""
    path = GOLDEN / f"{name}.txt"
    text = "".join(plain(line).rstrip() + "\n" for line in lines)
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"no golden file {name}: run `make golden` and read the difference"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SCENES)
def test_main_screen(name: str, view: str, size: tuple[int, int], *, update_golden: bool) -> None:
    """Every line is exactly as wide as the terminal, and the text is what was reviewed."""
    lines = frame(SCENES[name](), VIEWS[view], *size)
    assert len(lines) == size[1]
    assert {cell_len(plain(line)) for line in lines} == {size[0]}
    compare(f"{name}/{view}-{size[0]}x{size[1]}", lines, update=update_golden)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("page", PAGES)
def test_detail(page: str, size: tuple[int, int], *, update_golden: bool) -> None:
    """Each page at each size; graphs have the limit drawn in."""
    web = containers()[1]
    trail = [0.1, 0.4, 0.2, None, 0.9, 1.2, 1.5, 0.75]
    processes = [
        Process(4711, "nginx", "root", "sleeping", 1, 0.5, 5 << 20, 3600.0, "nginx: master process"),
        Process(4712, "nginx", "www", "running", 4, 74.5, 90 << 20, 3599.0, "nginx: worker\x1b[31m"),
        Process(4713, None, None, None, None, None, None, None, None),
    ]
    detail = Detail(web, lambda _series: trail, processes, "cpu", {(8, 0): "sda"}, ("/proc/meminfo",))
    width, height = size
    lines = [title_line(web, width), tabs(page, width), *page_lines(page, detail, width, height - 3)]
    assert all(cell_len(plain(line)) <= width for line in lines)
    compare(f"detail/{page}-{width}x{height}", lines, update=update_golden)


@pytest.mark.parametrize("width", [1, 7, 40, 79, 80, 133, 200, 400])
def test_any_width_and_every_column(width: int) -> None:
    """From 1 to 400 columns every line fills the width exactly, with all columns chosen."""
    layout = lay_out(tuple(COLUMNS.values()), width)
    rows = arrange(scene(), View(tree=True, show_all=True))
    for line in [heading(layout, "cpu", descending=True), *(row_line(row, layout) for row in rows)]:
        assert cell_len(plain(line)) == width


def test_big_values_do_not_move_columns() -> None:
    """128 CPUs, terabytes, a million tasks: the line is as wide as ever, and nothing is cut to a wrong number."""
    small, big = entry("/small", cores=0.0, memory=1), entry("/big", cores=1280.0, memory=1 << 40)
    layout = lay_out(chosen(DEFAULT), 200)
    widths = {cell_len(plain(row_line(row, layout))) for row in arrange(scene([small, big]), View(show_all=True))}
    assert widths == {200}


def test_inherited_limits_are_marked() -> None:
    """A limit of an ancestor has a ^, an own one has not."""
    layout = lay_out(chosen(["name", "memory_limit"]), 60)
    lines = {row.label: plain(row_line(row, layout)) for row in arrange(scene(), View())}
    assert lines["database"].endswith("910M^")
    assert lines["web"].endswith("256M ")
    assert lines["ssh.service"].endswith("max ")


def test_critical_is_not_told_by_colour_alone() -> None:
    """A value beyond its threshold has a mark that survives NO_COLOR."""
    full = entry("/full", memory=255, limit=256)
    layout = lay_out(chosen(["name", "memory_percent"]), 60)
    (row,) = arrange(scene([full]), View(show_all=True))
    assert "!" not in plain(row_line(row, layout))  # 87 %: its inactive cache can go
    assert next(iter(alarms(scene([entry("/over", memory=400, limit=256)])))).text.startswith("/over: memory")
