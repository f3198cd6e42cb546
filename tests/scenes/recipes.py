"""What is recorded: for each scene a world, and the containers that are made, limited and made to work there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cgroup_model.control import Limits, add_process, apply, create, kill, remove
from cgroup_model.mounts import Mounts

MIB: Final = 1 << 20
DISK: Final = "/dev/ubda"

WEB, DATABASE, IDLE, PAUSE, BATCH = (digits * 32 for digits in ("a1", "b2", "c3", "d4", "e5"))
POD, OTHER_POD = "1dbe5e0c_6d1c_4c5e_9a57_0c8f8e7f9d11", "7c0a1f52_0b1e_4f0e_8f1d_5a1c3f9b2e44"

# The first process of a container: memory of each kind, a file, more CPU time than its quota, a second thread.
_WORK: Final = """
import mmap, os, sys, threading, time
anonymous = bytearray(os.urandom(4096)) * (int(sys.argv[1]) // 4096)
shared = mmap.mmap(-1, 2 << 20)
shared.write(b"x" * (2 << 20))
if len(sys.argv) > 2:
    with open(sys.argv[2], "wb") as file:
        file.write(bytes(3 << 20))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open(sys.argv[2], "rb") as file:
        file.read()
end = time.process_time() + 0.4
while time.process_time() < end:
    os.getpid()
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One cgroup of a scene. ``work_bytes``: what its process allocates, None: it holds no process."""

    path: str
    limits: Limits = field(default_factory=Limits)
    work_bytes: int | None = None
    disk_bytes_per_second: int | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    """Control files of cgroup v2 that have no function of ours: name -> what is written."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A scene to be recorded. ``world`` is a guest's, None: this machine itself."""

    text: str
    world: str | None
    members: tuple[Member, ...]
    engine: str = "none; the cgroups are made as Docker's cgroupfs driver makes them"
    files: Mapping[str, str] = field(default_factory=dict)
    """The engine's own files, by path on the machine; made by hand."""


_LIMITED: Final = Limits(memory_bytes=64 * MIB, swap_bytes=32 * MIB, cpus=0.5, cpuset="0", pids=50)

_DOCKER: Final = (
    Member(f"/docker/{WEB}", _LIMITED, 20 * MIB, disk_bytes_per_second=8 * MIB),
    Member("/shop", Limits(memory_bytes=96 * MIB, cpus=1.0, pids=30)),
    Member(f"/shop/{DATABASE}", Limits(), 8 * MIB),
    Member(f"/docker/{IDLE}", Limits(), 1 * MIB),
)

_PODS: Final = "/kubepods.slice"
_BURSTABLE: Final = f"{_PODS}/kubepods-burstable.slice/kubepods-burstable-pod{POD}.slice"
_BEST_EFFORT: Final = f"{_PODS}/kubepods-besteffort.slice/kubepods-besteffort-pod{OTHER_POD}.slice"

_KUBERNETES: Final = (
    Member("/system.slice/kubelet.service", Limits(), 6 * MIB),
    Member(_PODS, Limits(memory_bytes=512 * MIB), more={"cpu.weight": "39"}),
    Member(_BURSTABLE, Limits(memory_bytes=128 * MIB, cpus=0.75, pids=100), more={"cpu.weight": "10"}),
    Member(f"{_BURSTABLE}/cri-containerd-{PAUSE}.scope", Limits(), 0),
    Member(
        f"{_BURSTABLE}/cri-containerd-{WEB}.scope",
        Limits(memory_bytes=64 * MIB, cpus=0.5),
        20 * MIB,
        disk_bytes_per_second=8 * MIB,
        more={"memory.oom.group": "1"},
    ),
    Member(f"{_BURSTABLE}/cri-containerd-{DATABASE}.scope", Limits(), 8 * MIB),
    Member(_BEST_EFFORT, more={"cpu.weight": "1"}),
    Member(f"{_BEST_EFFORT}/cri-containerd-{BATCH}.scope", Limits(), 2 * MIB),
)


def _logs(pod: str, uid: str, containers: Mapping[str, str]) -> dict[str, str]:
    """Return the kubelet's names of a pod and its containers."""
    found = {f"var/log/pods/{pod}_{uid.replace('_', '-')}/.keep": ""}
    return found | {f"var/log/containers/{pod}_{name}-{key}.log": "" for name, key in containers.items()}


RECIPES: Final[Mapping[str, Recipe]] = {
    "v2-docker": Recipe("Three containers on cgroup v2, one of them limited in everything", "v2", _DOCKER),
    "v1-docker": Recipe("The same containers on cgroup v1, a hierarchy for each controller", "v1", _DOCKER),
    "hybrid-docker": Recipe(
        "The same containers on a hybrid machine: controllers are v1's, the v2 tree has pressure and hugetlb",
        None,
        _DOCKER,
    ),
    "v2-kubernetes": Recipe(
        "Two pods on cgroup v2: a burstable one of two containers and a pause container, a best-effort one of one",
        "v2",
        _KUBERNETES,
        engine="none; the cgroups are made and limited as the kubelet's systemd driver does",
        files=_logs("shop-0_prod", POD, {"web": WEB, "database": DATABASE})
        | _logs("nightly_batch", OTHER_POD, {"job": BATCH}),
    ),
}


class Stage:
    """The cgroups of a recipe on this machine, and their processes."""

    def __init__(self, mounts: Mounts, recipe: Recipe, folder: Path) -> None:
        """``folder`` is on the disk that is written to."""
        self._mounts = mounts
        self._recipe = recipe
        self._folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Make everything, in the order of the recipe, and wait until all have done their work."""
        for member in self._recipe.members:
            create(self._mounts, member.path)
        for member in self._recipe.members:
            apply(self._mounts, member.path, member.limits)
            self._write(member)
            if member.work_bytes is not None:
                self._start(member, member.work_bytes)
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a container's process ended before its work was done")
        return self

    def __exit__(self, *exc: object) -> None:
        """End and remove everything, children first."""
        for member in reversed(self._recipe.members):
            kill(self._mounts, member.path)
        for process in self._processes:
            process.communicate()
        for path in sorted(self._paths(), key=len, reverse=True):
            remove(self._mounts, path)

    @property
    def cgroups(self) -> list[str]:
        """The recipe's cgroups."""
        return [member.path for member in self._recipe.members]

    def _paths(self) -> set[str]:
        paths = {
            path for member in self._recipe.members for path in (member.path, *map(str, Path(member.path).parents))
        }
        return paths - {"/"}

    def _write(self, member: Member) -> None:
        core = self._mounts.for_controller("memory")
        assert core is not None
        for name, value in member.more.items():
            Path(core.directory(member.path), name).write_text(value)
        io = self._mounts.for_controller("io")
        if member.disk_bytes_per_second is None or io is None:
            return
        number = os.stat(self._folder).st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        rate = member.disk_bytes_per_second
        if io.version == 2:
            Path(io.directory(member.path), "io.max").write_text(f"{device} wbps={rate}")
        else:
            Path(io.directory(member.path), "blkio.throttle.write_bps_device").write_text(f"{device} {rate}")

    def _start(self, member: Member, size_bytes: int) -> None:
        """Start a process in a pid namespace of its own; it joins the cgroup before it does anything."""
        arguments = [sys.executable, "-c", _WORK, str(size_bytes)]
        if member.disk_bytes_per_second is not None:
            arguments.append(str(self._folder / "file"))
        script = f"read -r _; exec unshare --pid --fork --kill-child {shlex.join(arguments)}"
        process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        add_process(self._mounts, member.path, process.pid)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        self._processes.append(process)
