"""Mounts as a process in a real cgroup namespace sees them; on v1, hybrid and v2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cgroup_model.control import create, kill, remove
from cgroup_model.mounts import Mounts, discover_mounts

TOP = f"/cgscope-test-mounts-{os.getpid()}"
MINE, SIBLING = f"{TOP}/pod/mine", f"{TOP}/pod/sibling"

# Moves itself into a cgroup, makes that the root of a namespace, and maps paths there.
INSIDE = """
import ctypes, json, os, sys
from cgroup_model.control import add_process
from cgroup_model.mounts import discover_mounts
add_process(discover_mounts(), sys.argv[1], os.getpid())
assert ctypes.CDLL(None, use_errno=True).unshare(0x02000000) == 0, os.strerror(ctypes.get_errno())
mounts = discover_mounts()
primary = mounts.primary
paths = ["/", "/sub", "/../sibling", "/../.."]
print(json.dumps({path: primary.directory(path) for path in paths} | {"root": primary.root, "world": mounts.world}))
"""


@pytest.fixture(scope="module")
def mounts() -> Iterator[Mounts]:
    """Find the machine's hierarchies and make the cgroups."""
    if os.geteuid() != 0:
        pytest.skip("making cgroups takes root")
    mounts = discover_mounts()
    try:
        create(mounts, MINE)
        create(mounts, SIBLING)
        yield mounts
    finally:
        kill(mounts, TOP)
        remove(mounts, TOP)


def test_paths_in_a_cgroup_namespace_lead_to_the_same_directories(mounts: Mounts) -> None:
    """Inside, with the host's mounts, ``/`` is our own cgroup and ``/../sibling`` the one beside it."""
    done = subprocess.run([sys.executable, "-c", INSIDE, MINE], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert seen.pop("root") == "/../../.."
    assert seen.pop("world") == mounts.world
    primary = mounts.primary
    assert seen == {
        "/": primary.directory(MINE),
        "/sub": primary.directory(f"{MINE}/sub"),
        "/../sibling": primary.directory(SIBLING),
        "/../..": primary.directory(TOP),
    }


def test_own_cgroup_is_where_the_kernel_lists_us(mounts: Mounts) -> None:
    """Each hierarchy maps our own line of /proc/self/cgroup to a directory that lists our pid."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        own = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    checked = 0
    for hierarchy in mounts.hierarchies:
        for controllers, path in own.items():
            names = {name.replace("blkio", "io") for name in controllers.split(",") if name}
            if hierarchy.version == 2 - bool(names) and names <= hierarchy.controllers:
                with open(f"{hierarchy.directory(path)}/cgroup.procs", encoding="utf-8") as file:
                    assert str(os.getpid()) in file.read().split()
                checked += 1
    assert checked
