"""A Debian in a folder, with nothing but what it is asked for: where a newcomer begins. Made once, then copied."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool, cache_directory
from tests.integration.command_line import eventually
from tests.integration.engines import cgroup_view

NETWORK: Final = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs")
"""How this machine reaches the package registries."""

_PASSED_ON: Final = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_SETUP: Final = """\
set -e
mount --make-rprivate /
{view}
for place in {places}; do echo $$ >"$place/cgroup.procs"; done
mount --bind {root} {root}
mount --bind /sys {root}/sys
mount --rbind /sys/fs/cgroup {root}/sys/fs/cgroup
mount --rbind /dev {root}/dev
for name in {network}; do mount --bind /$name {root}/$name; done
mount -t proc proc {root}/proc
cd {root}
mkdir -p .before
pivot_root . .before
exec chroot . sh -ec 'umount -l /.before; rmdir /.before; exec sleep infinity'
"""
"""As a system boots: what runs in there can make containers, which a mere change of the root would mislead. Its first
process is in the first cgroups, below which LXC makes its own. What the view of cgroups covers does not come along."""


class Debian:
    """A Debian in a folder, and a process in it that has mount and pid namespaces of its own: all ends with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        hierarchies = discover_mounts().hierarchies
        view = cgroup_view.script(hierarchies)
        places = " ".join(one.mountpoint for one in hierarchies)
        script = _SETUP.format(root=root, network=" ".join(_ways_out(root)), view=view, places=places)
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
        self._process = subprocess.Popen(enter)
        assert eventually(lambda: self._first() is not None)

    def _first(self) -> int | None:
        """Its first process, once everything is mounted."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return next((int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"), None)

    def run(
        self, command: str, *, check: bool = True, folder: str = "/", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in it to its end; what it leaves running has no pipe of ours."""
        enter = ["nsenter", "--target", str(self._first()), "--mount", "--pid", "--root", "--wd", "--", "sh", "-ec"]
        given = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        given |= {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", **passed_on(), **(environment or {})}
        with (self.root / "tmp/out").open("w+") as out, (self.root / "tmp/err").open("w+") as err:
            words = [*enter, f"cd {folder}\n{command}"]
            done = subprocess.run(words, env=given, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False)
            out.seek(0)
            err.seek(0)
            told = subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())
        assert not check or done.returncode == 0, told
        return told

    def succeeds(self, command: str) -> bool:
        """Whether a command ends with 0."""
        return self.run(command, check=False).returncode == 0

    def files(self) -> set[str]:
        """All paths but those that programs make on the way."""
        passing = ("var/lib/dpkg", "var/cache", "var/log", "tmp", "root", "proc", "sys", "dev", "run")
        return {
            path
            for file in self.root.rglob("*")
            if not (path := str(file.relative_to(self.root))).startswith(passing) and "__pycache__" not in path
        }

    def close(self) -> None:
        """End whatever runs in there, and with it all mounts."""
        self._process.kill()
        self._process.wait()


def passed_on() -> dict[str, str]:
    """What this machine's environment says about the way to the package registries."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(_PASSED_ON)}


def _ways_out(root: Path) -> list[str]:
    """What this machine has of `NETWORK`, with a place for each in the root."""
    present = [name for name in NETWORK if Path("/", name).exists()]
    for name in present:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(exist_ok=True) if Path("/", name).is_dir() else place.touch()
    return present


@contextmanager
def copy_of(
    tool: Callable[[str], Tool], packages: Sequence[str], folder: Path, release: str | None = None
) -> Iterator[Debian]:
    """Give a minimal Debian of this machine's release or another one with these packages; it is removed afterwards."""
    subprocess.run(["cp", "--archive", str(made_once(tool, packages, release)), str(folder)], check=True)
    debian = Debian(folder)
    try:
        yield debian
    finally:
        debian.close()
        shutil.rmtree(folder)


def made_once(tool: Callable[[str], Tool], packages: Sequence[str], release: str | None = None) -> Path:
    """The folder in the cache that copies are made of, and that nobody writes to."""
    debootstrap = tool("debootstrap")
    address, own = repository()
    codename = release or own
    root = cache_directory().parent / "roots" / "-".join((codename, *packages))
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            made = root.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            what = ["--variant=minbase", f"--include={','.join(packages)}", codename, str(made), address]
            scripts = Path(debootstrap.path).parents[1] / "share/debootstrap"
            environment = {**debootstrap.env, "DEBOOTSTRAP_DIR": str(scripts)}
            subprocess.run([debootstrap.path, *what], check=True, capture_output=True, env=environment)
            made.rename(root)
    return root


def repository() -> tuple[str, str]:
    """Address and release of the packages that this machine's apt gets."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    address, codename = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[:2]
    return address, codename
