"""Podman with a configuration, storage and run-time folders of its own; it has no daemon."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from scripts.debian_tools import Tool
from tests.integration.engines import oci_runtime
from tests.integration.engines.truth import LIMITS, Limits

SECONDS = 180
IMAGE = "localhost/box:1"

_ENGINE = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
conmon_path = ["{conmon}"]
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/libpod"
volume_path = "{folder}/volumes"
hooks_dir = ["{folder}/hooks.d"]
no_pivot_root = false
[engine.runtimes]
runc = ["{runc}"]
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


@dataclass(slots=True)
class Podman:
    """The command, and what it was told to run."""

    program: Tool
    folder: Path
    parent: str = field(default_factory=lambda: f"/cgscope-podman-{os.getpid()}")

    @classmethod
    def prepare(cls, program: Tool, runc: Tool, conmon: Tool, folder: Path, archive: Path) -> Podman:
        """Write the configuration, and import the root file system as an image."""
        for name in ("hooks.d", "etc"):
            (folder / name).mkdir()
        names = {"folder": folder, "runc": runc.path, "conmon": conmon.path}
        (folder / "etc/containers.conf").write_text(_ENGINE.format(**names))
        (folder / "etc/storage.conf").write_text(_STORAGE.format(**names))
        (folder / "etc/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "etc/registries.conf").write_text("")
        podman = cls(program, folder)
        podman.must("import", "--quiet", "--change", "ENV PATH=/bin:/sbin", str(archive), IMAGE)
        return podman

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run podman to its end; what goes on in the background has no pipe of ours."""
        environment = {
            **self.program.env,
            "CONTAINERS_CONF": str(self.folder / "etc/containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "etc/storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "etc/registries.conf"),
            "XDG_RUNTIME_DIR": str(self.folder),
        }
        output = self.folder / "output"
        with output.open("w+", encoding="utf-8") as file:
            done = subprocess.run(
                [self.program.path, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=SECONDS,
                check=False,
            )
            file.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, file.read(), "")

    def must(self, *arguments: str) -> str:
        """Run podman; its output. It must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stdout}"
        return done.stdout

    def run(self, name: str, *options: str, limits: Limits = LIMITS) -> str:
        """Start a container that sleeps; its id."""
        chosen = ["--name", name, "--cgroup-parent", self.parent, *limits_of(limits), *options]
        output = self.must("run", "--detach", *chosen, IMAGE, "sleep", "3600")
        return output.strip().splitlines()[-1]

    def sh(self, name: str, command: str) -> str:
        """Output of a shell command in a container, which must succeed."""
        return self.must("exec", name, "sh", "-c", command)

    def pid(self, name: str) -> int:
        """The first process of a container."""
        return int(self.must("inspect", "--format", "{{.State.Pid}}", name))

    def cgroup(self, name: str) -> str:
        """The path of a container's cgroup."""
        lines = Path(f"/proc/{self.pid(name)}/cgroup").read_text().splitlines()
        return next(line.split(":", 2)[2] for line in lines if ":memory:" in line or line.startswith("0::"))

    def close(self) -> None:
        """Remove all containers, and their parent's cgroup."""
        self.must("rm", "--all", "--force", "--time", "0")
        self("pod", "rm", "--all", "--force")
        # Podman leaves its storage's own mount behind.
        subprocess.run(["umount", "--lazy", str(self.folder / "storage/overlay")], capture_output=True, check=False)
        oci_runtime.discard(self.parent)


def limits_of(limits: Limits) -> list[str]:
    """Options of podman and docker."""
    memory = str(limits.memory_bytes)
    return [
        *("--memory", memory, "--memory-swap", memory, "--cpus", str(limits.cpus)),
        *("--cpuset-cpus", limits.cpuset, "--pids-limit", str(limits.pids), "--network", "none"),
    ]
