"""`attach --all --watch`: every new container is attached by itself, and nothing else is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cgroup_model.control import Limits, add_process, apply, create, remove
from cgroup_model.mounts import discover_mounts
from procfs_fuse.attach.attachment import attach_from
from procfs_fuse.attach.containers import Machine
from procfs_fuse.attach.outcome import Fate
from procfs_fuse.attach.preparations import Preparations
from procfs_fuse.instances import Registry
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import oci_runtime, truth
from tests.integration.engines.oci_runtime import Container, Runtime
from tests.integration.engines.unshared import unshared
from tests.integration.engines.watching import watching

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

PARENT = f"/cgscope-watch-{os.getpid()}"


def container_id(number: int) -> str:
    """An id like an engine's; its beginning tells it from others."""
    return f"{number:08x}".ljust(64, "0")


@pytest.fixture
def runc(tmp_path: Path, tool: Callable[[str], Tool]) -> Iterator[Runtime]:
    """Runc, for containers in cgroups that are called like Docker's."""
    yield Runtime(tool("runc"), tmp_path)
    oci_runtime.discard(PARENT)


def started(runc: Runtime, rootfs: Path, number: int) -> AbstractContextManager[Container]:
    """A running container that looks like one of Docker's."""
    name = container_id(number)
    return oci_runtime.started(runc, rootfs, name, cgroup=f"{PARENT}/docker/{name}")


def sees_limit(container: Container) -> bool:
    """Whether a container is shown its memory limit."""
    return f"{truth.LIMITS.memory_bytes >> 10} kB" in container.sh("grep MemTotal /proc/meminfo")


