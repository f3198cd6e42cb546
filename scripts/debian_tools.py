"""Find the programs that demos and tests talk to; unpack what is missing from Debian packages into a cache.

    python -m scripts.debian_tools fetch [TOOL…]          make them present (default: all), print where they are
    python -m scripts.debian_tools exec [TOOL…] -- COMMAND…   the same, then run COMMAND with them in its PATH

Nothing outside the cache folder changes: apt only simulates and downloads, with lists of its own, and ``dpkg -x``
unpacks without installing. Which packages are missing is apt's answer about *this* machine, so that only those are
fetched. Where there is no apt, `Unavailable` says so.
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
    "lscpu": "util-linux",
    "htop": "htop",
    "iostat": "sysstat",
    "mpstat": "sysstat",
    "busybox": "busybox",
    "runc": "runc",
    "lxcfs": "lxcfs",
}
"""Program -> Debian package that has it."""

LISTS_LIFETIME_SECONDS: Final = 24 * 3600
"""Package lists older than this are fetched again: mirrors drop the versions that they name."""

INHERITED: Final = frozenset({"libc6"})
"""Never unpacked: the C library and the machine's own loader have to be of one version."""


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
        self._root = self._cache / "root"
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
            raise FetchError(f"{name}: not in Debian's package {self._packages[name]}, or installed outside PATH")
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
        if self._root.is_dir():
            libraries = sorted({str(path.parent) for path in self._root.rglob("lib*.so*")})
            environment["PATH"] = _joined(environment.get("PATH"), self._path())
            environment["LD_LIBRARY_PATH"] = _joined(environment.get("LD_LIBRARY_PATH"), ":".join(libraries))
        return environment

    def _path(self) -> str:
        return ":".join(str(self._root / part) for part in ("usr/bin", "bin", "usr/sbin", "sbin"))

    def _in_cache(self, name: str) -> str | None:
        # Debian's alternatives: package procps has w.procps, and its installation script links w to it.
        return shutil.which(name, path=self._path()) or self._link_alternative(name)

    def _link_alternative(self, name: str) -> str | None:
        if not (path := shutil.which(f"{name}.{self._packages[name]}", path=self._path())):
            return None
        link = Path(path).with_name(name)
        link.symlink_to(Path(path).name)
        return str(link)

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

    def _fetch(self, package: str) -> None:
        with self._ready():
            for name in self._missing_packages(package):
                if name not in INHERITED:
                    self._unpack(name)

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

    def _missing_packages(self, package: str) -> list[str]:
        """Return ``package`` and those of its dependencies that this machine lacks, as apt would install them."""
        simulation = self._run("apt-get", "-s", "install", "--no-install-recommends", "--no-remove", package)
        return re.findall(r"^Inst (\S+) ", simulation, re.MULTILINE)

    def _unpack(self, package: str) -> None:
        done = self._cache / "unpacked" / package
        if done.exists():
            return
        folder = self._cache / "download" / package
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._run("apt-get", "download", "-q", package, directory=folder)
        for archive in folder.glob("*.deb"):
            self._run("dpkg", "-x", str(archive), str(self._root))
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
