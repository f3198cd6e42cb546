"""The last line: messages first, else where we are in time, the filter, and the keys that matter most."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from cgroup_model.record import dataclass
from ctop.format import clean, trim
from ctop.renderables.lines import Line, Style

_KEYS = "? help  / filter  s sort  t tree  Enter detail  x actions  q quit"


@dataclass(frozen=True, slots=True)
class Status:
    """What the last line is about."""

    message: str = ""
    is_problem: bool = False
    filter: str = ""
    hint: str = ""  # what is wrong with the filter
    is_paused: bool = False
    is_following: bool = False
    is_read_only: bool = False
    position: tuple[int, int] = (0, 0)  # shown look, number of looks
    taken_at: float = 0.0
    shown: int = 0
    group: str = "none"
    is_replay: bool = False


def foot_line(status: Status, width: int, *, zone: tzinfo = UTC) -> Line:
    """Exactly one line."""
    if status.message:
        style: Style = "critical" if status.is_problem else "hint"
        return [(trim(clean(status.message), width), style)]
    marks = []
    if status.is_replay or status.is_paused:
        moment = datetime.fromtimestamp(status.taken_at, zone).strftime("%Y-%m-%d %H:%M:%S")
        word = "REPLAY" if status.is_replay else "PAUSED"
        marks.append(f"{word}{' (paused)' if status.is_replay and status.is_paused else ''} {moment}")
        marks.append("{}/{}".format(*status.position))
    if status.filter:
        marks.append(f"filter: {clean(status.filter)} ({status.hint or status.shown})")
    if status.group != "none":
        marks.append(f"by {status.group}")
    if status.is_following:
        marks.append("following")
    if status.is_read_only:
        marks.append("read-only")
    return [(trim("  ".join([*marks, _KEYS]), width) if marks else trim(_KEYS, width), "hint")]
