"""Space that a container's writable layer takes, and what its file system has left.

``df`` inside of a container shows the machine's disk. What the container itself wrote is in the upper directory of its
overlay, which its first process's mountinfo names (fs/overlayfs/params.c; ``… / / rw - overlay overlay
rw,lowerdir=…,upperdir=/var/lib/…/diff,workdir=…``). Adding up a directory is slow, so a thread does it now and then,
slowly, and scrapes show what it found last.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cgroup_model.hierarchy import Cgroup
from cgroup_model.mounts import parse_mountinfo
from cgroup_model.parse import ParseError
from exporters.readers.members import Members

_INTERVAL_SECONDS: Final = 300.0  # between two measurements of one container
_AGAIN_SECONDS: Final = 30.0  # between two looks for a container's writable layer
_SHARE: Final = 0.05  # of one CPU: after each batch of entries the thread rests
_BATCH: Final = 256  # entries
_BLOCK: Final = 512  # bytes; the unit of st_blocks


@dataclass(frozen=True, slots=True)
class Layer:
    """What was measured, and the file system that it is on."""

    device: str
    usage_bytes: int
    inodes: int
    limit_bytes: int
    free_bytes: int
    inodes_total: int
    inodes_free: int
    measured_epoch: float


class FilesystemReader:
    """Measures in a thread that begins when somebody asks for the first time."""

    def __init__(
        self,
        members: Members,
        proc_root: str = "/proc",
        fs_root: str = "/",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._members = members
        self._proc_root = proc_root
        self._fs_root = fs_root.rstrip("/")
        self._clock = clock
        self._layers: dict[tuple[str, int], Layer] = {}
        self._wanted: dict[tuple[str, int], tuple[str, float]] = {}  # -> (upper directory, when to measure)
        self._look_at: dict[tuple[str, int], float] = {}  # -> when to look for its upper directory again
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    def read(self, cgroup: Cgroup) -> Layer | None:
        """Give what was measured last; None until then, and for containers without an overlay."""
        key = (cgroup.path, cgroup.inode)
        if key not in self._wanted and self._look_at.get(key, 0.0) <= self._clock():
            # A container that has just begun is still in the machine's file system.
            self._look_at[key] = self._clock() + _AGAIN_SECONDS
            if (upper := self._upper_directory(cgroup)) is not None:
                with self._lock:
                    self._wanted[key] = upper, 0.0
                self._start()
        return self._layers.get(key)

    def keep_only(self, alive: set[tuple[str, int]]) -> None:
        """Forget all cgroups but these (path, inode)."""
        with self._lock:
            for known in (self._wanted, self._layers, self._look_at):
                for key in known.keys() - alive:
                    known.pop(key, None)

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def measure_due(self) -> None:
        """Measure every container whose time has come."""
        for key, (upper, _) in self._due().items():
            layer = self._measure(upper)
            with self._lock:
                if key in self._wanted:
                    self._wanted[key] = upper, self._clock() + _INTERVAL_SECONDS
                    if layer is not None:
                        self._layers[key] = layer

    # -------------------------------------------------------------------------------------- internals

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="file-systems", daemon=True)
            self._thread.start()
        self._woken.set()

    def _run(self) -> None:
        while not self._ended:
            self.measure_due()
            self._woken.wait(_AGAIN_SECONDS)
            self._woken.clear()

    def _due(self) -> dict[tuple[str, int], tuple[str, float]]:
        now = self._clock()
        with self._lock:
            return {key: wanted for key, wanted in self._wanted.items() if wanted[1] <= now}

    def _upper_directory(self, cgroup: Cgroup) -> str | None:
        """Find the writable layer of the root file system of the container's first process."""
        pid = self._members.any_of(cgroup) if cgroup.path != "/" else None
        if pid is None:
            return None
        try:
            with open(f"{self._proc_root}/{pid}/mountinfo", "rb") as file:
                mounts = parse_mountinfo(file.read())
        except (OSError, ParseError):
            return None
        root = next((one for one in reversed(mounts) if one.mountpoint == "/" and one.filesystem == "overlay"), None)
        options = root.options if root is not None else ()
        return next((one.removeprefix("upperdir=") for one in options if one.startswith("upperdir=/")), None)

    def _measure(self, upper: str) -> Layer | None:
        directory = self._fs_root + upper
        try:
            status, device = os.statvfs(directory), os.stat(directory).st_dev
        except OSError:
            return None
        used, inodes = self._add_up(directory)
        return Layer(
            device=f"{os.major(device)}:{os.minor(device)}",
            usage_bytes=used,
            inodes=inodes,
            limit_bytes=status.f_blocks * status.f_frsize,
            free_bytes=status.f_bavail * status.f_frsize,
            inodes_total=status.f_files,
            inodes_free=status.f_ffree,
            measured_epoch=self._clock(),
        )

    def _add_up(self, top: str) -> tuple[int, int]:
        """Add up a directory: (bytes, inodes), each inode once, without following links or leaving the file system."""
        seen: set[int] = set()
        used = entries = 0
        pending = [top]
        began = time.thread_time()
        while pending and not self._ended:
            for status, path in _statuses(pending.pop()):
                entries += 1
                if status.st_nlink == 1 or status.st_ino not in seen:
                    seen.add(status.st_ino)
                    used += status.st_blocks * _BLOCK
                if path is not None:
                    pending.append(path)
                if entries % _BATCH == 0:
                    time.sleep((time.thread_time() - began) / _SHARE)
                    began = time.thread_time()
        return used, len(seen)


def _statuses(directory: str) -> list[tuple[os.stat_result, str | None]]:
    """List what is in a directory, with the path of what is one itself."""
    found: list[tuple[os.stat_result, str | None]] = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed meanwhile
                is_directory = entry.is_dir(follow_symlinks=False)
                found.append((entry.stat(follow_symlinks=False), entry.path if is_directory else None))
    return found
