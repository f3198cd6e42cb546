"""What the main screen shows of a session, as lines: for the first frame and for every one after it. Pure."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from ctop.columns import COLUMNS
from ctop.format import fit
from ctop.renderables.foot import Status
from ctop.renderables.header import alarm_line, machine_lines
from ctop.renderables.lines import Line
from ctop.renderables.table import heading, lay_out, row_line
from ctop.session import Session

_HEAD_FROM: Final = 12  # lines of screen; below that every line is for rows


def head_lines(session: Session, width: int, height: int, zone: tzinfo) -> list[Line]:
    """The machine, what is missing, what is critical; nothing on a screen that is too low for it."""
    if session.scene is None or height < _HEAD_FROM:
        return []
    head = machine_lines(session.scene, width, zone=zone)
    if found := session.alarms:
        head.append(alarm_line(found, width))
    return head


def list_lines(session: Session, width: int) -> list[Line]:
    """The titles of the columns and the rows in sight."""
    layout = lay_out(session.shown_columns, width)
    by = COLUMNS[session.view.sort]
    lines = [heading(layout, by.name, descending=by.is_text == session.view.reverse)]
    lines += [row_line(row, layout) for row in session.visible]
    if not session.rows:
        lines.append([(fit("nothing fits the filter; Esc clears it", width), "dim")])
    return lines


def cursor_line(session: Session) -> int | None:
    """Which of the list's lines is selected; None when there are no rows."""
    return 1 + session.cursor - session.top if session.rows else None


def status(session: Session, *, is_read_only: bool, message: str = "", is_problem: bool = False) -> Status:
    """What the last line is about."""
    return Status(
        message=message,
        is_problem=is_problem,
        filter=session.view.filter.text,
        hint=session.view.filter.hint,
        is_paused=session.is_paused,
        is_following=session.is_following,
        is_read_only=is_read_only,
        position=session.position,
        taken_at=0.0 if session.scene is None else session.scene.taken_at,
        shown=len(session.rows),
        group=session.view.group,
        is_replay=session.is_replay,
    )
