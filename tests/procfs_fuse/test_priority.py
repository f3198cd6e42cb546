"""Priority: only for the process itself, where nobody has chosen one, and given back; below systemd's filter, too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the filter has x86_64's numbers of calls")
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

# What RestrictRealtime=yes loads: sched_setscheduler(2) gets EPERM for any policy but 0, 3 and 5.
RESTRICTED = """
import ctypes, errno, os, struct
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | errno.EPERM
rules = [
    (0x20, 0, 0, 0),  # load the call's number
    (0x15, 0, 5, 144),  # sched_setscheduler?
    (0x20, 0, 0, 24),  # load the lower half of its second argument
    (0x15, 3, 0, 0), (0x15, 2, 0, 3), (0x15, 1, 0, 5),
    (0x06, 0, 0, REFUSE),
    (0x06, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("@HP", len(rules), ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, ctypes.c_ulong(2), program, ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0
try:
    os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
except PermissionError:
    pass
else:
    raise SystemExit("nothing is refused")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="priorities above the usual one are root's")
@pytest.mark.parametrize(("chosen", "how"), [(0, ""), (0, "with_children=True"), (3, ""), (3, "with_children=True")])
@pytest.mark.parametrize("restricted", [False, pytest.param(True, marks=X86_64)], ids=["free", "restricted"])
def test_hurry(chosen: int, how: str, *, restricted: bool) -> None:
    """Programs and threads that are started meanwhile come first only if wanted; what an operator chose stays."""
    others = chosen or (-10 if how else 0)
    seen = f"{chosen or -10} {others} {others} {chosen}"
    program = PROGRAM.format(chosen=chosen, how=how)
    words = [sys.executable, "-c", RESTRICTED + program if restricted else program]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.stderr) == (seen, "")
