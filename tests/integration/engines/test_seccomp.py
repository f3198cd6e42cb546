"""runc, crun and Podman with our seccomp profile: what the kernel tells agrees with /proc."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.debian_tools import Tool
from tests.integration import asker
from tests.integration.command_line import NEEDS, REASON, CommandLine
from tests.integration.engines import oci_runtime, programs, rootfs, shown_by, truth
from tests.integration.engines.oci_runtime import Container, Runtime
from tests.integration.engines.podman import Podman
from tests.integration.sysinfo_agent import Agent, need_listeners

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

FindTool = Callable[[str], Tool]
SHOWN = ("/proc/meminfo", "/proc/uptime", "/proc/loadavg", "/proc/cpuinfo")  # what runtimes let anybody bind


@pytest.fixture(scope="module")
def root(root_file_system: Path, tool: FindTool) -> Path:
    """A root file system with the asking programs."""
    need_listeners()
    for program in (asker.build(root_file_system / "bin", tool), asker.build_with_musl(root_file_system / "bin", tool)):
        assert program.exists()
    shutil.copy(tool("nproc").path, root_file_system / "bin/real-nproc")
    return root_file_system


@pytest.fixture
def agent(instance: CommandLine, tmp_path: Path) -> Iterator[Agent]:
    """An agent that asks the tests' instance."""
    agent = Agent(instance, tmp_path, "--patience", "120s", "--watchdog", "120s")
    yield agent
    agent.close()


def profile(instance: CommandLine, agent: Agent, *options: str) -> dict[str, Any]:
    """What the command prints."""
    done = instance("seccomp-profile", "--socket", agent.socket, *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def started(
    runtime: Runtime,
    instance: CommandLine,
    rootfs: Path,
    seccomp: dict[str, Any],
    limits: truth.Limits = truth.LIMITS,
) -> Iterator[Container]:
    """A running container with the virtual files and the profile."""
    config = oci_runtime.configuration(rootfs, oci_runtime.cgroup_of("asked"), limits)
    place = shown_by.mountpoint(instance)
    mounts = [
        {"destination": path, "type": "bind", "source": f"{place}{path}", "options": ["bind", "ro"]} for path in SHOWN
    ]
    changes: dict[str, Any] = {"mounts": [*config["mounts"], *mounts], "linux": {**config["linux"], "seccomp": seccomp}}
    with oci_runtime.started(runtime, rootfs, "asked", limits, **changes) as container:
        yield container


def told(read: Callable[[str], str], programs_of_32_bits: bool) -> None:  # noqa: FBT001 - of a machine
    """Check all that is told inside."""
    total = truth.LIMITS.memory_bytes
    programs = ["asker", "asker-musl"]
    script = "; ".join(f"/bin/{program} agree; /bin/{program}" for program in programs)
    *said, _header, row, _swap, uptime = read(f"{script}; busybox free -b; busybox uptime").splitlines()
    assert said == ["agree", str(total)] * len(programs)
    if programs_of_32_bits:
        assert read("/bin/asker agree32").strip() == "agree"
    numbers = [int(word) for word in re.findall(r"\d+", row)]
    assert numbers[0] == total
    assert numbers[1] + numbers[2] + numbers[4] == total
    assert " up 0 min" in uptime


def test_runtimes(runtime: Runtime, instance: CommandLine, agent: Agent, root: Path) -> None:
    """In containers of either runtime the kernel tells what /proc tells."""
    with started(runtime, instance, root, profile(instance, agent)) as container:
        told(container.sh, asker.runs_32_bit(root / "bin/asker"))
        assert int(container.sh("/bin/asker mask 8192").split()[2]) == len(truth.LIMITS.cpuset.split(","))
        assert agent.status["listeners"] >= 1
    assert agent.status["continued"] == 0


def test_affinity(runtime: Runtime, instance: CommandLine, agent: Agent, root: Path) -> None:
    """A profile that asks for it cuts masks to the quota's CPUs: for nproc, and raw as Go's runtime reads it."""
    limits = truth.Limits(cpuset=f"0-{(os.cpu_count() or 1) - 1}")
    with started(runtime, instance, root, profile(instance, agent, "--affinity"), limits) as container:
        said = container.sh("/bin/asker mask 8192; /bin/real-nproc; /bin/asker again").split()
        assert said[1:] == ["ok", "1", "1", "same"]


def test_no_agent_no_container(runtime: Runtime, instance: CommandLine, root: Path, tmp_path: Path) -> None:
    """Documented: without an agent a container whose profile names one does not start, and the runtime says why."""
    done = instance("seccomp-profile", "--socket", str(tmp_path / "nobody.sock"))
    with (
        pytest.raises(AssertionError, match="seccomp"),
        started(runtime, instance, root, json.loads(done.stdout)),
    ):
        pass


def test_the_runtime_in_front(runtime: Runtime, instance: CommandLine, root: Path, tmp_path: Path) -> None:
    """For engines whose profiles cannot name an agent: `oci-runtime --sysinfo` adds it, only where one answers."""
    options = ["--strict", "--runtime", runtime.program.path, *shown_by.options(instance), "--sysinfo"]
    runtime.wrapper = [str(shown_by.script(tmp_path / "front", instance, "oci-runtime", *options))]
    with pytest.raises(AssertionError, match="no agent answers"), started(runtime, instance, root, {}):
        pass
    agent = Agent(instance, Path(instance.state_dir), "--patience", "120s", name="seccomp.sock")
    base = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sysinfo"], "action": "SCMP_ACT_ALLOW"}]}
    with started(runtime, instance, root, base) as container:
        told(container.sh, programs_of_32_bits=False)
    assert agent.status["continued"] == 0
    agent.close()


def test_podman(instance: CommandLine, agent: Agent, root: Path, tool: FindTool, tmp_path: Path) -> None:
    """`podman run --security-opt seccomp=FILE` takes the profile merged into the distribution's own."""
    base = next((path for path in map(Path, DISTRIBUTION_PROFILES) if path.exists()), None)
    merge = ("--merge", str(base)) if base else ()
    (tmp_path / "profile.json").write_text(json.dumps(profile(instance, agent, *merge)))
    podman = Podman.prepare(tool, tmp_path, rootfs.archive(root, tmp_path / "root.tar"))
    script = "asker agree; asker-musl agree; busybox free -b; busybox uptime; asker"
    options = [f"--security-opt=seccomp={tmp_path}/profile.json", *shown_by.volumes(instance, SHOWN)]
    options += [*programs.limits_of(truth.LIMITS), "--cgroup-parent", podman.parent]
    try:
        said = podman.must("run", "--rm", *options, podman.image, "/bin/sh", "-c", script)
        first, second, _header, row, _swap, uptime, total = said.splitlines()
        assert (first, second) == ("agree", "agree")
        assert row.split()[1] == total == str(truth.LIMITS.memory_bytes)
        assert " up 0 min" in uptime
        assert agent.status["continued"] == 0
    finally:
        podman.close()


DISTRIBUTION_PROFILES = ("/usr/share/containers/seccomp.json", "/etc/containers/seccomp.json")
