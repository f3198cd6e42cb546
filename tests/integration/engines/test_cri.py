"""Pods of Kubernetes: containerd's CRI, as a kubelet uses it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse.integrations.install.containerd import CONFIG, SPECIFICATION
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import cri, daemons, oci_runtime, programs, rootfs, shown_by, truth
from tests.integration.engines.cri import Cri
from tests.integration.engines.truth import LIMITS, Limits
from tests.integration.engines.watching import watching

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

IMAGE = "localhost/box:1"
HANDLER = "procfs-fuse"
PARENT = f"/cgscope-cri-{os.getpid()}"
POD = f"{PARENT}/kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef"
SMALL = Limits(memory_bytes=64 << 20)
CONFIGURED = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
"""


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    tool: Callable[[str], Tool],
    root_file_system: Path,
    instance: CommandLine,
) -> Iterator[Cri]:
    """A containerd with the CRI plugin, the image, and what `install` writes for it."""
    folder = tmp_path_factory.mktemp("cri")
    ctr = tool("ctr")
    with daemons.containerd(tool("containerd"), folder / "run", installed(folder, ctr, instance), cri=True) as socket:
        archive = rootfs.image(root_file_system, folder / "image.tar", IMAGE)
        words = [ctr.path, "--address", str(socket), "--namespace", "k8s.io", "images", "import", str(archive)]
        programs.said(programs.finished(words, ctr.env, folder))
        service = Cri(tool("curl"), socket, folder, IMAGE)
        try:
            yield service
        finally:
            service.close()
    oci_runtime.discard(PARENT)


def installed(root: Path, ctr: Tool, instance: CommandLine) -> str:
    """The configuration after `install --engine containerd` into a tree: more than a version and what was in it."""
    (root / CONFIG[1:]).parent.mkdir(parents=True)
    (root / CONFIG[1:]).write_text(CONFIGURED)
    command = CommandLine(Path(instance.state_dir))
    command.environment["PATH"] = ctr.env["PATH"]
    options = ["--root", str(root), "--strict", "--mount", shown_by.mountpoint(instance)]
    for _ in range(2):  # the second time changes nothing
        done = command("install", "--engine", "containerd", *options)
        assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    specification = root / SPECIFICATION[1:]
    text = specification.read_text().replace('"--strict"', f'"--strict", "--state-dir={instance.state_dir}"')
    specification.write_text(text)
    return (root / CONFIG[1:]).read_text().replace(SPECIFICATION, str(specification)).removeprefix("version = 2\n")


def shown(service: Cri, container: str, limits: Limits) -> None:
    """Check what a container of a pod is shown; CRI has no limit of processes."""
    assert int(service.sh(container, "/bin/free -b").splitlines()[1].split()[1]) == limits.memory_bytes
    assert service.sh(container, "grep -c ^processor /proc/cpuinfo").strip() == "1"
    assert service.sh(container, "/bin/cat /proc/pressure/cpu").startswith("some ")
    assert "procfs-fuse" in service.sh(container, "grep ' /proc/sys/kernel/pid_max ' /proc/mounts")
    truth.control_files(lambda command: service.sh(container, command), limits, f"{POD}/{container}")


@pytest.mark.parametrize("pid", [cri.CONTAINER, cri.POD], ids=["own pid namespaces", "shareProcessNamespace"])
def test_pods_are_attached_by_themselves(service: Cri, instance: CommandLine, pid: int) -> None:
    """Each container of a pod is shown its own limits, also where all share the pod's pid namespace."""
    with watching(instance) as watch:
        pod = service.sandbox(f"shared-{pid}", POD, pid=pid)
        for name, limits in {"usual": LIMITS, "small": SMALL}.items():
            container = pod.run(name, limits)
            assert eventually(lambda container=container: watch.knows(f"{POD}/{container}"))  # type: ignore[misc]
            shown(service, container, limits)


def test_a_handler_with_the_hook(service: Cri) -> None:
    """With a RuntimeClass of our handler the files are there from the first instruction on, vmstat included."""
    container = service.sandbox("hooked", POD, handler=HANDLER).run("usual", LIMITS)
    shown(service, container, LIMITS)
    assert "fuse.procfs-fuse" in service.sh(container, "grep ' /proc/vmstat ' /proc/mounts")
