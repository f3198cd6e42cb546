"""Whether to wait for the next request awake: learned from what followed requests of the same kind.

After OPEN a READ follows within microseconds; after the RELEASE of a program that looks once a second nothing does.
"""

from __future__ import annotations

from typing import Final

_CONFIDENT: Final = 2
_MOST: Final = 3  # a two-bit counter, as in branch prediction: one exception does not overturn a habit
_KINDS: Final = 64


class Anticipation:
    """A guess, for each kind of request (opcode below 64) on one connection, whether another follows at once.

    "At once" is within ``horizon_ns``. Begins confident; with a horizon of 0 it never is. Times are in ns of one
    monotonic clock.
    """

    def __init__(self, horizon_ns: int) -> None:
        self._horizon_ns = horizon_ns
        self._confidence = [_MOST if horizon_ns else 0] * _KINDS
        self._last_kind = 0
        self._answered_ns = -horizon_ns

    def arrived(self, now_ns: int) -> None:
        """Learn from the time that passed since the last answer: a request is there."""
        known = self._confidence[self._last_kind]
        if now_ns - self._answered_ns >= self._horizon_ns:
            self._confidence[self._last_kind] = max(0, known - 1)
        elif known < _MOST:
            self._confidence[self._last_kind] = known + 1

    def answered(self, kind: int, now_ns: int) -> int:
        """Take note of an answer; return until when it is worth staying awake for the next request."""
        self._last_kind = kind
        self._answered_ns = now_ns
        return now_ns + (self._horizon_ns if self._confidence[kind] >= _CONFIDENT else 0)
