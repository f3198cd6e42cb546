"""Podman: the hook of hooks.d, attach by name, pods, user namespaces, a read-only root."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse.integrations import runtime_wrapper
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine
from tests.integration.engines import rootfs, truth
from tests.integration.engines.podman import IMAGE, Podman
from tests.integration.engines.truth import Limits

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

PLAIN_FILES = (
    "proc/meminfo",
    "proc/cpuinfo",
    "proc/stat",
    "proc/uptime",
    "proc/swaps",
    "proc/loadavg",
    "proc/diskstats",
)
"""What `-v` may bind with any runtime: lxcfs's list."""


@pytest.fixture(scope="module")
def podman(
    tmp_path_factory: pytest.TempPathFactory,
    tool: Callable[[str], Tool],
    root_file_system: Path,
    instance: CommandLine,
) -> Iterator[Podman]:
    """A Podman of the module's own, with our hook for containers with the annotation."""
    folder = tmp_path_factory.mktemp("podman")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    archive = rootfs.archive(root_file_system, folder / "root.tar")
    podman = Podman.prepare(tool("podman"), tool("runc"), tool("conmon"), folder, archive)
    (found,) = instance.status()
    options = ["--strict", f"--mount={found['mountpoint']}", f"--state-dir={instance.state_dir}"]
    document = {
        "version": "1.0.0",
        "hook": runtime_wrapper.hook(options),
        "when": {"annotations": {"^test$": "^hook$"}},
        "stages": ["createContainer"],
    }
    (folder / "hooks.d/procfs-fuse.json").write_text(json.dumps(document))
    yield podman
    podman.close()


def test_hook(podman: Podman) -> None:
    """A container with the hook is shown its limits from its first instruction; /proc/vmstat and the like included."""
    podman.run("hooked", "--annotation", "test=hook")
    truth.shown(lambda command: podman.sh("hooked", command), path=podman.cgroup("hooked"))
    assert "fuse.procfs-fuse" in podman.sh("hooked", "grep ' /proc/vmstat ' /proc/mounts")


def test_hook_with_a_read_only_root_and_a_private_cgroup_namespace(podman: Podman) -> None:
    """Neither a read-only root nor a cgroup namespace, which hides the container's path from the hook, matters."""
    podman.run("sealed", "--annotation", "test=hook", "--read-only", "--cgroupns", "private")
    truth.shown(lambda command: podman.sh("sealed", command), path=podman.cgroup("sealed"))


def test_attach_by_name(podman: Podman, instance: CommandLine) -> None:
    """`attach NAME` finds a running container, also one with a user namespace and with a read-only root."""
    podman.run("late", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--read-only")
    assert f"{truth.LIMITS.memory_bytes >> 10} kB" not in podman.sh("late", "grep MemTotal /proc/meminfo")
    done = instance("attach", podman.cgroup("late").rpartition("-")[2][:20])
    assert done.returncode == 0, done.stderr
    truth.shown(lambda command: podman.sh("late", command), path=podman.cgroup("late"))
    podman.must("rm", "--force", "--time", "0", "late")


def test_containers_of_a_pod_with_one_pid_namespace(podman: Podman, instance: CommandLine) -> None:
    """Each is shown its own limits, attached as well as with -v; lxcfs shows both those of the first process."""
    infra = ["--infra-image", IMAGE, "--infra-command", "/bin/sleep 3600"]
    podman.must("pod", "create", "--name", "pod", "--share", "pid", *infra)
    (found,) = instance.status()
    binds = [f"--volume={found['mountpoint']}/{path}:/{path}:ro" for path in PLAIN_FILES]
    sizes = {"first": Limits(memory_bytes=64 << 20), "second": Limits(memory_bytes=96 << 20)}
    for name, limits in sizes.items():
        podman.run(name, "--pod", "pod", *(binds if name == "second" else ()), limits=limits)
    done = instance("attach", f"pid:{podman.pid('first')}")
    assert done.returncode == 0, done.stderr
    assert os.readlink(f"/proc/{podman.pid('first')}/ns/pid") == os.readlink(f"/proc/{podman.pid('second')}/ns/pid")
    for name, limits in sizes.items():
        assert f"{limits.memory_bytes >> 10} kB" in podman.sh(name, "grep MemTotal /proc/meminfo")


def test_nothing_is_left(podman: Podman, instance: CommandLine) -> None:
    """After the containers' end no mount of ours is left in any namespace but the host's own."""
    podman.must("rm", "--all", "--force", "--time", "0")
    source = f"procfs-fuse:{instance.status()[0]['mountpoint']}"
    bound = []
    for place in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            bound += [line for line in place.read_text().splitlines() if f" {source} " in line and " /proc/" in line]
        except OSError:
            continue
    assert bound == []
