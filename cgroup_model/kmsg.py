"""The kernel's log, record by record, with what was lost of it counted.

Kernel: kernel/printk/printk.c; Documentation/ABI/testing/dev-kmsg. A record of ``/dev/kmsg``::

    4,3031,12619969839,-;python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0

The numbers are facility and level, sequence and microseconds since boot; lines that begin with a blank belong to the
record before. The log is a ring: a reader that is too slow gets EPIPE, and the sequence tells how much it missed.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cgroup_model.descriptor import Descriptor

DEVICE: Final = "/dev/kmsg"

_LONGEST_RECORD: Final = 16384  # the kernel refuses to give a record to a smaller buffer than it fills
_ESCAPE: Final = re.compile(rb"\\x([0-9a-f]{2})")
_SUPPRESSED: Final = re.compile(r": (\d{1,9}) callbacks suppressed$")


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One message. ``level`` is syslog's: 0 emergency to 7 debug; ``epoch``: seconds, see `KernelLog`."""

    sequence: int
    level: int
    facility: int
    epoch: float
    text: str


class KernelLog(Descriptor):
    """A reader of the kernel's log. Raises OSError where there is none, or none for us (EPERM).

    It begins now, and records have the time at which they are read. With ``whole`` it begins with the oldest record
    that is left, and records have the time at which the kernel wrote them, as far as nobody has set the clock since.
    """

    def __init__(self, device: str = DEVICE, clock: Callable[[], float] = time.time, *, whole: bool = False) -> None:
        self._clock = clock
        self._started = clock() - time.monotonic() if whole else None
        super().__init__(os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        self._next: int | None = None
        self.lost = 0
        """Records that were overwritten before they were read."""
        self.suppressed = 0
        """Messages that the kernel itself left out (printk_ratelimit), as far as it said so."""
        if os.lseek(self._fd, 0, os.SEEK_SET if whole else os.SEEK_END) < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), device)

    def read(self) -> Iterator[LogRecord]:
        """Yield the records that are waiting; never blocks."""
        while True:
            try:
                data = os.read(self._fd, _LONGEST_RECORD)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:  # overwritten: the next read begins at what is left
                    raise
                continue
            if not data:
                return
            record = parse_record(data, self._epoch(data))
            if record is not None:
                self._count(record)
                yield record

    def _epoch(self, data: bytes) -> float:
        if self._started is None:
            return self._clock()
        written = data.split(b",", 3)[2:3]
        return self._started + (int(written[0]) / 1e6 if written and written[0].isdigit() else 0.0)

    def _count(self, record: LogRecord) -> None:
        if self._next is not None:
            self.lost += max(0, record.sequence - self._next)
        self._next = record.sequence + 1
        found = _SUPPRESSED.search(record.text)
        self.suppressed += int(found[1]) if found is not None else 0


def parse_record(data: bytes, epoch: float) -> LogRecord | None:
    """Parse one record as ``/dev/kmsg`` gives it; None when it is none."""
    head, semicolon, rest = data.partition(b";")
    fields = head.split(b",")
    if not semicolon or len(fields) < 3 or not all(field.isdigit() for field in fields[:3]):
        return None
    priority, sequence = int(fields[0]), int(fields[1])
    line = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), rest.partition(b"\n")[0])
    return LogRecord(sequence, priority & 7, priority >> 3, epoch, os.fsdecode(line))
