"""Find the programs that demos and tests talk to; unpack what is missing from Debian packages into a cache.

    python -m scripts.debian_tools fetch [TOOL…]          make them present (default: all), print where they are
    python -m scripts.debian_tools exec [TOOL…] -- COMMAND…   the same, then run COMMAND with them in its PATH

Nothing outside the cache folder changes: apt only simulates and downloads, with lists of its own, and nothing is
installed. Which packages are missing is apt's answer about *this* machine, so that only those are fetched. Where there
is no apt, `Unavailable` says so.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOOLS: Final[Mapping[str, str]] = {
    "free": "procps",
    "top": "procps",
    "uptime": "procps",
    "vmstat": "procps",
    "w": "procps",
    "ps": "procps",
    "slabtop": "procps",
    "lscpu": "util-linux",
    "lsmem": "util-linux",
    "dmesg": "util-linux",
    "nproc": "coreutils",
    "df": "coreutils",
    "getconf": "libc-bin",
    "numactl": "numactl",
    "ss": "iproute2",
    "strace": "strace",
    "tmux": "tmux",
    "htop": "htop",
    "iostat": "sysstat",
    "mpstat": "sysstat",
    "sar": "sysstat",
    "busybox": "busybox-static",  # alone in a root file system it runs, too
    "runc": "runc",
    "crun": "crun",
    "podman": "podman",
    "conmon": "conmon",
    "dockerd": "docker.io",
    "docker": "docker-cli | docker.io",  # a package of its own since Debian 13
    "containerd": "containerd",
    "ctr": "containerd",
    "curl": "curl",
    "lxc-start": "lxc",
    "lxc-stop": "lxc",
    "lxc-attach": "lxc",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "cat": "coreutils",
    "lxcfs": "lxcfs",
    "afuse": "afuse",  # for its library, libfuse 2, which no release gives the same name: --transport fusepy
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromedriver": "chromium-driver",
    "gcc": "gcc, libc6-dev",
    "musl-gcc": "musl-tools, musl-dev",
    "zsh": "zsh",
    "debootstrap": "debootstrap",
    "mkfs.ext4": "e2fsprogs",
    "fish": "fish",
}
"""Program -> Debian package that has it, and further ones that it is of no use without, written as a dependency
(Debian Policy 7.1): releases do not agree on names."""

LISTS_LIFETIME_SECONDS: Final = 24 * 3600
"""Package lists older than this are fetched again: mirrors drop the versions that they name."""

INHERITED: Final = ("libc6", "libgcc-s1")
"""On every Debian and never unpacked: the C library and the machine's own loader have to be of one version."""

UNPACK: Final = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink --no-same-owner -C "$2"'


class Unavailable(Exception):
    """This machine has no apt or dpkg, so nothing can be fetched; the message says what is missing."""


class FetchError(Exception):
    """Apt or dpkg failed; the message has the last lines of what it said."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and the whole environment to start it with."""

    path: str
    env: Mapping[str, str]


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return this project's cache folder for Debian packages, one per release and architecture."""
    base = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "cgscope" / "debs" / f"{_release()}-{os.uname().machine}"


