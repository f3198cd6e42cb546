"""How long it takes until a mount is there, and until a running container has its files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from benchmarks.container import Container, container
from benchmarks.floors import mounted
from benchmarks.kit import Kit, in_turn
from benchmarks.results import FLOOR
from benchmarks.servers import Server, lxcfs, ours
from cgroup_model.keys import escape_path
from procfs_fuse.bindings import of_container

_STARTS: Final[dict[str, Callable[..., AbstractContextManager[Server]]]] = {
    "ours": ours,
    "fusepy": partial(ours, transport="fusepy"),
    "lxcfs": lxcfs,
}


def measure(kit: Kit) -> None:
    """Measure all of it."""
    for number, name in enumerate(in_turn(_STARTS, kit.some(5))):
        try:
            with _STARTS[name](kit.folder, name=f"{name}-start-{number}") as server:
                kit.results.add("mount", name, {"first_msec": server.started_seconds * 1000})
        except SystemExit as error:
            kit.results.missing.append(f"mount {name}: {error}")
    for number in range(kit.some(5)):
        folder = os.path.join(kit.folder, f"floor-{number}")
        os.mkdir(folder)
        kit.results.add("mount", FLOOR, {"first_msec": mounted(kit, folder)})
    with ours(kit.folder, name="attaching") as we, contextlib.ExitStack() as stack:
        for _ in range(kit.some(5)):
            inside = stack.enter_context(container("a"))
            kit.results.add("attach a container", FLOOR, {"first_msec": _bound(kit, we, inside)})
            kit.results.add("attach a container", "ours", {"first_msec": _attached(we, inside)})
            kit.results.add("attach a container", "python alone", {"first_msec": _took([sys.executable, "-c", "0"])})
            stack.close()


def _attached(we: Server, inside: Container) -> float:
    words = ["attach", "--mount", we.mountpoint, "--state-dir", f"{we.mountpoint}-state", f"pid:{inside.init}"]
    return _took([sys.executable, "-m", "procfs_fuse", *words])


def _bound(kit: Kit, we: Server, inside: Container) -> float:
    """The calls alone that put the same files into the same container, where `attach` puts them once more."""
    pairs = [(one.source, one.target) for one in of_container(f"{we.containers}/{escape_path(inside.path)}")]
    there = [pair for pair in pairs if os.path.exists(f"/proc/{inside.init}/root{pair[1]}")]
    return mounted(kit, str(inside.init), *(word for pair in there for word in pair))


def _took(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - began) * 1000