def test_new_containers_are_attached(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A container that runs already and one that comes later are both shown their limits, without being asked for."""
    with started(runc, root_file_system, 1) as early, watching(instance) as watch:
        assert eventually(lambda: watch.knows(early.cgroup))
        with started(runc, root_file_system, 2) as late:
            assert eventually(lambda: watch.knows(late.cgroup))
            truth.shown(early.sh, path=early.cgroup)
            truth.shown(late.sh, path=late.cgroup)


def test_without_events_they_are_found_all_the_same(
    runc: Runtime, root_file_system: Path, instance: CommandLine
) -> None:
    """Where the process connector is not to be had (here: another network namespace) cgroups are looked at instead."""
    words = instance.words
    instance.words = lambda *arguments: ["unshare", "--net", *words(*arguments)]  # type: ignore[method-assign]
    try:
        with watching(instance) as watch:
            assert watch.report["events"] is False
            with started(runc, root_file_system, 3) as container:
                assert eventually(lambda: watch.knows(container.cgroup))
                truth.shown(container.sh, path=container.cgroup)
    finally:
        instance.words = words  # type: ignore[method-assign]


def test_rules_and_opting_out(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """An excluded container and one of another engine are left alone, also when others come and go around them."""
    excluded = container_id(5)
    with (
        watching(instance, "--engines", "docker", "--exclude", f"name:{excluded[:12]}") as watch,
        started(runc, root_file_system, 5) as left_alone,
        started(runc, root_file_system, 6) as wanted,
    ):
        assert eventually(lambda: watch.knows(wanted.cgroup))
        assert not sees_limit(left_alone)
    with watching(instance, "--engines", "podman") as watch, started(runc, root_file_system, 7) as docker:
        assert instance("attach", "--all", "--exclude", "engine:docker").returncode == 0
        assert not sees_limit(docker)
        assert not watch.knows(docker.cgroup)
        assert not watch.failed(docker.cgroup)


def test_the_host_is_never_attached(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """Services and sessions with mounts of their own, but the machine's root, are nobody's containers."""
    with (
        watching(instance) as watch,
        unshared("watch-host") as session,
        started(runc, root_file_system, 8) as container,
    ):
        assert eventually(lambda: watch.knows(container.cgroup))
        assert "/proc/meminfo" not in session.mountpoints(f"procfs-fuse:{instance.status()[0]['mountpoint']}")


def test_a_pod_of_the_server_is_never_attached(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A container with the server's private mount reads the machine's files, which must not be answers of its own.

    One that had it only in the beginning, as a runtime's process on the machine's mounts has, is attached later.
    """
    private = str(Path(instance.status()[0]["state_dir"]) / "containers")
    name = container_id(11)
    mounts = [
        *oci_runtime.configuration(root_file_system, name)["mounts"],
        {"destination": f"/{Path(private).parts[1]}", "type": "tmpfs", "source": "tmpfs"},
        {"destination": private, "source": private, "options": ["rbind"]},
    ]
    with (
        watching(instance) as watch,
        oci_runtime.started(runc, root_file_system, name, cgroup=f"{PARENT}/docker/{name}", mounts=mounts) as server,
        started(runc, root_file_system, 12) as container,
    ):
        assert eventually(lambda: watch.knows(container.cgroup))
        assert not sees_limit(server)
        assert not watch.knows(server.cgroup)
        assert not watch.failed(server.cgroup)
        enter = ["nsenter", "--target", str(server.pid), "--mount", "umount", private]
        subprocess.run(enter, check=True)
        server.sh("true")
        assert eventually(lambda: watch.knows(server.cgroup))


def test_what_cannot_be_attached_is_reported_once(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A container whose mounts cannot be made is in the report and in the log, once, with the reason."""
    mounts, limited = discover_mounts(), f"{PARENT}-limited"
    create(mounts, limited)
    try:
        with (
            watching(instance, "--engines", "podman,docker", "--exclude", "label:none") as watch,
            started(runc, root_file_system, 9) as container,
        ):
            assert eventually(lambda: watch.knows(container.cgroup))
            apply(mounts, limited, Limits(pids=1))  # it cannot make helper processes any more
            add_process(mounts, limited, watch.process.pid)
            with started(runc, root_file_system, 10) as another:
                assert eventually(lambda: watch.failed(another.cgroup))
                assert not watch.failed(container.cgroup)
                assert watch.report["failed_total"]["helper"]
                assert eventually(
                    lambda: watch.log.count(f"cannot attach docker:{Path(another.cgroup).name[:12]}") == 1
                )
    finally:
        remove(mounts, limited)


def test_what_was_made_ready_is_what_is_mounted(instance: CommandLine) -> None:
    """Files made ready for a cgroup are for that one only, are used once, and leave no descriptor behind."""
    served = Registry(instance.state_dir).select(None)
    with unshared("watch-ready") as container, Machine() as machine:
        cgroup, key = machine.tree.cgroup(container.path), machine.key_of(container.path)
        before = len(os.listdir("/proc/self/fd"))
        ready = Preparations(served, machine.tree.mounts)
        ready.begin(cgroup, key)
        while ready.next_look is not None:
            ready.go_on()
        assert ready.take(replace(cgroup, inode=cgroup.inode + 1)) is None
        supply = ready.take(cgroup)
        assert supply is not None
        made = [clone.target for clone in supply.clones()]
        assert "/proc/meminfo" in made
        assert ready.take(cgroup) is None
        before_attaching = asked(instance)
        outcome = attach_from(served, container.pid, lambda: supply)
        assert asked(instance) == before_attaching, "while a container waits, nothing is asked of the server"
        assert not supply.is_outgrown()
        assert [one.path for one in outcome.files if one.fate is Fate.MOUNTED] == made
        assert f"{128 << 10} kB" in container.sh("grep MemTotal /proc/meminfo")
        ready.begin(cgroup, key)
        ready.go_on()
        ready.drop(container.path)
        assert ready.next_look is None
        assert len(os.listdir("/proc/self/fd")) == before


def asked(instance: CommandLine) -> dict[str, int]:
    """How often the kernel asked for a name, a listing or attributes so far."""
    operations = instance.status()[0]["operations"].values()
    kinds = ("lookup", "getattr", "readdir", "readlink", "open", "read")
    return {kind: sum(one.get(kind, 0) for one in operations) for kind in kinds}


def churn(runc: Runtime, rootfs: Path, instance: CommandLine, count: int) -> None:
    """Start and end containers as fast as it goes; every one that lives is attached, and nothing is left."""
    with watching(instance, "--engines", "docker") as watch:
        with started(runc, rootfs, 1000) as first:
            assert eventually(lambda: watch.knows(first.cgroup))
        descriptors, memory = watch.descriptors, watch.resident_bytes
        for number in range(count):
            with started(runc, rootfs, 2000 + number) as short:
                if number % 4 == 0:
                    assert eventually(partial(watch.knows, short.cgroup))
        assert eventually(lambda: not [one for one in watch.report["containers"] if one["cgroup"].startswith(PARENT)])
        assert eventually(lambda: watch.descriptors <= descriptors)
        assert watch.resident_bytes < memory + (8 << 20)
        assert watch.report["attached_total"] >= count // 4
        assert not any(watch.report["failed_total"].values())


def test_many_short_containers(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """Ten containers in a row: those that live are attached, nothing leaks, none is reported as failed."""
    churn(runc, root_file_system, instance, 10)


@pytest.mark.long
def test_very_many_short_containers(runc: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """The same with two hundred."""
    churn(runc, root_file_system, instance, 200)