def _release() -> str:
    """Return the distribution's code name: packages of two releases must not share a folder."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if match := re.search(r'^VERSION_CODENAME="?([\w.-]+)', text, re.MULTILINE):
            return match[1]
    return "unknown"


class DebianTools:
    """The machine's programs first, then those in the cache, then Debian's archive.

    ``packages`` says which package has a program. ``sources`` (the text of a sources.list) replaces the machine's own
    list of archives; such an instance needs a cache of its own.
    """

    def __init__(
        self,
        cache: Path | None = None,
        environ: Mapping[str, str] = os.environ,
        packages: Mapping[str, str] = TOOLS,
        sources: str | None = None,
    ) -> None:
        self._cache = cache or cache_directory(environ)
        self._tree = self._cache / "tree"
        self._environ = environ
        self._packages = packages
        self._sources = sources

    def tool(self, name: str) -> Tool:
        """Return the program called ``name``, fetching it when it is nowhere. Raises Unavailable, FetchError."""
        if path := shutil.which(name, path=self._environ.get("PATH")):
            return Tool(path, dict(self._environ))
        if not (path := self._in_cache(name)):
            self._fetch(self._packages[name])
            path = self._in_cache(name)
        if not path:
            raise FetchError(f"{name}: not in Debian's package {self._home(name)}, or installed outside PATH")
        return Tool(path, self.environment())

    def search(self, pattern: str) -> list[str]:
        """Return the names of the archive's packages that match ``pattern`` (POSIX extended). Raises as `tool`."""
        with self._ready():
            found = self._run("apt-cache", "search", "--names-only", pattern)
        return [line.split(" ", 1)[0] for line in found.splitlines()]

    def download(self, package: str, folder: Path) -> Path:
        """Download one package, without its dependencies, into an empty ``folder``. Raises as `tool`."""
        with self._ready():
            self._run("apt-get", "download", "-q", package, directory=folder)
        return next(folder.glob("*.deb"))

    def environment(self) -> dict[str, str]:
        """Return the environment in which programs of the cache are found and find their libraries."""
        environment = dict(self._environ)
        if self._tree.is_dir():
            libraries = sorted({str(path.parent) for path in (self._tree / "usr" / "lib").rglob("lib*.so*")})
            environment["PATH"] = _joined(environment.get("PATH"), self._path())
            environment["LD_LIBRARY_PATH"] = _joined(environment.get("LD_LIBRARY_PATH"), ":".join(libraries))
        return environment

    def _path(self) -> str:
        return ":".join(str(self._tree / part) for part in ("usr/local/bin", "usr/bin", "usr/sbin"))

    def _in_cache(self, name: str) -> str | None:
        # Debian's alternatives: package procps has w.procps, and its installation script links w to it.
        return shutil.which(name, path=self._path()) or self._link_alternative(name)

    def _link_alternative(self, name: str) -> str | None:
        if not (path := shutil.which(f"{name}.{self._home(name)}", path=self._path())):
            return None
        link = Path(path).with_name(name)
        link.symlink_to(Path(path).name)
        return str(link)

    def _home(self, name: str) -> str:
        """Return the package that has the program itself."""
        return re.split("[ ,]", self._packages[name], maxsplit=1)[0]

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """Hold the cache's lock, with apt's lists present."""
        path = self._environ.get("PATH")
        missing = [program for program in ("apt-get", "dpkg") if not shutil.which(program, path=path)]
        if missing:
            raise Unavailable(f"packages cannot be fetched: {' and '.join(missing)} not found (not a Debian?)")
        self._cache.mkdir(parents=True, exist_ok=True)
        with _locked(self._cache / "lock"):
            self._refresh_lists()
            yield

    def _fetch(self, packages: str) -> None:
        with self._ready():
            self._lay_out()
            for name in self._missing_packages(packages):
                if name not in INHERITED:
                    self._unpack(name)
            self._point_compiler_to_tree()

    def _lay_out(self) -> None:
        """Make the tree with /lib as a link to /usr/lib and so on, as machines have it: older packages use both."""
        for name in ("bin", "lib", "lib64", "sbin"):
            (self._tree / "usr" / name).mkdir(parents=True, exist_ok=True)
            if not (self._tree / name).is_symlink():
                (self._tree / name).symlink_to(f"usr/{name}")

    def _point_compiler_to_tree(self) -> None:
        """Let an unpacked gcc find headers and libraries: its own idea of where they are is /usr."""
        compiler = self._tree / "usr/bin/gcc"
        wrapper = self._tree / "usr/local/bin/gcc"
        if not compiler.exists() or wrapper.exists():
            return
        # Linker scripts in the tree name the C library and the loader: the machine's own.
        for path in self._run("dpkg", "-L", *INHERITED).splitlines():
            link = self._tree / path.lstrip("/")
            if ".so" in link.name and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(f'#!/bin/sh\nexec "{compiler}" --sysroot="{self._tree}" "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)

    def _refresh_lists(self) -> None:
        """Fetch apt's lists into the cache; the machine's own may be empty (containers) or stale."""
        stamp = self._cache / "lists-fetched"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_LIFETIME_SECONDS:
            return
        for directory in ("lists/partial", "archives/partial"):
            (self._cache / directory).mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        self._run("apt-get", "update", "-q")
        stamp.touch()

    def _write_configuration(self) -> None:
        # The hooks are cleared because those of container images delete files in /var/cache/apt.
        (self._cache / "apt.conf").write_text(
            f'Dir::State::lists "{self._cache}/lists";\n'
            f'Dir::Cache "{self._cache}";\n'
            'APT::Sandbox::User "root";\n'
            # Mirrors frozen at a date have expired lists; their signatures are checked all the same.
            'Acquire::Check-Valid-Until "false";\n'
            "#clear APT::Update::Pre-Invoke;\n"
            "#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n" + self._own_sources(),
            encoding="utf-8",
        )

    def _own_sources(self) -> str:
        """Return the lines of apt.conf that point to ``sources``; none when the machine's own list is to be used."""
        if self._sources is None:
            return ""
        (self._cache / "sources.list").write_text(self._sources, encoding="utf-8")
        return (
            f'Dir::Etc::sourcelist "{self._cache}/sources.list";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::preferences "/dev/null";\n'
            'Dir::Etc::preferencesparts "/dev/null";\n'
            "#clear APT::Default-Release;\n"
        )

    def _missing_packages(self, packages: str) -> list[str]:
        """Return those of ``packages`` and their dependencies that this machine lacks, as apt would install them."""
        simulation = self._run("apt-get", "-s", "satisfy", "--no-install-recommends", "--no-remove", packages)
        return re.findall(r"^Inst (\S+) ", simulation, re.MULTILINE)

    def _unpack(self, package: str) -> None:
        done = self._tree / "unpacked" / package
        if done.exists():
            return
        folder = self._cache / "download" / package
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._run("apt-get", "download", "-q", package, directory=folder)
        for archive in folder.glob("*.deb"):
            # Not `dpkg -x`, which puts a folder in the place of a link like /lib.
            self._run("sh", "-c", UNPACK, "sh", str(archive), str(self._tree))
        shutil.rmtree(folder)
        done.parent.mkdir(exist_ok=True)
        done.touch()

    def _run(self, *command: str, directory: Path | None = None) -> str:
        options = ["-c", str(self._cache / "apt.conf")] if command[0].startswith("apt-") else []
        result = subprocess.run(
            [command[0], *options, *command[1:]],
            cwd=directory,
            env={**self._environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode:
            tail = "\n".join((result.stdout + result.stderr).splitlines()[-10:])
            raise FetchError(f"{' '.join(command)} failed ({result.returncode}):\n{tail}")
        return result.stdout


def _joined(first: str | None, second: str) -> str:
    """Join two search paths; the machine's own directories stay in front."""
    return f"{first}:{second}" if first else second


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two test runs from unpacking into one folder at the same time."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="find programs; unpack missing ones from Debian packages into a cache")
    parser.add_argument("action", choices=("fetch", "exec"))
    parser.add_argument("tools", nargs="*", metavar="TOOL", help=f"of {', '.join(TOOLS)} (default: all)")
    words = list(sys.argv[1:] if arguments is None else arguments)
    separator = words.index("--") if "--" in words else len(words)
    options, command = parser.parse_args(words[:separator]), words[separator + 1 :]
    if unknown := sorted(set(options.tools) - set(TOOLS)):
        parser.error(f"unknown tool {', '.join(unknown)}; known are {', '.join(TOOLS)}")
    if (options.action == "exec") != bool(command):
        parser.error("exec needs a command after --, fetch takes none")
    tools = DebianTools()
    try:
        found = {name: tools.tool(name) for name in options.tools or TOOLS}
    except (Unavailable, FetchError) as error:
        print(f"debian_tools: {error}", file=sys.stderr)
        return 1
    if command:
        os.execvpe(command[0], command, tools.environment())  # noqa: S606 - no shell is the point
    for name, tool in found.items():
        print(f"{name:10} {tool.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
