"""Sizes, durations and numbers as people write them on a command line."""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGTPE])I?)?B?", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|min|h|d)?", re.ASCII | re.IGNORECASE)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PREFIXES: Final = "KMGTPE"
_MOST_BYTES: Final = 2**63 - 1  # what the kernel's page counters hold


def parse_size(text: str) -> int:
    """Bytes in ``256M``, ``1.5G``, ``1GiB`` or ``1048576``; prefixes are powers of 1024, as for ``free -h``.

    Raises ValueError with a text that says what is wrong.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size; examples: 512K, 256M, 1.5G")
    number, prefix = match.groups()
    factor = 1024 ** (_PREFIXES.index(prefix.upper()) + 1) if prefix else 1
    size = int(number) * factor if "." not in number else int(float(number) * factor)
    if size > _MOST_BYTES:
        raise ValueError(f"{text!r} is more than the kernel can count")
    return size


def format_size(size: float) -> str:
    """``size`` bytes in at most four digits and a prefix: ``0``, ``512``, ``1.5K``, ``256M``."""
    for prefix in ("", *_PREFIXES):
        if size < 1000 or prefix == "E":  # 1000: at most three digits before the prefix
            digits = f"{size:.1f}" if prefix and size < 10 else f"{size:.0f}"
            return f"{digits}{prefix}"
        size /= 1024
    raise AssertionError


def parse_duration(text: str) -> float:
    """Seconds in ``5``, ``1.5s``, ``200ms``, ``2m``, ``1h`` or ``1d``. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration; examples: 200ms, 5s, 2m")
    number, unit = match.groups()
    return float(number) * _SECONDS[(unit or "s").lower()]


def format_duration(seconds: float) -> str:
    """``seconds`` in its two largest units: ``7s``, ``2m03s``, ``5h07m``, ``12d04h``."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
