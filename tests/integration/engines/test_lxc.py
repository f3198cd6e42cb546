"""LXC: our hook, the hook that Debian's lxcfs brings, attach, and containers whose root is nobody outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import DebianTools, Tool
from tests.integration.command_line import NEEDS, REASON, REPOSITORY, CommandLine, eventually
from tests.integration.engines import oci_runtime, programs, shown_by, truth
from tests.integration.engines.truth import LIMITS
from tests.integration.engines.watching import watching
from tests.integration.reach import Within, let_others_in, within
from tests.packages.debian import copy_of

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

DEBIAN = ("python3", "procps")  # the same as other tests have, which is made once
_V1 = {
    "memory.limit_in_bytes": LIMITS.memory_bytes,
    "cpu.cfs_period_us": 100_000,
    "cpu.cfs_quota_us": int(LIMITS.cpus * 100_000),
    "cpuset.cpus": LIMITS.cpuset,
    "pids.max": LIMITS.pids,
}
_V2 = {
    "memory.max": LIMITS.memory_bytes,
    "cpu.max": f"{int(LIMITS.cpus * 100_000)} 100000",
    "cpuset.cpus": LIMITS.cpuset,
    "pids.max": LIMITS.pids,
}
_PRIVATE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
_CONFIGURATION = """\
lxc.rootfs.path = dir:{root}
lxc.rootfs.mount = {folder}/seen
lxc.uts.name = box
lxc.mount.auto = proc:mixed sys:mixed
lxc.net.0.type = empty
lxc.init.cmd = /bin/sleep 3600
lxc.environment = PATH=/bin:/sbin
lxc.log.file = {folder}/log
"""


@dataclass(slots=True)
class Lxc:
    """LXC's programs, with containers in a folder of the test's."""

    tools: Callable[[str], Tool]
    folder: Path
    root: Path

    @property
    def name(self) -> str:
        """The container; also the name of its cgroup."""
        return f"cgscope-{os.getpid()}"

    @property
    def cgroup(self) -> str:
        """The path of the container's cgroup."""
        return f"/lxc.payload.{self.name}"

    def __call__(self, program: str, *arguments: str, front: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run one of the programs to its end."""
        tool = self.tools(program)
        words = [*front, tool.path, "-P", str(self.folder), "-n", self.name, *arguments]
        return programs.finished(words, tool.env, self.folder)

    def sh(self, command: str) -> str:
        """Output of a shell command in the container, which must succeed."""
        return programs.said(self("lxc-attach", "--clear-env", "--", "/bin/sh", "-c", command))

    @contextlib.contextmanager
    def started(self, *lines: str, front: Sequence[str] = ()) -> Iterator[None]:
        """A container that sleeps, ended afterwards."""
        (self.folder / "seen").mkdir(exist_ok=True)
        version = 2 if discover_mounts().world == "v2" else 1
        limits = [
            f"lxc.cgroup{'2' if version == 2 else ''}.{key} = {value}"
            for key, value in (_V2 if version == 2 else _V1).items()
        ]
        text = _CONFIGURATION.format(root=self.root, folder=self.folder)
        configuration = self.folder / "configuration"
        configuration.write_text(text + "".join(f"{line}\n" for line in (*limits, *lines)))
        try:
            done = self("lxc-start", "-f", str(configuration), front=front)
            assert done.returncode == 0, done.stdout + (self.folder / "log").read_text()
            yield
        finally:
            self("lxc-stop", "--kill")
            for cgroup in (self.cgroup, f"/lxc.monitor.{self.name}"):
                oci_runtime.discard(cgroup)


@pytest.fixture
def lxc(tmp_path: Path, tool: Callable[[str], Tool], root_file_system: Path) -> Lxc:
    """LXC in a folder that anybody may enter."""
    return Lxc(tool, let_others_in(tmp_path), root_file_system)


def test_hook(lxc: Lxc, instance: CommandLine) -> None:
    """`lxc.hook.mount` with ours: all limits are shown from the first program on."""
    with lxc.started(f"lxc.hook.mount = {hook(lxc, instance)}"):
        truth.shown(lxc.sh, path=lxc.cgroup)
        assert "fuse.procfs-fuse" in lxc.sh("grep ' /proc/vmstat ' /proc/mounts")


def test_hook_of_lxcfs(lxc: Lxc, instance: CommandLine, tool: Callable[[str], Tool]) -> None:
    """The hook that Debian's lxcfs brings works on our mount in the place of lxcfs's, /var/lib/lxcfs."""
    lxcfs = Path(tool("lxcfs").path)
    hook = shutil.copy(next(lxcfs.parents[1].glob("share/lxcfs/lxc.mount.hook")), lxc.folder / "lxcfs.hook")
    script = 'mount -t tmpfs none /var/lib && mkdir -p /var/lib/lxcfs && mount --bind "$0" /var/lib/lxcfs && exec "$@"'
    front = [*_PRIVATE, script, shown_by.mountpoint(instance)]
    with lxc.started(f"lxc.hook.mount = {hook}", front=front):
        assert int(lxc.sh("/bin/free -b").splitlines()[1].split()[1]) == LIMITS.memory_bytes
        assert lxc.sh("grep -c ^processor /proc/cpuinfo").strip() == "1"
        assert lxc.sh("/bin/cat /sys/devices/system/cpu/online").strip() == "0"


def test_attach(lxc: Lxc, instance: CommandLine) -> None:
    """`attach NAME` finds a running container; after detach it is shown the machine's numbers again."""
    with lxc.started():
        done = instance("attach", f"lxc:{lxc.name}")
        assert done.returncode == 0, done.stderr
        truth.shown(lxc.sh, path=lxc.cgroup)
        assert instance("detach", f"lxc:{lxc.name}").returncode == 0
        assert f"{LIMITS.memory_bytes >> 10} kB" not in lxc.sh("grep MemTotal /proc/meminfo")


def test_attach_an_unprivileged_container(lxc: Lxc, instance: CommandLine) -> None:
    """A container whose root is nobody outside is attached like any other."""
    with lxc.started(*unprivileged()):
        done = instance("attach", lxc.cgroup)
        assert done.returncode == 0, done.stderr
        truth.shown(lxc.sh, path=lxc.cgroup)


def test_hook_of_an_unprivileged_container(lxc: Lxc, instance: CommandLine) -> None:
    """A hook is called as the container's root: where it may execute the interpreter, it binds all files."""
    lines, reached = unprivileged(), within(lxc.folder, REPOSITORY)
    binds = [f"mount --bind {source} {place}" for source, place in reached.binds.items()]
    front = [*_PRIVATE, "\n".join(("set -e", *binds, 'exec "$@"')), "sh"]
    with lxc.started(f"lxc.hook.mount = {hook(lxc, instance, reached)}", *lines, front=front):
        truth.shown(lxc.sh, path=lxc.cgroup)


@pytest.mark.parametrize("kind", ["privileged", "unprivileged"])
def test_new_containers_are_attached(lxc: Lxc, instance: CommandLine, kind: str) -> None:
    """The watcher knows LXC's containers, and waits until they have their own root and /proc."""
    lines = unprivileged() if kind == "unprivileged" else ()
    with watching(instance, "--engines", "lxc") as watch, lxc.started(*lines):
        assert eventually(lambda: watch.knows(lxc.cgroup))
        truth.shown(lxc.sh, path=lxc.cgroup)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["privileged", "unprivileged"])
