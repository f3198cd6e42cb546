"""Podman: the hook of hooks.d, attach by name, pods, user namespaces, a read-only root."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from procfs_fuse.integrations import runtime_wrapper
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import rootfs, shown_by, truth
from tests.integration.engines.podman import IMAGE, Podman
from tests.integration.engines.truth import Limits
from tests.integration.engines.watching import watching
from tests.integration.reach import let_others_in

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]


@pytest.fixture(scope="module")
def podman(
    tmp_path_factory: pytest.TempPathFactory,
    tool: Callable[[str], Tool],
    root_file_system: Path,
    instance: CommandLine,
) -> Iterator[Podman]:
    """A Podman of the module's own, with our hook for containers with the annotation."""
    folder = let_others_in(tmp_path_factory.mktemp("podman"))
    archive = rootfs.archive(root_file_system, folder / "root.tar")
    podman = Podman.prepare(tool, folder, archive)
    document = {
        "version": "1.0.0",
        "hook": runtime_wrapper.hook(["--strict", *shown_by.options(instance)]),
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
    podman.must("pod", "create", "--name", "pod", "--share", "pid", "--cgroup-parent", podman.parent)
    binds = shown_by.volumes(instance)
    sizes = {"first": Limits(memory_bytes=64 << 20), "second": Limits(memory_bytes=96 << 20)}
    for name, limits in sizes.items():
        podman.run(name, "--pod", "pod", *(binds if name == "second" else ()), limits=limits)
    done = instance("attach", f"pid:{podman.pid('first')}")
    assert done.returncode == 0, done.stderr
    assert os.readlink(f"/proc/{podman.pid('first')}/ns/pid") == os.readlink(f"/proc/{podman.pid('second')}/ns/pid")
    for name, limits in sizes.items():
        assert f"{limits.memory_bytes >> 10} kB" in podman.sh(name, "grep MemTotal /proc/meminfo")


MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: kube
spec:
  shareProcessNamespace: true
  containers:
  - name: attached
    image: {image}
    imagePullPolicy: Never
    command: [/bin/sleep, "3600"]
    resources: {{limits: {{memory: 64Mi, cpu: 500m}}}}
  - name: bound
    image: {image}
    imagePullPolicy: Never
    command: [/bin/sleep, "3600"]
    resources: {{limits: {{memory: 96Mi, cpu: 1500m}}}}
    volumeMounts:
    - {{name: meminfo, mountPath: /proc/meminfo, readOnly: true}}
  volumes:
  - name: meminfo
    hostPath: {{path: {mountpoint}/proc/meminfo, type: File}}
"""


def test_play_kube(podman: Podman, instance: CommandLine) -> None:
    """A manifest of Kubernetes: limits of each container are shown, by itself and by a hostPath volume."""
    manifest = podman.folder / "kube.yaml"
    manifest.write_text(MANIFEST.format(image=IMAGE, mountpoint=shown_by.mountpoint(instance)))
    with podman.default_parent(), watching(instance, "--engines", "podman") as watch:
        podman.must("play", "kube", "--network", "none", str(manifest))
        try:
            for name, memory_kib, cpus in (("attached", 64 << 10, 1), ("bound", 96 << 10, 2)):
                container = f"kube-{name}"
                assert eventually(partial(watch.knows, podman.cgroup(container)))
                assert podman.sh(container, "grep MemTotal /proc/meminfo").split()[1] == str(memory_kib)
                assert podman.sh(container, "grep -c ^processor /proc/cpuinfo") == f"{min(cpus, os.cpu_count() or 1)}\n"
        finally:
            podman.must("play", "kube", "--down", str(manifest))


def test_nothing_is_left(podman: Podman, instance: CommandLine) -> None:
    """After the containers' end no mount of ours is left in any namespace but the host's own."""
    podman.must("rm", "--all", "--force", "--time", "0")
    source = shown_by.source(instance)
    bound = []
    for place in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            bound += [line for line in place.read_text().splitlines() if f" {source} " in line and " /proc/" in line]
        except OSError:
            continue
    assert bound == []
