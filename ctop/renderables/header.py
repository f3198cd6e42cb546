"""The head of the screen: the machine as a whole, what is missing, what is alarming."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from cgroup_model.machine import Machine
from cgscope.quantities import format_size
from ctop.format import UNKNOWN, clean, fit, percent, trim
from ctop.levels import Alarm, Level
from ctop.renderables.lines import Line, Style
from ctop.scene import Scene

_BAR_LEAST = 10
_SHARES = (0.8, 0.95)


def machine_lines(scene: Scene, width: int, *, zone: tzinfo = UTC) -> list[Line]:
    """Two or three lines: bars of CPU, memory and swap; load, tasks, pressure; what is missing."""
    machine = scene.machine
    third = max(_BAR_LEAST, (width - 2) // 3)
    bars: Line = bar("CPU", scene.cpu_ratio, f"{machine.cpus} cpus", third)
    bars += [(" ", "")]
    used = _used(machine.memory_total, machine.memory_available)
    bars += bar("Mem", *_share(used, machine.memory_total), third)
    swap = _used(machine.swap_total, machine.swap_free)
    bars += [(" ", "")]
    bars += bar("Swp", *_share(swap, machine.swap_total), width - 2 * third - 2)
    moment = datetime.fromtimestamp(scene.taken_at, zone).strftime("%H:%M:%S")
    second = f"{clean(scene.hostname)} {moment}  {_load(machine)}  {_tasks(machine)}  psi {_pressure(machine)}"
    lines: list[Line] = [cut(bars, width), [(trim(second, width), "dim")]]
    if scene.missing or scene.notes:
        lines.append([(trim(_complaint(scene), width), "warn")])
    return lines


def alarm_line(alarms: list[Alarm], width: int) -> Line:
    """Everything critical on one line, the number first."""
    text = f"! {len(alarms)} critical: " + "; ".join(alarm.text for alarm in alarms)
    return [(trim(text, width), "critical")]


def bar(label: str, ratio: float | None, text: str, width: int) -> Line:
    """``CPU [|||||      12.5 2 cpus]``: length tells as much as colour."""
    inner = width - len(label) - 2
    if inner < 1:
        return [(fit(label, width), "dim")]
    shown = f"{UNKNOWN if ratio is None else percent(100 * ratio) + '%'} {text}"
    filled = 0 if ratio is None else round(min(1.0, ratio) * inner)
    body = ("|" * filled).ljust(inner)
    body = body[: max(0, inner - len(shown))] + shown[:inner]
    return [(label, "title"), ("[", "dim"), (body, _bar_style(ratio)), ("]", "dim")]


def cut(line: Line, width: int) -> Line:
    """The line without what is beyond ``width``; runs are ASCII or fitted already."""
    kept: Line = []
    for text, style in line:
        if width <= 0:
            break
        kept.append((text[:width], style))
        width -= len(text)
    return kept


def _bar_style(ratio: float | None) -> Style:
    if ratio is None:
        return "dim"
    found: Level = "critical" if ratio >= _SHARES[1] else "warn" if ratio >= _SHARES[0] else ""
    return found or "ok"


def _used(whole: int | None, free: int | None) -> int | None:
    return None if whole is None or free is None else max(0, whole - free)


def _share(used: int | None, whole: int | None) -> tuple[float | None, str]:
    if used is None or whole is None:
        return None, ""
    ratio = used / whole if whole else 0.0
    return ratio, f"{format_size(used)}/{format_size(whole)}"


def _load(machine: Machine) -> str:
    load = machine.load
    return f"load {load.one:.2f} {load.five:.2f} {load.fifteen:.2f}" if load else f"load {UNKNOWN}"


def _tasks(machine: Machine) -> str:
    running = UNKNOWN if machine.tasks_running is None else str(machine.tasks_running)
    return f"tasks {UNKNOWN if machine.tasks is None else machine.tasks} ({running} running)"


def _pressure(machine: Machine) -> str:
    shown = []
    for name in ("cpu", "memory", "io"):
        found = getattr(machine.pressure, name)
        some = found.some if found is not None else None
        shown.append(f"{name} {UNKNOWN if some is None else percent(some.avg10)}")
    return " ".join(shown)


def _complaint(scene: Scene) -> str:
    parts = []
    if scene.missing:
        parts.append(f"no {', '.join(scene.missing)} controller here: those columns show {UNKNOWN}")
    parts += scene.notes
    return "; ".join(parts)
