"""Priority: only for the process itself, only where nobody has chosen one, and given back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, threading
from procfs_fuse.keeper.priority import hurry, take_turns
def now(): return os.getpriority(os.PRIO_PROCESS, 0)
os.setpriority(os.PRIO_PROCESS, 0, {chosen})
hurry()
found = [now(), int(subprocess.run(["nice"], capture_output=True).stdout)]
thread = threading.Thread(target=lambda: found.append(now()))
thread.start()
thread.join()
take_turns()
print(*found, now())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="priorities above the usual one are root's")
@pytest.mark.parametrize(("chosen", "seen"), [(0, "-10 0 0 0"), (3, "3 3 3 3")])
def test_hurry_is_not_inherited(chosen: int, seen: str) -> None:
    """Programs and threads that are started meanwhile have the usual priority; what an operator chose stays."""
    words = [sys.executable, "-c", PROGRAM.format(chosen=chosen)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == (seen, "")
