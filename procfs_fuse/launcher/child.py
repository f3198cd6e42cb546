"""What happens in the new process, from the fork to the exec of the container's command.

The process is pid 1 of its pid namespace from the start. It joins the container's cgroup as the very last thing:
pages that this interpreter touches afterwards would be charged to the container.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

from cgscope.errors import Failure, explain
from procfs_fuse import syscalls
from procfs_fuse.bindings import Bound
from procfs_fuse.descriptors import close_all_at_exec
from procfs_fuse.launcher import accounts, cgroup_view, rootfs
from procfs_fuse.launcher.accounts import Account
from procfs_fuse.launcher.container import Container
from procfs_fuse.seccomp.filter import NotPossible, install

PREPARED: Final = "prepared"
"""Key of the message that everything but the cgroup is ready; the answer is one byte, given when that has been joined.

With it comes the listener of the filter for system calls. The value is why there is none, or nothing.
"""

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_PYTHON_IGNORES: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start(
    container: Container, channel: socket.socket, mask: Collection[signal.Signals], *, own_group: bool
) -> NoReturn:
    """Become the container's first process, or say in one line on ``channel`` why not. Never returns.

    Signals must be blocked; the command starts with the signal mask ``mask``, and leads a process group if told to.
    """
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        if own_group:
            os.setpgid(0, 0)
        _become(container, channel, mask)
    except Failure as failure:
        _tell(channel, failure)
    except OSError as error:
        _tell(channel, Failure(f"cannot set up the container: {explain(error)}"))
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not return into the launcher
        _tell(channel, Failure(f"cannot set up the container: {type(error).__name__}: {error}"))
    finally:
        os._exit(1)


def _become(container: Container, channel: socket.socket, mask: Collection[signal.Signals]) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
    rootfs.make_private()
    if container.rootfs is None:
        _use_host_root(container)
    else:
        _use_own_root(container, container.rootfs)
    if container.hostname is not None:
        socket.sethostname(container.hostname)
    account = accounts.resolve(container.user, foreign_root=bool(container.rootfs)) if container.user else None
    environment = _environment(container, account)
    program = _find(container.command[0], environment.get("PATH", _DEFAULT_PATH))
    _report_prepared(channel, container.answered)
    if not channel.recv(1):
        os._exit(1)
    # Only now: a cgroup namespace is rooted in the cgroup that its first process is in (cgroup_namespaces(7)).
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)
    if account is not None:
        accounts.become(account)
        syscalls.set_parent_death_signal(signal.SIGKILL)  # the change of user made the kernel forget it
    _restore_signals(mask)
    _execute(program, container.command, environment)


def _report_prepared(channel: socket.socket, answered: Collection[str]) -> None:
    listeners, reason = [], ""
    if answered:
        try:
            listeners = [install(answered)]
        except NotPossible as error:
            reason = str(error)
    socket.send_fds(channel, [json.dumps({PREPARED: reason}).encode() + b"\n"], listeners)
    for listener in listeners:
        os.close(listener)


def _use_host_root(container: Container) -> None:
    views = Bound(container.files)
    instances = rootfs.instances()
    cgroup_view.replace_hosts(container.mounts, container.cgroup)
    rootfs.mount_proc()
    views.apply()
    rootfs.detach(instances)


def _use_own_root(container: Container, root: str) -> None:
    device_bindings = rootfs.device_bindings()
    devices = Bound(device_bindings)
    views = Bound([*container.files, *cgroup_view.in_fresh_root(container.mounts, container.cgroup)])
    rootfs.enter(root)
    rootfs.populate(devices, [binding.target for binding in device_bindings])
    cgroup_view.prepare_fresh_root(container.mounts)
    views.apply()
    rootfs.leave_host()
    close_all_at_exec()  # a directory of the host, left open by our caller, would be a way out of the root


def _environment(container: Container, account: Account | None) -> dict[str, str]:
    if container.rootfs is None:
        environment = dict(os.environ)
    else:
        environment = {"PATH": _DEFAULT_PATH, "HOME": "/root"}
        if (terminal := os.environ.get("TERM")) is not None:
            environment["TERM"] = terminal
    if account is not None:
        environment["HOME"] = account.home
        if account.name is not None:
            environment.update(USER=account.name, LOGNAME=account.name)
    return {**environment, **container.environment}


def _find(name: str, path: str) -> str:
    """The program's file, searched as execvp(3) does; raises Failure with a shell's exit code."""
    if "/" in name:
        return name
    refused = None
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory or ".", name)
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            refused = candidate
    if refused is not None:
        raise Failure(f"{refused} is not executable", code=NOT_EXECUTABLE)
    raise Failure(f"no command {name!r} in the container", f"its PATH is {path}", code=NOT_FOUND)


def _execute(program: str, command: tuple[str, ...], environment: Mapping[str, str]) -> NoReturn:
    try:
        os.execve(program, command, environment)  # noqa: S606 - that is the purpose
    except OSError as error:
        raise _why_not(program, error) from error


def _restore_signals(mask: Collection[signal.Signals]) -> None:
    """Undo what Python (SIGPIPE, SIGXFSZ) and the launcher did; what our caller ignored stays ignored."""
    for number in signal.Signals:
        if number in _PYTHON_IGNORES or callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _why_not(program: str, error: OSError) -> Failure:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        if os.path.exists(program):
            return Failure(f"cannot run {program}: its interpreter or loader does not exist", code=NOT_FOUND)
        return Failure(f"cannot run {program}: {error.strerror} in the container", code=NOT_FOUND)
    reason = "it is no program for this machine" if error.errno == errno.ENOEXEC else error.strerror
    return Failure(f"cannot run {program}: {reason}", code=NOT_EXECUTABLE)


def _tell(channel: socket.socket, failure: Failure) -> None:
    answer = {"message": failure.message, "advice": failure.advice, "code": failure.code}
    channel.sendall(json.dumps(answer).encode() + b"\n")