def test_a_debian_is_attached(
    lxc: Lxc, instance: CommandLine, kind: str, tmp_path: Path, tool: Callable[[str], Tool]
) -> None:
    """A whole system's files as root, also where its owners are mapped by the mount (Linux 5.12)."""
    lines = ("lxc.rootfs.options = idmap=container", *unprivileged()) if kind == "unprivileged" else ()
    with copy_of(tool, DEBIAN, tmp_path / "debian") as debian, watching(instance, "--engines", "lxc") as watch:
        lxc.root = debian.root
        with lxc.started(*lines):
            assert eventually(lambda: watch.knows(lxc.cgroup))
            truth.shown(lxc.sh, path=lxc.cgroup)
            assert lxc.sh("stat -c %u /etc/debian_version") == "0\n"


def hook(lxc: Lxc, instance: CommandLine, reached: Within | None = None) -> Path:
    """A program for `lxc.hook.mount`."""
    words = ["lxc-hook", "--strict", *shown_by.options(instance)]
    return shown_by.script(lxc.folder / "hook", instance, *words, reached=reached)


def unprivileged() -> tuple[str, ...]:
    """The configuration of a container whose root is nobody outside."""
    if shutil.which("newuidmap", path=DebianTools().environment()["PATH"]) is not None:  # LXC calls it, also as root
        pytest.skip("LXC uses newuidmap, which asks /etc/subuid")
    return "lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536"
