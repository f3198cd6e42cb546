"""Docker: `-v`, the runtime in front, attach, changed limits, a pid namespace that two containers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.engines import NO_CHECK, Resolver
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import daemons, rootfs, shown_by, truth
from tests.integration.engines.daemons import Docker
from tests.integration.engines.truth import LIMITS, Limits
from tests.integration.engines.watching import watching

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
    words = ["oci-runtime", "--strict", "--runtime", tool("runc").path, *shown_by.options(instance)]
    front = shown_by.script(folder / "front", instance, *words)
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
    binds = shown_by.volumes(instance, mode="rw") + shown_by.volumes(instance, ["/sys/devices/system/cpu"])
    docker.run("bound", *binds)
    assert int(docker.sh("bound", "/bin/free -b").splitlines()[1].split()[1]) == LIMITS.memory_bytes
    assert docker.sh("bound", "/bin/cat /sys/devices/system/cpu/online") == "0\n"
    more = str(2 * LIMITS.memory_bytes)
    docker.must("update", "--memory", more, "--memory-swap", more, "bound")
    assert eventually(lambda: docker.sh("bound", "/bin/free -b").splitlines()[1].split()[1] == more)


def test_health_checks_are_told(docker: Docker) -> None:
    """As of now, by the file that dockerd before 26 writes after each check; the old word of a newer one is none."""
    root = docker.socket.parent
    (root / "etc/docker").mkdir(parents=True)
    (root / "etc/docker/daemon.json").write_text('{"data-root": "/data"}')
    options = ("--health-interval", "1s", "--health-timeout", "1s", "--health-retries", "1")
    docker.run("checked", "--health-cmd", "test -e /tmp/well", *options)
    docker.run("unchecked")
    resolver, checked = Resolver(str(root)), docker.cgroup("checked")
    if int(docker.must("version", "--format", "{{.Server.Version}}").split(".")[0]) < 26:
        assert eventually(lambda: resolver.health(checked, 1) == "unhealthy")
        docker.sh("checked", "touch /tmp/well")
        assert eventually(lambda: resolver.health(checked, 1) == "healthy")
    else:
        assert resolver.health(checked, 1) == "starting"
        assert eventually(lambda: resolver.health(checked, 1) is None)
    assert resolver.health(docker.cgroup("unchecked"), 2) == NO_CHECK
    docker.must("rm", "--force", "checked", "unchecked")


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
    with watching(instance, "--engines", "docker") as watch:
        path = f"{docker.parent}/{docker.run('self')}"
        assert eventually(lambda: watch.knows(path))
        truth.shown(lambda command: docker.sh("self", command), path=path)
