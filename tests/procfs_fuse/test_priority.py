"""Priority: only for the process itself, only where nobody has chosen one, and given back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, threading
from procfs_fuse.priority import hurry, take_turns
def now(): return os.getpriority(os.PRIO_PROCESS, 0)
os.setpriority(os.PRIO_PROCESS, 0, {chosen})
hurry({how})
found = [now(), int(subprocess.run(["nice"], capture_output=True).stdout)]
thread = threading.Thread(target=lambda: found.append(now()))
thread.start()
thread.join()
take_turns()
print(*found, now())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="priorities above the usual one are root's")
@pytest.mark.parametrize(("chosen", "how"), [(0, ""), (0, "with_children=True"), (3, ""), (3, "with_children=True")])
def test_hurry(chosen: int, how: str) -> None:
    """Programs and threads that are started meanwhile come first only if wanted; what an operator chose stays."""
    others = chosen or (-10 if how else 0)
    seen = f"{chosen or -10} {others} {others} {chosen}"
    words = [sys.executable, "-c", PROGRAM.format(chosen=chosen, how=how)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == (seen, "")
