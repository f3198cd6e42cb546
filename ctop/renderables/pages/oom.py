"""Who was killed for lack of memory: counters, what the looks saw, and the kernel's log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from ctop import values
from ctop.format import UNKNOWN, clean, fit, number, trim
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import Detail, fact, heading, note

if TYPE_CHECKING:
    from cgroup_model.oom import Victim


def oom_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """The newest first."""
    path = detail.entry.path
    memory = None if detail.entry.snapshot is None else detail.entry.snapshot.memory
    own = None if memory is None or memory.events_local is None else memory.events_local.oom_kill
    lines = [
        heading("Killed for lack of memory, since the cgroup was made", width),
        fact("in it and below", number(values.ooms(detail.entry), "count"), width),
        fact("in it itself", number(own, "count"), width),
        heading("Seen by these looks", width),
        *(_seen(epoch, kills, detail.zone, width) for epoch, kills in reversed(detail.kills)),
    ]
    if not detail.kills:
        lines.append(note("none", width))
    lines.append(heading("In the kernel's log (the log forgets; it names no cgroup when kills are many)", width))
    return lines + _victims(path, detail.victims, detail.zone, width)


def _seen(epoch: float, kills: int, zone: tzinfo, width: int) -> Line:
    return [(trim(f"{_moment(epoch, zone)}  {kills} killed", width), "")]


def _victims(path: str, victims: Sequence[Victim] | None, zone: tzinfo, width: int) -> list[Line]:
    if victims is None:
        return [note("not known: it may not be read here, or this is another time or machine", width)]
    inside = [one for one in victims if one.cgroup is not None and f"{one.cgroup}/".startswith(path.rstrip("/") + "/")]
    if not inside:
        return [note("none", width)]
    titles = f"{'TIME':<19} {'PID':>8} {'COMMAND':<16} {'ANON':>6} {'FILE':>6} LIMIT OF"
    return [heading(titles, width), *(_victim(one, zone, width) for one in reversed(inside))]


def _victim(one: Victim, zone: tzinfo, width: int) -> Line:
    limit = clean(one.limit_cgroup) if one.limit_cgroup else "the machine" if one.constraint == "none" else UNKNOWN
    sizes = f"{number(one.anon_rss_bytes, 'size'):>6} {number(one.file_rss_bytes, 'size'):>6}"
    text = f"{_moment(one.epoch, zone)} {one.pid:>8} {fit(clean(one.comm), 16)} {sizes} {limit}"
    return [(trim(text, width), "")]


def _moment(epoch: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(epoch, zone).strftime("%Y-%m-%d %H:%M:%S")
