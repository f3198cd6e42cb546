"""Podman with a configuration, storage and run-time folders of its own; it has no daemon."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.engines import oci_runtime, programs
from tests.integration.engines.cgroup_view import Namespace

IMAGE = "localhost/box:1"
DEFAULT_PARENT = "/libpod_parent"

MODEST = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
"""
"""containers.conf for a machine without a network of its own, systemd, or the right to raise limits."""

_ENGINE = (
    MODEST
    + """\
conmon_path = ["{conmon}"]
helper_binaries_dir = ["{beside}/lib/podman", "{beside}/libexec/podman"]
conmon_env_vars = {environment}
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/libpod"
volume_path = "{folder}/volumes"
hooks_dir = ["{folder}/hooks.d"]
infra_image = "{image}"
[engine.runtimes]
runc = ["{runc}"]
"""
)
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


@dataclass(slots=True)
class Podman(programs.Engine):
    """The command, and what it was told to run."""

    program: Tool
    folder: Path
    image: str = IMAGE
    parent: str = field(default_factory=lambda: f"/cgscope-podman-{os.getpid()}")
    # It makes cgroups in whatever directories there are, also in those without a hierarchy.
    namespace: Namespace = field(default_factory=lambda: Namespace(discover_mounts().hierarchies))

    @classmethod
    def prepare(cls, tool: Callable[[str], Tool], folder: Path, archive: Path) -> Podman:
        """Write the configuration, and import the root file system as an image."""
        for name in ("hooks.d", "etc", ".config/containers"):
            (folder / name).mkdir(parents=True)
        runc, conmon = tool("runc"), tool("conmon")
        # Given nothing else by podman, both would not find the libraries that were unpacked with them.
        kept = [f"{name}={conmon.env[name]}" for name in ("PATH", "LD_LIBRARY_PATH") if name in conmon.env]
        program = tool("podman")
        names = {"folder": str(folder), "image": IMAGE, "runc": runc.path, "conmon": conmon.path}
        names["beside"] = str(Path(program.path).parents[1])
        names["environment"] = json.dumps(kept)
        (folder / "etc/containers.conf").write_text(_ENGINE.format(**names))
        (folder / "etc/storage.conf").write_text(_STORAGE.format(**names))
        (folder / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "etc/registries.conf").write_text("")
        podman = cls(program, folder)
        changes = ["--change", "ENV PATH=/bin:/sbin", "--change", 'CMD ["/bin/sleep", "3600"]']  # the infra container's
        podman.must("import", "--quiet", *changes, str(archive), IMAGE)
        return podman

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run podman to its end; what goes on in the background has no pipe of ours."""
        environment = {
            **self.program.env,
            "CONTAINERS_CONF": str(self.folder / "etc/containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "etc/storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "etc/registries.conf"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "HOME": str(self.folder),  # no option or variable names the policy
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",  # of Podman 5, in the middle of what it is asked for
        }
        return programs.finished(self.namespace.words(self.program.path, *arguments), environment, self.folder)

    @contextlib.contextmanager
    def default_parent(self) -> Iterator[None]:
        """Clean up in Podman's own cgroup, which some commands insist on; the machine's own Podman may be using it."""
        ours = not oci_runtime.exists(DEFAULT_PARENT)
        yield
        if ours:
            oci_runtime.discard(DEFAULT_PARENT)

    def close(self) -> None:
        """Remove all containers, and their parent's cgroup."""
        self.must("rm", "--all", "--force", "--time", "0")
        self("pod", "rm", "--all", "--force")
        self.namespace.close()  # and with it the mount of its storage, which Podman leaves behind
        oci_runtime.discard(self.parent)
