"""What can be done to a cgroup. Everything is asked for by name in a menu, confirmed, and done to that very cgroup.

A container that was removed and made again under the same path between the question and the answer is another one:
nothing is done to it. Limits and freezing go through `cgroup_model.control`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from cgroup_model import control
from cgroup_model.control.limits import LEAST_CPUS, MOST_CPUS
from cgroup_model.hierarchy import Tree
from cgroup_model.mounts import Mounts, OutOfSight
from cgroup_model.record import dataclass
from cgroup_model.snapshot import UNLIMITED, UnlimitedType
from cgroup_model.source import CgroupGone
from cgscope.errors import Failure, printable
from cgscope.quantities import parse_size

_MOST_SIGNAL: Final = 64
_MOST_DIGITS: Final = 19  # what fits into the kernel's 64 bits
_ATTACH_SECONDS: Final = 30
_PROCFS_FUSE: Final = "procfs-fuse"


@dataclass(frozen=True, slots=True)
class Target:
    """The cgroup that was selected when the menu opened."""

    path: str
    inode: int
    title: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What actions work with."""

    mounts: Mounts
    tree: Tree

    def checked(self, target: Target) -> None:
        """Raise `Failure` unless this very cgroup is still there."""
        try:
            alive = self.tree.cgroup(target.path).inode == target.inode
        except (CgroupGone, OutOfSight):
            alive = False
        if not alive:
            raise Failure(f"{target.title} is gone; nothing was done")


