"""`procfs-fuse attach` and `detach` on processes with namespaces of their own, made by nobody's engine."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procfs_fuse import syscalls
from procfs_fuse.attach import repair
from procfs_fuse.attach.attachment import attach_from
from procfs_fuse.attach.containers import Machine
from procfs_fuse.attach.sources import Supply
from procfs_fuse.instances import Registry
from tests.integration.command_line import ANY_WORLD, NEEDS, REASON, CommandLine, eventually
from tests.integration.engines.unshared import Unshared, unshared

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

MEMORY = "MemTotal:         131072 kB"


@pytest.fixture
def command(instance: CommandLine) -> CommandLine:
    """The module's instance; what kills its server starts it again."""
    return instance


@pytest.fixture
def container() -> Iterator[Unshared]:
    """A container of 128 MiB and 50 tasks."""
    with unshared("attach") as container:
        yield container


def attach(command: CommandLine, target: object, *options: str) -> dict[str, Any]:
    """Attach one process; what was done."""
    done = command("attach", "--json", *options, f"pid:{target}")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["containers"][0]
    return found


def fates(outcome: dict[str, Any]) -> set[str]:
    """What happened to the files that this kernel has."""
    return {file["fate"] for file in outcome["files"]} - {"missing"}


def mounts_of_host() -> list[str]:
    """Where anything is mounted over the host's /proc or /sys."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted(point for point in points if point.startswith(("/proc", "/sys")))


def over_kernel_files(container: Unshared) -> list[str]:
    """All mounts on the container's /proc and /sys."""
    lines = Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(("/proc", "/sys"))]


def source(command: CommandLine) -> str:
    """What mountinfo calls the instance's mounts."""
    return f"procfs-fuse:{command.status()[0]['mountpoint']}"


def inside(command: CommandLine, container: Unshared) -> list[str]:
    """Where the instance's files are mounted in the container, its copies of the host's own mounts aside."""
    found = container.mountpoints(source(command))
    return [point for point in found if point.startswith(("/proc", "/sys/devices"))]


def test_attach_shows_limits_inside_and_nothing_to_the_host(command: CommandLine, container: Unshared) -> None:
    """The container sees its limits, also at paths that runc refuses; the host's /proc and /sys are untouched."""
    before, host_memory = mounts_of_host(), Path("/proc/meminfo").read_text().splitlines()[0]
    outcome = attach(command, container.pid)
    assert fates(outcome) == {"mounted"}
    assert MEMORY in container.sh("cat /proc/meminfo")
    assert int(container.sh("cat /proc/sys/kernel/threads-max")) == 50
    assert int(container.sh("cat /proc/sys/kernel/pid_max")) == 301
    pages = re.search(r"^nr_free_pages (\d+)", container.sh("cat /proc/vmstat"), re.MULTILINE)
    assert pages is not None
    assert int(pages[1]) * os.sysconf("SC_PAGE_SIZE") <= 128 << 20
    assert float(container.sh("cat /proc/uptime").split()[0]) < 600
    assert mounts_of_host() == before
    assert Path("/proc/meminfo").read_text().splitlines()[0] == host_memory


@ANY_WORLD
def test_mounts_are_read_only_and_restricted(command: CommandLine, container: Unshared) -> None:
    """What is mounted carries ro, nosuid, nodev and noexec; only pressure files may be written to."""
    attach(command, container.pid)
    for line in Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        point, options = head.split()[4:6]
        if tail.split()[1] == source(command) and point.startswith("/proc/"):
            assert {"nosuid", "nodev", "noexec"} <= set(options.split(",")), line
            assert ("ro" in options.split(",")) is not point.startswith("/proc/pressure/"), line


def test_attach_again_changes_nothing(command: CommandLine, container: Unshared) -> None:
    """A second attach keeps every file, and mounts nothing twice."""
    attach(command, container.pid)
    before = inside(command, container)
    assert fates(attach(command, container.pid)) == {"kept"}
    assert inside(command, container) == before
    assert len(set(before)) == len(before)


def test_detach_takes_everything_back(command: CommandLine, container: Unshared) -> None:
    """After detach no mount of ours is left in the container, the spare procfs included."""
    before = over_kernel_files(container)
    assert attach(command, container.pid)["spare"]
    done = command("detach", f"pid:{container.pid}")
    assert done.returncode == 0, done.stderr
    assert over_kernel_files(container) == before
    assert MEMORY not in container.sh("cat /proc/meminfo")


