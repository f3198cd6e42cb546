"""Which file systems are being served, by whom, and where their state is.

The state directory (``/run/procfs-fuse``) holds the files of the instance at the default mount point; instances at
other mount points live in ``instances/<escaped mount point>`` below it, the one that ``run`` starts by itself in
``auto``. Each has:

* ``lock``           held with flock(2) by the serving process as long as it lives: only this says who is alive,
                     a process id may have been given to somebody else;
* ``instance.json``  what is served, written when the mounts answer;
* ``control.sock``   commands, see `control_socket`;
* ``containers/``    where the cached connection is mounted.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from typing import Final

from cgroup_model.keys import escape_path
from cgscope.errors import Failure, UsageError
from cgscope.state import CONTROL, DEFAULT_STATE_DIR, RECORD, SERVICE, STATE_DIR_VARIABLE, automatic, elsewhere, folders

__all__ = ["DEFAULT_STATE_DIR", "STATE_DIR_VARIABLE", "Claim", "Instance", "Registry"]

DEFAULT_MOUNTPOINT: Final = "/var/lib/procfs-fuse"

FILE_SYSTEM: Final = "fuse.procfs-fuse"
"""What ``/proc/self/mountinfo`` calls our mounts: `transport.mounting` without its imports."""
USERS_LOCK: Final = "users"
"""File in the automatic instance's directory on which every launcher that uses it holds a shared flock(2)."""

_MOST_LINKS: Final = 40  # as many as the kernel follows
_LOCK: Final = "lock"
HANDOVER: Final = "handover.sock"
_LEFTOVERS: Final = ("lives", "log", "log.old", "attach.lock", HANDOVER)
_LOCK_PATIENCE_SECONDS: Final = 1.0  # whoever looks whether we are alive holds our lock for a moment


@dataclass(frozen=True, slots=True)
class Instance:
    """One served file system."""

    directory: str  # of its state
    mountpoint: str
    pid: int
    started_at: float  # seconds since the epoch
    transport: str = "kernel"
    automatic: bool = False  # started by `run`, stops with its last container

    @property
    def control(self) -> str:
        """Path of the control socket."""
        return os.path.join(self.directory, CONTROL)

    @property
    def service(self) -> str:
        """Path of the socket on which the process that serves answers, as long as there is one."""
        return os.path.join(self.directory, SERVICE)

    @property
    def containers(self) -> str:
        """Where the cached connection shows a directory for each container."""
        return os.path.join(self.directory, "containers")

    @property
    def alive(self) -> bool:
        """Whether its process holds the lock now."""
        return is_locked(os.path.join(self.directory, _LOCK))


def canonical(mountpoint: str) -> str:
    """An absolute mount point without symbolic links.

    What the last component leads to is not looked at: that would ask the file system that is, or was, mounted there.
    """
    path = os.path.abspath(mountpoint)
    for _ in range(_MOST_LINKS):
        parent, name = os.path.split(path)
        path = os.path.join(os.path.realpath(parent), name)
        try:
            target = os.readlink(path)  # a directory on FUSE says that it is no link without asking its server
        except OSError:
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), target))
    return path


def is_locked(path: str) -> bool:
    """Whether a process holds an exclusive flock(2) on this file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def private_directory(path: str) -> str:
    """Make a directory that only we may enter, or check that it is one; returns ``path``.

    Raises Failure when it belongs to somebody else: a control socket there would be theirs.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Failure(f"{path} is not a directory that only its owner, you, can write to", "choose another --state-dir")
    return path