Do = Callable[[Machine, Target, str], str]


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of the menu. ``ask`` is the question for its argument, ``warning`` what the confirmation says.

    ``check`` raises ValueError for an argument that is none, before anything is confirmed.
    """

    name: str
    label: str
    warning: str
    do: Do
    ask: str = ""
    check: Callable[[str], object] = str


def perform(action: Action, machine: Machine, target: Target, argument: str) -> str:
    """Do it and say what was done; raises `Failure` with one line."""
    machine.checked(target)
    try:
        return action.do(machine, target, argument)
    except control.ControlError as error:
        raise Failure(str(error)) from error
    except (OSError, ValueError) as error:
        raise Failure(f"{action.label} of {target.title}: {error}") from error


def actions() -> list[Action]:
    """Everything that can be done on this machine."""
    found = list(_ALWAYS)
    if procfs_fuse() is not None:
        found += _VIRTUAL_PROC
    return found


def procfs_fuse() -> str | None:
    """The command that serves the virtual proc: beside this Python, as in a virtual environment, or in PATH."""
    beside = shutil.which(_PROCFS_FUSE, path=os.path.dirname(sys.executable))
    return beside or shutil.which(_PROCFS_FUSE)


# ----------------------------------------------------------------------------------------------- doing


def _freeze(machine: Machine, target: Target, _argument: str) -> str:
    control.freeze(machine.mounts, target.path)
    return f"{target.title} is frozen"


def _thaw(machine: Machine, target: Target, _argument: str) -> str:
    control.thaw(machine.mounts, target.path)
    return f"{target.title} runs again"


def _kill(machine: Machine, target: Target, _argument: str) -> str:
    control.kill(machine.mounts, target.path)
    return f"every process of {target.title} was killed"


def _signal(machine: Machine, target: Target, argument: str) -> str:
    number = parse_signal(argument)
    members = [pid for pid in control.procs(machine.mounts, target.path) if pid > 0]
    if os.getpid() in members:
        raise Failure(f"this ctop runs inside of {target.title}; nothing was done")
    sent = sum(_send(pid, number, machine, target) for pid in members)
    return f"{signal.Signals(number).name if number in set(signal.Signals) else number} sent to {sent} processes"


def _send(pid: int, number: int, machine: Machine, target: Target) -> bool:
    """Send to a process that is still a member once we hold on to it; its number may have another owner by now."""
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if pid not in control.procs(machine.mounts, target.path):
            return False
        signal.pidfd_send_signal(held, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(held)
    return True


def _limit_memory(machine: Machine, target: Target, argument: str) -> str:
    control.apply(machine.mounts, target.path, control.Limits(memory_bytes=parse_memory(argument)))
    return f"memory of {target.title} is limited to {argument.strip()}"


def _limit_cpus(machine: Machine, target: Target, argument: str) -> str:
    control.apply(machine.mounts, target.path, control.Limits(cpus=parse_cpus(argument)))
    return f"{target.title} may use {argument.strip()} CPUs"


def _limit_pids(machine: Machine, target: Target, argument: str) -> str:
    control.apply(machine.mounts, target.path, control.Limits(pids=parse_tasks(argument)))
    return f"{target.title} may have {argument.strip()} tasks"


def _run_procfs_fuse(command: str) -> Do:
    def do(_machine: Machine, target: Target, _argument: str) -> str:
        done = subprocess.run(
            [procfs_fuse() or _PROCFS_FUSE, command, target.path],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ATTACH_SECONDS,
            check=False,
        )
        said = (done.stderr if done.returncode else done.stdout).strip().splitlines()
        if done.returncode:
            raise Failure(said[-1] if said else f"procfs-fuse {command} failed")
        return printable(said[-1]) if said else f"procfs-fuse {command} {target.title}: done"

    return do


def parse_signal(text: str) -> int:
    """``TERM``, ``SIGTERM`` or ``15``; raises ValueError."""
    word = text.strip().upper()
    if word.isdecimal() and 1 <= int(word) <= _MOST_SIGNAL:
        return int(word)
    name = word if word.startswith("SIG") else f"SIG{word}"
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise ValueError(f"{text!r} is no signal; examples: TERM, HUP, 10") from None


def parse_memory(text: str) -> int | UnlimitedType:
    """``512M`` or ``max``; raises ValueError."""
    return UNLIMITED if text.strip() == "max" else parse_size(text)


def parse_cpus(text: str) -> float | UnlimitedType:
    """``0.5`` or ``max``; raises ValueError."""
    if text.strip() == "max":
        return UNLIMITED
    try:
        cpus = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of CPUs; examples: 0.5, 2, max") from None
    if not LEAST_CPUS <= cpus < MOST_CPUS:  # written so that NaN is refused, too
        raise ValueError(f"{text!r}: it takes {LEAST_CPUS:g} CPUs or more, or max")
    return cpus


def parse_tasks(text: str) -> int | UnlimitedType:
    """``100`` or ``max``; raises ValueError."""
    word = text.strip()
    if word == "max":
        return UNLIMITED
    if not (word.isascii() and word.isdecimal() and len(word) < _MOST_DIGITS):
        raise ValueError(f"{text!r} is no number of tasks; examples: 100, max")
    return int(word)


_ALWAYS: Final = (
    Action("freeze", "Freeze", "Every process in it stops until it is thawed.", _freeze),
    Action("thaw", "Thaw", "Its processes run again.", _thaw),
    Action(
        "signal", "Send a signal", "It goes to every process in it.", _signal,
        "Signal, such as TERM, HUP or 10", parse_signal,
    ),
    Action("kill", "Kill", "Every process in it is killed at once, without cleaning up.", _kill),
    Action(
        "memory", "Limit memory", "Below what it uses, the kernel reclaims and may kill.", _limit_memory,
        "Memory, such as 512M, 2G or max", parse_memory,
    ),
    Action("cpu", "Limit CPU", "Beyond that, it waits.", _limit_cpus, "CPUs, such as 0.5, 2 or max", parse_cpus),
    Action("pids", "Limit tasks", "Beyond that, fork fails.", _limit_pids, "Tasks, such as 100 or max", parse_tasks),
)  # fmt: skip

_VIRTUAL_PROC: Final = (
    Action(
        "attach",
        "Attach the virtual /proc",
        "Programs inside see their limits from now on.",
        _run_procfs_fuse("attach"),
    ),
    Action("detach", "Detach the virtual /proc", "Programs inside see the machine again.", _run_procfs_fuse("detach")),
)
