"""What may be skipped where: the one list of reasons. A run with a skip that is not on it fails (`scripts/suite.py`).

So a test that stops running is seen, whether a feature vanished from a kernel or a condition is wrong.
Worlds are those of the suite's table: ``native hybrid``, ``guest v2``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, slots=True)
class Allowed:
    """A reason (regular expression for all of it) and the worlds in which it is true, with ``*`` and ``?``.

    ``why`` says what would have to change for the test to run there.
    """

    reason: str
    worlds: tuple[str, ...]
    why: str


NATIVE: Final = ("native *",)
GUESTS: Final = ("guest *",)

ALLOWED: Final[Sequence[Allowed]] = (
    # What a cgroup version does not have.
    Allowed("no hierarchy serves cgroup2 here", ("* v1",), "cgroup v1 alone has no core"),
    Allowed("this kernel accounts no pressure for cgroups", ("* v1",), "pressure is of the v2 hierarchy"),
    Allowed("the memory controller is on v1 here", ("* v1", "* hybrid"), "v1 has no counters of events"),
    Allowed("the comparison is made in the v2 guest", ("* v1", "* hybrid", *NATIVE), "it takes the guest's spare disk"),
    Allowed("no v2 controller is handed on here", ("* v1", "* hybrid"), "hybrid machines keep controllers on v1"),
    # What the guests' kernel cannot have: User Mode Linux has neither huge pages nor memory nodes.
    Allowed("no hierarchy serves hugetlb here", GUESTS, "no huge pages in User Mode Linux"),
    Allowed("this kernel has no memory nodes", (*GUESTS, *NATIVE), "NUMA is an option of the kernel"),
    Allowed("this kernel does not share CPUs by sessions", (*GUESTS, *NATIVE), "autogroup is an option of the kernel"),
    Allowed("the tests' own priority was chosen by somebody", (*GUESTS, *NATIVE), "then ours stays, too"),
    Allowed("the filter has x86_64's numbers of calls", NATIVE, "the same filter; other machines have other numbers"),
    Allowed("this machine has one CPU", (*GUESTS, *NATIVE), "guests have one CPU: several would spin"),
    Allowed("the soak is long enough for one world", GUESTS, "it takes a minute of everything"),
    Allowed("Prometheus runs beside the native suite", GUESTS, "the same program and pages; a guest is slow"),
    Allowed("a browser runs beside the native suite", GUESTS, "the same page and numbers; a guest is slow"),
    Allowed("programs are traced beside the native suite", GUESTS, "the same programs; User Mode Linux traces slowly"),
    Allowed(
        "what every world has alike is tested beside the native suite",
        GUESTS,
        "the same code; a guest is slow",
    ),
    Allowed("engines run beside the native suite", GUESTS, "daemons with storage of their own; a guest is slow"),
    Allowed("this kernel runs no 32-bit programs", ("*",), "not in User Mode Linux; elsewhere an option of the kernel"),
    Allowed("this kernel has no seccomp notifications", NATIVE, "since Linux 5.5, an option"),
    Allowed("processes end the same way in a guest, which is slow", GUESTS, "what differs by kernel runs there, too"),
    Allowed("no freezer of cgroup v1 here", ("* v2",), "only that one keeps killed processes"),
    Allowed("this kernel has no FUSE_NOTIFY_RESEND", (*GUESTS, *NATIVE), "since Linux 6.9"),
    Allowed("no systemd-analyze here", (*GUESTS, *NATIVE), "a machine without systemd"),
    # What depends on the machine at hand.
    Allowed("this machine has no swap", NATIVE, "the guests have swap"),
    Allowed("this kernel describes no topology", NATIVE, "an option of the architecture"),
    Allowed("this kernel lists slabs for each cgroup", NATIVE, "cgroup v1 before Linux 5.9"),
    Allowed("no disk to read from: .*", NATIVE, "the guests have a spare disk"),
    Allowed(r".* is on no block device, and there is no spare disk .*", NATIVE, "the guests have a spare disk"),
    Allowed("this file system does not count subdirectories in st_nlink", NATIVE, "btrfs and overlays on it"),
    Allowed("LXC uses newuidmap, which asks /etc/subuid", NATIVE, "package uidmap, which no test needs"),
    Allowed("this kernel makes no user namespaces", ("*",), "an option and a sysctl of the kernel"),
    Allowed("this Python is not readable by others", ("*",), "a Python in root's home"),
    Allowed("groff is not installed", NATIVE, "package groff-base, which shows manual pages"),
    # Machines without apt, outside of continuous integration.
    Allowed("no apt.*", NATIVE, "nothing can be fetched"),
    Allowed(r"packages cannot be fetched: .* not found \(not a Debian\?\)", ("*",), "nothing can be fetched"),
    Allowed(r"guest: .*", NATIVE, "no kernel can be fetched"),
    Allowed("no guest on a machine without apt; the reason is above", GUESTS, "no kernel can be fetched"),
)


def unexpected(world: str, skips: Counter[str]) -> list[str]:
    """Return the reasons that the list does not allow in this world, sorted."""
    allowed = [row.reason for row in ALLOWED if any(fnmatchcase(world, pattern) for pattern in row.worlds)]
    return sorted(reason for reason in skips if not any(re.fullmatch(one, reason, re.DOTALL) for one in allowed))
