"""containerd and dockerd with sockets and data of their own, ended by their process ids."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.debian_tools import Tool
from tests.integration.command_line import eventually
from tests.integration.engines import oci_runtime, programs

IMAGE = "box:1"

_CONTAINERD = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = [{disabled}]
[grpc]
  address = "{folder}/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
{more}
"""


@contextlib.contextmanager
def daemon(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a daemon, ended by its process id; what it says goes to ``log``."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(words, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(programs.SECONDS)


@contextlib.contextmanager
def containerd(program: Tool, folder: Path, more: str = "", *, cri: bool = False) -> Iterator[Path]:
    """Run containerd; its socket."""
    folder.mkdir()
    (folder / "config.toml").write_text(
        _CONTAINERD.format(folder=folder, more=more, disabled="" if cri else '"io.containerd.grpc.v1.cri"')
    )
    words = [program.path, "--config", str(folder / "config.toml")]
    with daemon(words, program.env, folder / "log"):
        assert eventually((folder / "c.sock").exists), (folder / "log").read_text()
        yield folder / "c.sock"


@dataclass(slots=True)
class Docker(programs.Engine):
    """The client of a dockerd of the test's own."""

    program: Tool
    socket: Path
    image: str = IMAGE
    parent: str = field(default_factory=lambda: f"/cgscope-docker-{os.getpid()}")

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the client to its end."""
        words = [self.program.path, "--host", f"unix://{self.socket}", *arguments]
        folder = self.socket.parent
        return programs.finished(words, {**self.program.env, "DOCKER_CONFIG": str(folder)}, folder)


@contextlib.contextmanager
def docker(tools: Mapping[str, Tool], folder: Path, archive: Path, runtimes: Mapping[str, str]) -> Iterator[Docker]:
    """Run dockerd without network, with the root file system as an image."""
    with containerd(tools["containerd"], folder / "containerd") as socket:
        words = [tools["dockerd"].path, "--containerd", str(socket), "--data-root", str(folder / "data")]
        words += ["--exec-root", str(folder / "exec"), "--host", f"unix://{folder}/d.sock"]
        words += ["--pidfile", str(folder / "d.pid"), "--config-file", str(folder / "daemon.json")]
        words += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]
        words += ["--storage-driver=overlay2", "--exec-opt=native.cgroupdriver=cgroupfs"]
        words += [f"--add-runtime={name}={path}" for name, path in runtimes.items()]
        (folder / "daemon.json").write_text("{}")
        with daemon(words, tools["dockerd"].env, folder / "log"):
            client = Docker(tools["docker"], folder / "d.sock")
            assert eventually(lambda: client("info").returncode == 0), (folder / "log").read_text()
            client.must("import", "--change", "ENV PATH=/bin:/sbin", str(archive), IMAGE)
            try:
                yield client
            finally:
                ids = client.must("ps", "--all", "--quiet").split()
                client("rm", "--force", *ids) if ids else None
        subprocess.run(["umount", str(folder / "exec/netns/default")], capture_output=True, check=False)
        oci_runtime.discard(client.parent)
