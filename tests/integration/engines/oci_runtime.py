"""runc and crun without an engine: bundles made here, containers in cgroups of the tests' own."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.command_line import eventually
from tests.integration.engines import cgroup_view, programs
from tests.integration.engines.truth import LIMITS, Limits

PERIOD_USEC = 100_000
PARENT = f"/cgscope-oci-{os.getpid()}"


@dataclass(slots=True)
class Runtime:
    """One runtime, with its state in a folder of the test's."""

    program: Tool
    folder: Path
    wrapper: Sequence[str] = ()  # words of another runtime in front
    environment: Mapping[str, str] = field(default_factory=dict)
    binds: dict[str, str] = field(default_factory=dict)  # what of the machine is to be seen elsewhere, too

    def words(self, *arguments: str) -> list[str]:
        """A whole command line, in a mount namespace with ``binds``; crun sees no unified hierarchy beside v1's."""
        runtime = [*self.wrapper] if self.wrapper else [self.program.path]
        words = [*runtime, "--root", str(self.folder / "runtime"), *arguments]
        mounts = discover_mounts()
        refuses = os.path.basename(self.program.path) == "crun" and mounts.world == "hybrid"
        script = cgroup_view.script(one for one in mounts.hierarchies if one.version == 1) if refuses else ""
        script += "".join(f"mount --bind {source} {place}\n" for source, place in self.binds.items())
        if not script:
            return words
        return [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            f'set -e\n{script}exec "$@"',
            "sh",
            *words,
        ]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end; containers that go on have no pipe of ours."""
        environment = {**self.program.env, **self.environment}
        return programs.finished(self.words(*arguments), environment, self.folder)


@dataclass(slots=True)
class Container:
    """A container of a runtime, which sleeps until it is told to do something."""

    runtime: Runtime
    id: str
    cgroup: str

    @property
    def pid(self) -> int:
        """Its first process."""
        return int(json.loads(programs.said(self.runtime("state", self.id)))["pid"])

    def sh(self, command: str) -> str:
        """Output of a shell command inside."""
        return programs.said(self.runtime("exec", self.id, "sh", "-c", command))

    def close(self) -> None:
        """Kill it, and see to it that its cgroup is gone: runc gives up when its last process takes long to end."""
        self.runtime("delete", "--force", self.id)
        discard(self.cgroup)


@contextlib.contextmanager
def started(
    runtime: Runtime,
    rootfs: Path,
    name: str = "one",
    limits: Limits = LIMITS,
    cgroup: str = "",
    **changes: Any,  # noqa: ANN401
) -> Iterator[Container]:
    """A running container; ``changes`` are members of config.json."""
    cgroup = cgroup or cgroup_of(name)
    folder = bundle(runtime.folder / name, rootfs, cgroup, limits, **changes)
    container = Container(runtime, f"cgscope-{os.getpid()}-{name}", cgroup)
    try:
        programs.said(runtime("run", "--detach", "--bundle", str(folder), container.id))
        yield container
    finally:
        container.close()


def cgroup_of(name: str) -> str:
    """Where a container is that says nothing else."""
    return f"{PARENT}/{name}"


def discard(cgroup: str) -> None:
    """Remove a cgroup and all below it from every hierarchy: engines leave the one above their containers' behind."""
    for place in _places(cgroup):
        assert eventually(partial(_removed, place)), place


def exists(cgroup: str) -> bool:
    """Whether any hierarchy has this cgroup."""
    return bool(_places(cgroup))


def _places(cgroup: str) -> list[str]:
    tops = ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*/"))
    return [place for top in tops if os.path.isdir(place := f"{top.rstrip('/')}{cgroup}")]


def _removed(directory: str) -> bool:
    for path, _folders, _files in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError:
            return False  # its last process is not reaped yet
    return True


def bundle(folder: Path, rootfs: Path, cgroup: str, limits: Limits = LIMITS, **changes: Any) -> Path:  # noqa: ANN401
    """Write a bundle whose container sleeps; ``changes`` are members of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {**configuration(rootfs, cgroup, limits), **changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def linux(rootfs: Path, name: str) -> dict[str, Any]:
    """The `linux` part of the configuration of a container that is called so."""
    found: dict[str, Any] = configuration(rootfs, cgroup_of(name))["linux"]
    return found


def with_user_namespace(config: dict[str, Any]) -> dict[str, Any]:
    """The `linux` part for a container whose root is nobody outside."""
    mapping = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
    namespaces = [*config["namespaces"], {"type": "user"}]
    return {**config, "namespaces": namespaces, "uidMappings": mapping, "gidMappings": mapping}


def configuration(rootfs: Path, cgroup: str, limits: Limits = LIMITS) -> dict[str, Any]:
    """The config.json of a container that sleeps."""
    capabilities = [f"CAP_{name}" for name in ("KILL", "SETFCAP", "SETGID", "SETUID", "SYS_CHROOT")]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sleep", "3600"],
            "env": ["PATH=/bin:/sbin", "PYTHONPATH=/image", "LD_PRELOAD="],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        },
        "root": {"path": str(rootfs), "readonly": False},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": resources(limits),
            "namespaces": [{"type": one} for one in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def resources(limits: Limits) -> dict[str, Any]:
    """The `linux.resources` of a configuration."""
    return {
        "memory": {"limit": limits.memory_bytes, "swap": limits.memory_bytes},
        "cpu": {"quota": int(limits.cpus * PERIOD_USEC), "period": PERIOD_USEC, "cpus": limits.cpuset},
        "pids": {"limit": limits.pids},
    }
