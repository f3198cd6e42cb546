"""Moments as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

from cgscope.quantities import parse_duration

_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)


def local_zone() -> tzinfo:
    """The time zone of whoever looks."""
    return datetime.now().astimezone().tzinfo or UTC


def parse_moment(text: str, shown: datetime) -> float:
    """Seconds since the epoch of ``14:05`` (on the day that is shown), ``2026-01-01 12:00``, ``-10m`` or ``+30s``.

    Raises ValueError.
    """
    word = text.strip()
    if word[:1] in {"-", "+"}:
        step = parse_duration(word[1:])
        return shown.timestamp() + (-step if word[0] == "-" else step)
    if found := _CLOCK.fullmatch(word):
        hour, minute, second = (int(part or 0) for part in found.groups())
        return shown.replace(hour=hour, minute=minute, second=second, microsecond=0).timestamp()
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; examples: 14:05, 2026-01-01 12:00, -10m") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=shown.tzinfo)).timestamp()