def test_two_attachers_at_once_mount_each_file_once(command: CommandLine, container: Unshared) -> None:
    """Whoever comes second finds the first one's files: nothing is mounted twice, nothing fails."""
    words = command.words("attach", f"pid:{container.pid}")
    running = [subprocess.Popen(words, env=command.environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(120) for process in running] == [0] * 4
    points = inside(command, container)
    assert points
    assert len(set(points)) == len(points)


def test_containers_can_be_made_in_an_attached_container(command: CommandLine, container: Unshared) -> None:
    """`unshare -Urpfm --mount-proc` works after attach as before; with the files alone the kernel says EPERM."""
    nested = ("unshare", "-Urpfm", "--mount-proc", "cat", "/proc/self/stat")
    if container.run(*nested).returncode:
        pytest.skip("this kernel makes no user namespaces")
    spare = attach(command, container.pid)["spare"]
    assert container.run(*nested).returncode == 0
    container.sh(f"umount {spare[0]}")
    assert container.run(*nested).returncode != 0, "the spare procfs is of no use"
    assert attach(command, container.pid)["spare"] == spare
    assert container.run(*nested).returncode == 0


def test_nesting_skip_leaves_proc_alone(command: CommandLine, container: Unshared) -> None:
    """With --nesting=skip nothing is mounted over a /proc that nested containers need, and no second one."""
    outcome = attach(command, container.pid, "--nesting", "skip")
    assert outcome["spare"] == []
    assert {file["fate"] for file in outcome["files"] if file["path"].startswith("/proc/")} == {"skipped"}
    assert not [point for point in inside(command, container) if point.startswith("/proc")]


def test_user_namespace(command: CommandLine) -> None:
    """A container with a user namespace of its own is attached like any other."""
    with unshared("attach-user", "--user", "--map-root-user") as container:
        assert "failed" not in fates(attach(command, container.pid))
        assert MEMORY in container.sh("cat /proc/meminfo")
        assert int(container.sh("cat /proc/sys/kernel/pid_max")) == 301


def test_host_is_refused(command: CommandLine) -> None:
    """The host's own processes are not attached: one clear line, and nothing is mounted."""
    before = mounts_of_host()
    with subprocess.Popen(["sleep", "60"]) as process:
        done = command("attach", f"pid:{process.pid}")
        process.kill()
    assert done.returncode == 1
    assert "host's own mount namespace" in done.stderr
    assert mounts_of_host() == before


def test_shared_mounts_do_not_reach_the_host(command: CommandLine) -> None:
    """A namespace whose /sys is a peer of somebody else's of the host is not mounted on: it would show there, too."""
    script = (
        "mount --make-rshared / && "  # of this private copy of the host's mounts only
        'exec "$@"'
    )
    outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    inner = (
        "unshare --mount --propagation unchanged sleep 600 & "
        'until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; '
        '"$@" pid:$!; code=$?; grep -c " /proc/meminfo \\| /sys/devices/system/cpu " /proc/self/mountinfo; kill $!'
    )
    words = command.words("attach", "--json")
    done = subprocess.run(
        [*outer, "sh", "-c", inner, "sh", *words],
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.endswith("\n0\n"), done.stdout + done.stderr
    assert "shared with the host" in done.stdout


def test_masked_paths_are_told_and_left(command: CommandLine, container: Unshared) -> None:
    """What the runtime masks stays masked: told, and no reason to fail but with --strict."""
    container.sh("mount --bind /dev/null /proc/vmstat && mount -t tmpfs none /sys/devices/system/cpu")
    outcome = attach(command, container.pid)
    told = {file["path"]: file["fate"] for file in outcome["files"]}
    assert told["/proc/vmstat"] == "masked"
    assert told["/sys/devices/system/cpu"] == "masked"
    assert told["/proc/meminfo"] == "mounted"
    assert container.sh("cat /proc/vmstat") == ""
    assert command("attach", "--strict", f"pid:{container.pid}").returncode == 1


def test_read_only_proc(command: CommandLine, container: Unshared) -> None:
    """A /proc that is mounted read-only is attached all the same."""
    container.sh(
        "mount -o remount,bind,ro /proc && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
    )
    attach(command, container.pid)
    assert MEMORY in container.sh("cat /proc/meminfo")
    assert int(container.sh("cat /proc/sys/kernel/pid_max")) == 301


def test_a_container_without_proc_is_not_mounted_on(command: CommandLine, container: Unshared) -> None:
    """Where /proc is no procfs nothing is put: there it would only be in the way of the real one."""
    container.sh("umount -l /proc; mount -t tmpfs none /proc && mkdir /proc/sys && : > /proc/meminfo")
    outcome = attach(command, container.pid)
    told = {file["path"]: (file["fate"], file["note"]) for file in outcome["files"]}
    assert told["/proc/meminfo"] == ("skipped", "/proc is tmpfs")
    assert told["/proc/stat"][0] == "missing"


def test_a_process_that_ended_is_gone(command: CommandLine, container: Unshared) -> None:
    """A container that ends is no error of the machine: one clear line."""
    container.end()
    done = command("attach", f"pid:{container.pid}")
    assert done.returncode == 1
    assert re.search(r"no process|ended", done.stderr), done.stderr


@ANY_WORLD
def test_a_container_that_ends_meanwhile_is_gone(command: CommandLine, container: Unshared) -> None:
    """One that ends between the first look at it and the mounts is told as gone, in whatever state it was."""
    instance = Registry(command.state_dir).select(None)
    with Machine() as machine:
        key = machine.key_of(container.path)

        def supply() -> Supply:
            made = Supply(instance, key)
            container.end()
            return made

        outcome = attach_from(instance, container.pid, supply)
    assert outcome.gone
    assert not outcome.files


def test_dead_mounts_are_repaired_by_the_next_attach(command: CommandLine, container: Unshared) -> None:
    """When all was killed and started again, dead mounts are replaced: by attach, or by the new server before it."""
    attach(command, container.pid)
    restart(command)
    assert fates(attach(command, container.pid)) <= {"repaired", "kept"}
    assert MEMORY in container.sh("cat /proc/meminfo")


def test_repair_heals_every_container(command: CommandLine, container: Unshared) -> None:
    """`repair` heals attached containers and such with binds of -v, then finds nothing more to do."""
    place = command.status()[0]["mountpoint"]
    with unshared("attach-bind") as bound:
        bound.sh(f"mount --bind {place}/proc/stat /proc/stat && mount -o bind {place} /mnt")
        attach(command, container.pid)
        restart(command)
        registry = Registry(command.state_dir)
        outcomes = repair(registry.select(None))  # the new server does the same: one of the two is first
        assert all(outcome.problem is None for outcome in outcomes.values())
        assert MEMORY in container.sh("cat /proc/meminfo")
        assert bound.sh("cat /proc/stat").startswith("cpu ")
        assert "proc" in bound.sh("ls /mnt").split()
        assert repair(registry.select(None)) == {}


def without_open_tree() -> None:
    """Be on a kernel before Linux 5.2, as far as can be told."""
    number, unknown = 428, 0x00050000 | errno.ENOSYS  # the same on all architectures; SECCOMP_RET_ERRNO
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, unknown), (0x06, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    set_seccomp, mode_filter = 22, 2  # prctl(2)
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    assert ctypes.CDLL(None).prctl(set_seccomp, mode_filter, program, 0, 0) == 0


def test_before_linux_5_2(command: CommandLine, container: Unshared) -> None:
    """Without open_tree(2) it is said what to do instead, and nothing is mounted: a bind cannot cross namespaces."""
    words = command.words("attach", f"pid:{container.pid}")
    done = subprocess.run(
        words, env=command.environment, preexec_fn=without_open_tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Linux 5.2" in done.stderr
    assert "hook" in done.stderr
    assert inside(command, container) == []
    shown = f"{command.status()[0]['mountpoint']}/proc/meminfo"
    assert bound_across(shown, container.pid, "/proc/meminfo") == errno.EINVAL


def bound_across(path: str, pid: int, place: str) -> int:
    """What the kernel says to a bind mount whose source is of another mount namespace (check_mnt, fs/namespace.c)."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        source, own = os.open(path, os.O_PATH), os.open("/proc/self/fd", os.O_PATH)
        syscalls.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), syscalls.CLONE_NEWNS)
        os.fchdir(own)  # the container's own /proc knows nothing of us
        syscalls.mount(str(source), place, flags=syscalls.MS_BIND)
    except OSError as error:
        os._exit(error.errno or 255)
    os._exit(0)


def restart(command: CommandLine) -> None:
    """Kill all that serves, since what is left of it replaces its dead, and start it again at the same place."""
    (instance,) = command.status()
    everything = [instance["keeper_pid"], instance["nursery_pid"], *instance["worker_pids"]]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in filter(None, everything):
            os.kill(pid, number)
    assert eventually(lambda: command.status()[0]["state"] == "dead")
    started = command("mount", instance["mountpoint"])
    assert started.returncode == 0, started.stderr
