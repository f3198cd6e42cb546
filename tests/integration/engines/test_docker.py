"""Docker: `-v`, the runtime in front, attach, changed limits, a pid namespace that two containers share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import daemons, rootfs, truth
from tests.integration.engines.daemons import Docker
from tests.integration.engines.test_podman import PLAIN_FILES
from tests.integration.engines.test_watch import Watch
from tests.integration.engines.truth import LIMITS, Limits

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]


@pytest.fixture(scope="module")
def docker(
    tmp_path_factory: pytest.TempPathFactory,
    tool: Callable[[str], Tool],
    root_file_system: Path,
    instance: CommandLine,
) -> Iterator[Docker]:
    """A dockerd of the module's own, with our runtime beside its usual one."""
    folder = tmp_path_factory.mktemp("docker")
    (found,) = instance.status()
    front = folder / "front"
    options = ["--strict", "--runtime", tool("runc").path]
    options += ["--mount", found["mountpoint"], "--state-dir", instance.state_dir]
    path = shlex.quote(instance.environment["PYTHONPATH"])
    front.write_text(
        f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.join(instance.words("oci-runtime", *options))} -- "$@"\n'
    )
    front.chmod(0o755)
    programs = {name: tool(name) for name in ("containerd", "dockerd", "docker")}
    archive = rootfs.archive(root_file_system, folder / "root.tar")
    with daemons.docker(programs, folder, archive, {"front": str(front)}) as docker:
        yield docker


def test_runtime_in_front(docker: Docker) -> None:
    """`--runtime` with ours in front of runc: all files from the first instruction on, and `docker exec` as ever."""
    docker.run("front", "--runtime", "front")
    truth.shown(lambda command: docker.sh("front", command), path=docker.cgroup("front"))
    assert "fuse.procfs-fuse" in docker.sh("front", "grep ' /proc/vmstat ' /proc/mounts")
    docker.must("stop", "--time", "0", "front")
    assert docker.must("inspect", "--format", "{{.State.Running}}", "front").strip() == "false"


def test_binds_and_changed_limits(docker: Docker, instance: CommandLine) -> None:
    """Plain `-v` shows the limits, as with lxcfs, and `docker update` is seen at once, without a restart."""
    (found,) = instance.status()
    binds = [f"--volume={found['mountpoint']}/{path}:/{path}:rw" for path in PLAIN_FILES]
    binds += [f"--volume={found['mountpoint']}/sys/devices/system/cpu:/sys/devices/system/cpu:ro"]
    docker.run("bound", *binds)
    assert int(docker.sh("bound", "/bin/free -b").splitlines()[1].split()[1]) == LIMITS.memory_bytes
    assert docker.sh("bound", "/bin/cat /sys/devices/system/cpu/online") == "0\n"
    more = str(2 * LIMITS.memory_bytes)
    docker.must("update", "--memory", more, "--memory-swap", more, "bound")
    assert eventually(lambda: docker.sh("bound", "/bin/free -b").splitlines()[1].split()[1] == more)


def test_attach_by_name_and_a_shared_pid_namespace(docker: Docker, instance: CommandLine) -> None:
    """Two containers in one pid namespace are each shown their own limits; lxcfs shows both the first one's."""
    small = Limits(memory_bytes=64 << 20)
    ids = [docker.run("one"), docker.run("two", "--pid", "container:one", limits=small)]
    for container in ids:
        done = instance("attach", container[:12])
        assert done.returncode == 0, done.stderr
    truth.shown(lambda command: docker.sh("one", command), path=docker.cgroup("one"))
    assert f"{small.memory_bytes >> 10} kB" in docker.sh("two", "grep MemTotal /proc/meminfo")


def test_attached_by_itself(docker: Docker, instance: CommandLine) -> None:
    """With the watcher a `docker run` without any option is shown its limits; a label keeps another one out of it."""
    watch = Watch(instance, "--engines", "docker")
    try:
        path = f"{docker.parent}/{docker.run('self')}"
        assert eventually(lambda: path in {one["cgroup"] for one in watch.report["containers"]})
        truth.shown(lambda command: docker.sh("self", command), path=path)
        assert watch.process.poll() is None
    finally:
        watch.close()
