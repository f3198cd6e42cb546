"""The machine's CPUs and memory nodes as sysfs describes them, raw: what does not change while they are online.

Kernel: drivers/base/{cpu,topology,cacheinfo,node}.c, drivers/cpufreq/cpufreq.c; documented in
Documentation/ABI/stable/sysfs-devices-system-cpu and -node. Sample: ``cpu0/cache/index0/size`` ``32K``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

from cgroup_model.record import dataclass
from cgroup_model.snapshot import SysFiles

_MOST_BYTES: Final = 1 << 16
_MACHINE: Final = ("isolated", "kernel_max", "modalias", "offline", "uevent", "smt", "vulnerabilities")
_CPU: Final = ("online", "topology", "cache", "cpufreq")
_NODES: Final = ("online", "possible", "has_cpu", "has_memory", "has_normal_memory")
_NODE: Final = ("cpulist", "cpumap", "distance", "meminfo", "numastat")
_CPU_NAME: Final = re.compile(r"cpu(\d{1,5})")
_NODE_NAME: Final = re.compile(r"node(\d{1,5})")
_DEEPEST: Final = 3


class SysTree:
    """One folder of sysfs, read again only when the machine is said to have changed: it may be thousands of files."""

    def __init__(self, root: str, members: re.Pattern[str], common: Iterable[str], each: Iterable[str]) -> None:
        self._root = root
        self._members = members
        self._common = tuple(common)
        self._each = tuple(each)
        self._kept: _Kept | None = None

    def read(self, version: object) -> SysFiles | None:
        """The files, read again if ``version`` is not the one of the last time; None where there is no such folder."""
        if self._kept is None or self._kept.version != version:
            files = dict(self._files())
            self._kept = _Kept(version, SysFiles(files) if files else None)
        return self._kept.files

    def _files(self) -> Iterator[tuple[str, bytes]]:
        names = _listed(self._root)
        for name in names:
            if name in self._common:
                yield from _below(self._root, name, _DEEPEST)
            elif self._members.fullmatch(name):
                for part in self._each:
                    yield from _below(self._root, f"{name}/{part}", _DEEPEST)


@dataclass(frozen=True, slots=True)
class _Kept:
    version: object
    files: SysFiles | None


def cpu_tree(sys_root: str) -> SysTree:
    """What sysfs says about CPUs."""
    return SysTree(f"{sys_root}/devices/system/cpu", _CPU_NAME, _MACHINE, _CPU)


def node_tree(sys_root: str) -> SysTree:
    """What sysfs says about memory nodes."""
    return SysTree(f"{sys_root}/devices/system/node", _NODE_NAME, _NODES, _NODE)


def _below(root: str, path: str, depth: int) -> Iterator[tuple[str, bytes]]:
    full = f"{root}/{path}"
    if os.path.islink(full):
        if os.path.isdir(full) and path.endswith("/cpufreq"):  # a link to the policy that several CPUs share
            yield from _each(root, path, depth)
        return
    if os.path.isdir(full):
        yield from _each(root, path, depth)
    elif (content := _content(full)) is not None:
        yield path, content


def _each(root: str, path: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth:
        for name in _listed(f"{root}/{path}"):
            yield from _below(root, f"{path}/{name}", depth - 1)


def _listed(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _content(path: str) -> bytes | None:
    """A file that cannot be read (some only root may, some can only be written) is as good as none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return None
