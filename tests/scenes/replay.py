"""A recorded scene as folders, and the model on it as of the moment of the recording."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from cgroup_model.collect import Collector
from cgroup_model.engines import Resolver, container_path, match
from cgroup_model.hierarchy import Tree
from cgroup_model.history import History
from cgroup_model.host import HostFiles
from cgroup_model.mounts import discover_mounts
from cgroup_model.procfs import Proc
from cgroup_model.snapshot import Policy
from cgroup_model.source import Source
from tests.scenes.archive import Link, load
from tests.scenes.places import FILES, FIXTURES

_MOUNT_POINT = re.compile(rb"^((?:\S+ ){4})(/\S+)", re.MULTILINE)


def unpack(name: str, folder: Path) -> None:
    """Write a scene below ``folder``: ``proc``, ``sys`` (cgroups in ``sys/fs/cgroup``), ``root`` (engines' files)."""
    entries = load(FIXTURES.joinpath(name, FILES).read_bytes())
    # Recorded mount points are those of the machine; replayed ones are below the folder.
    mountinfo = entries["proc/self/mountinfo"]
    assert isinstance(mountinfo, bytes)
    place = str(folder).encode()
    entries["proc/self/mountinfo"] = _MOUNT_POINT.sub(lambda line: line[1] + place + line[2], mountinfo)
    folder.joinpath("root").mkdir(parents=True, exist_ok=True)
    for path, entry in entries.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Link):
            target.symlink_to(entry.target)
            target.parent.joinpath(entry.target).touch()  # namespaces are opened, too
        else:
            target.write_bytes(entry)


class Replay:
    """Everything that reads a machine, on an unpacked scene whose clock stands still."""

    def __init__(self, name: str, folder: Path) -> None:
        """Unpack the scene into an empty folder."""
        unpack(name, folder)
        proc_root, sys_root = str(folder / "proc"), str(folder / "sys")
        self.boot_seconds = float(folder.joinpath("proc/uptime").read_text().split()[0])
        """The machine's uptime when it was recorded."""
        self.source = Source()
        mounts = discover_mounts(proc_root)
        self.tree = Tree(
            mounts, self.source, container_path=container_path, container_id=_container_id, proc_root=proc_root
        )
        self._proc = Proc(proc_root)
        self._host = HostFiles(proc_root, sys_root)
        self.history = History(self.tree, self.source, self._proc, boottime=self._clock, monotonic=self._clock)
        self.collector = self.collector_with(Policy())
        self.resolver = Resolver(str(folder / "root"))

    def collector_with(self, policy: Policy) -> Collector:
        """Return a collector that shows what was chosen."""
        return Collector(self.tree, self.source, self._host, policy, self.history, self._clock)

    def close(self) -> None:
        """Close all descriptors."""
        self.tree.close()
        self.source.close()
        self._host.close()
        self._proc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _clock(self) -> float:
        return self.boot_seconds


def _container_id(path: str) -> str | None:
    found = match(path)
    return found.id if found else None