class Registry:
    """The instances below one state directory."""

    def __init__(self, base: str | None = None) -> None:
        chosen = base or os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR
        self.base = os.path.abspath(chosen)

    def directory_for(self, mountpoint: str) -> str:
        """The state directory of an instance at ``mountpoint`` (canonical)."""
        if mountpoint == DEFAULT_MOUNTPOINT:
            return self.base
        if mountpoint == self.automatic_mountpoint:
            return self.automatic_directory
        return os.path.join(elsewhere(self.base), escape_path(mountpoint))

    @property
    def automatic_directory(self) -> str:
        """State of the instance that ``run`` starts when none is mounted."""
        return automatic(self.base)

    @property
    def automatic_mountpoint(self) -> str:
        """Where that instance is mounted."""
        return os.path.join(self.automatic_directory, "mount")

    def recorded(self) -> list[Instance]:
        """Every instance with a record, dead ones included, the default one first."""
        return [found for directory in folders(self.base) if (found := _read_record(directory))]

    def alive(self) -> list[Instance]:
        """The instances that are being served now."""
        return [instance for instance in self.recorded() if instance.alive]

    def find(self, mountpoint: str) -> Instance | None:
        """The instance recorded for a mount point, dead or alive."""
        names = {canonical(mountpoint), os.path.abspath(mountpoint)}
        return next((instance for instance in self.recorded() if instance.mountpoint in names), None)

    def select(self, mountpoint: str | None) -> Instance:
        """The live instance at ``mountpoint``; without one, the only live instance. Raises Failure or UsageError."""
        alive = self.alive()
        if mountpoint is not None:
            found = self.find(mountpoint)
            if found in alive and found is not None:
                return found
            raise Failure(f"nothing of ours is mounted at {mountpoint}", known(alive))
        chosen = self.preferred(alive)
        if chosen is None:
            raise Failure("no procfs-fuse is mounted", "start one with: procfs-fuse mount")
        return chosen

    def preferred(self, alive: list[Instance]) -> Instance | None:
        """The one instance an operator mounted, else the automatic one, else None; several: UsageError."""
        mounted = [instance for instance in alive if not instance.automatic]
        if len(mounted) > 1:
            raise UsageError("several instances are mounted", f"name one of them; {known(mounted)}")
        return next(iter(mounted or alive), None)


def known(instances: list[Instance]) -> str:
    """The mount points of these instances in words."""
    if not instances:
        return "none is mounted; start one with: procfs-fuse mount"
    return "mounted: " + ", ".join(instance.mountpoint for instance in instances)


class Claim:
    """The right to be the instance of one state directory, held until `release` or the death of all who inherited it.

    ``descriptor`` is that of a claim which another program, executed before in this process, had made.
    """

    def __init__(self, directory: str, descriptor: int | None = None) -> None:
        self.directory = private_directory(directory)
        if descriptor is not None:
            self.descriptor = descriptor
            return
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while not self._try():
            if time.monotonic() > deadline:
                raise Failure(self._occupied())
            time.sleep(0.01)

    def _try(self) -> bool:
        """Take the lock, unless somebody has it, or its file was removed meanwhile with the instance before us."""
        private_directory(self.directory)
        path = os.path.join(self.directory, _LOCK)
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return False
        if _try_lock(self.descriptor):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(self.descriptor)):
                    return True
        os.close(self.descriptor)
        return False

    def move_behind(self, descriptor: int) -> None:
        """Have a higher descriptor than this one: a process that dies closes the lower ones first.

        Whoever sees the lock free then knows that the other one is closed, too.
        """
        behind = fcntl.fcntl(self.descriptor, fcntl.F_DUPFD_CLOEXEC, descriptor + 1)
        os.close(self.descriptor)
        self.descriptor = behind

    def _occupied(self) -> str:
        owner = _read_record(self.directory)
        if owner is None:
            return f"another procfs-fuse is starting or stopping in {self.directory}"
        return f"{owner.mountpoint} is already served by procfs-fuse, process {owner.pid}"

    def publish(self, instance: Instance) -> None:
        """Write the record: from now on other commands find this instance."""
        path = os.path.join(self.directory, RECORD)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(asdict(instance), file)
        os.replace(f"{path}.new", path)

    def release(self, *, keeps_state: bool = False) -> None:
        """Withdraw the record, remove the state, unless somebody is to read it (``keeps_state``), let the lock go."""
        forget(self.directory)
        if not keeps_state:
            remove(self.directory)
        os.close(self.descriptor)


def forget(directory: str) -> None:
    """Remove what an instance left in its state directory, but for the lock: others may wait for it."""
    for name in (RECORD, CONTROL, SERVICE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, name))


def remove(directory: str) -> None:
    """Remove the state directory of an instance that has ended, and what is in it; that of `run` and the base stay.

    Whoever calls has the lock, or knows that nobody has.
    """
    if os.path.basename(os.path.dirname(directory)) != "instances":
        return
    for name in (*_LEFTOVERS, _LOCK):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(directory, name))
    for place in (os.path.join(directory, "containers"), directory):
        with contextlib.suppress(OSError):  # something is in it, or still mounted on it
            os.rmdir(place)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_record(directory: str) -> Instance | None:
    """The record in a state directory; None without one, or when it is not ours to understand."""
    try:
        with open(os.path.join(directory, RECORD), encoding="utf-8") as file:
            record = json.load(file)
        return Instance(**{**record, "directory": directory})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
