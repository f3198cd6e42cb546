"""Build a Debian package (`make deb`) for the release that this machine runs.

Everything in Python, dependencies included, goes below /usr/lib/cgscope, an environment of its own on top of Debian's
interpreter: Debian 12's Textual is too old, and nothing that apt upgrades can break the tools. Compiled dependencies
are made for one minor version of Python, which the package therefore depends on.
"""

from __future__ import annotations

import argparse
import compileall
import gzip
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.manual import share
from scripts.parts import ROOT

INTERPRETER: Final = "/usr/bin/python3"
HOME: Final = "usr/lib/cgscope"
DEPLOY: Final = ROOT / "deploy"
CONFIGURATION: Final = ("procfs-fuse.yaml", "cgroup-exporter.yaml")
MAINTAINER_SCRIPTS: Final = ("postinst", "prerm", "postrm")

# Nothing that has to be compiled here; fusepy is plain Python, and published as source only.
_BINARIES: Final = ("--only-binary=:all:", "--no-binary=fusepy", "--use-pep517")

_NO_SOURCE: Final = frozenset({".git", ".venv", "build", "dist", "docs", "tests", "__pycache__"})

_LAUNCHER: Final = """\
#!/{home}/bin/python3 -P
import sys

from {module} import {function}

sys.exit({function}())
"""

_ABOUT: Final = """\
 procfs-fuse mounts a /proc into containers that shows their limits and usage
 instead of the machine's, so that free, top and uptime tell the truth.
 cgroup-exporter serves Prometheus metrics of every cgroup, with exact OOM
 counts and alerts. ctop shows them live in a terminal.
"""


@dataclass(frozen=True, slots=True)
class Release:
    """For which machines a package is."""

    version: str
    architecture: str
    python: tuple[int, int]

    @property
    def file(self) -> str:
        """The package's file name."""
        return f"cgscope_{self.version}_{self.architecture}.deb"

    def control(self, kilobytes: int) -> str:
        """Return DEBIAN/control; see deb-control(5)."""
        major, minor = self.python
        return (
            f"Package: cgscope\nVersion: {self.version}\nArchitecture: {self.architecture}\n"
            "Maintainer: the cgscope authors <cgscope@localhost>\nSection: admin\nPriority: optional\n"
            f"Installed-Size: {kilobytes}\n"
            f"Depends: python3 (>= {major}.{minor}~), python3 (<< {major}.{minor + 1}~), libc6\n"
            "Suggests: prometheus, prometheus-alertmanager\n"
            f"Description: container-aware /proc, metrics and top\n{_ABOUT}"
        )


class BuildError(Exception):
    """The package cannot be built here; the message says why and what to do."""


def build(folder: Path, version: str | None = None) -> Path:
    """Build the package into ``folder``; ``version`` is the project's unless given. Raises `BuildError`."""
    release = _release(version)
    with tempfile.TemporaryDirectory(prefix="cgscope-deb-") as scratch:
        stage = Path(scratch, "stage")
        _environment(stage / HOME, _copy_of_the_source(Path(scratch, "source"), release.version))
        _launchers(stage / "usr/bin")
        _data(stage)
        _control(stage, release)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / release.file
        _say(f"packing {target}")
        _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(stage), str(target))
    return target


def _release(version: str | None) -> Release:
    python = (sys.version_info.major, sys.version_info.minor)
    theirs = _run(INTERPRETER, "-c", "import sys; print(*sys.version_info[:2])").split()
    if [str(number) for number in python] != theirs:
        said = ".".join(theirs)
        raise BuildError(f"{INTERPRETER} is {said}: run this with it, or with a virtual environment made by it")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Release(version or project["version"], _run("dpkg", "--print-architecture").strip(), python)


def _environment(home: Path, source: Path) -> None:
    """Make an environment that works in place, whatever folder it was made in."""
    wheels = source.with_name("wheels")
    site = home / f"lib/python{sysconfig.get_python_version()}/site-packages"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    _say("building the wheel")
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(source))
    (wheel,) = wheels.glob("cgscope-*.whl")
    _say("fetching dependencies")
    _run(*pip, "install", "--no-compile", *_BINARIES, "--target", str(site), str(wheel))
    for unwanted in (site / "bin", site / "share", *site.rglob("direct_url.json")):  # those are where Debian has such
        _remove(unwanted)
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(INTERPRETER)
    settings = "home = /usr/bin\ninclude-system-site-packages = false\n"
    (home / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    _compile(site)


def _copy_of_the_source(folder: Path, version: str) -> Path:
    """Setuptools would leave its build folder in the original, and put what is stale there into the next wheel."""
    shutil.copytree(ROOT, folder, ignore=lambda _folder, names: [name for name in names if name in _NO_SOURCE])
    project = folder / "pyproject.toml"
    text = re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', project.read_text(encoding="utf-8"), count=1)
    project.write_text(text, encoding="utf-8")
    return folder


def _compile(site: Path) -> None:
    """Compile for paths as they will be; nobody edits these files, so nothing has to be checked at each start."""
    compileall.compile_dir(
        site,
        quiet=2,
        stripdir=str(site),
        prependdir=f"/{HOME}/lib/python{sysconfig.get_python_version()}/site-packages",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _launchers(folder: Path) -> None:
    folder.mkdir(parents=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, entry in project["scripts"].items():
        module, function = entry.split(":")
        launcher = folder / name
        launcher.write_text(_LAUNCHER.format(home=HOME, module=module, function=function), encoding="utf-8")
        launcher.chmod(0o755)


def _data(stage: Path) -> None:
    """Everything that is not a program."""
    list(share(stage / "usr/share"))
    _copy(sorted((DEPLOY / "systemd").glob("*.service")), stage / "usr/lib/systemd/system")
    _copy([DEPLOY / "debian" / name for name in CONFIGURATION], stage / "etc/cgscope")
    for kind in ("grafana", "prometheus"):
        found = [file for file in sorted((ROOT / "dashboards" / kind).rglob("*")) if file.suffix in {".json", ".yml"}]
        _copy(found, stage / "usr/share/cgscope" / kind)
    papers = stage / "usr/share/doc/cgscope"
    _copy([ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], papers)
    shutil.copy(ROOT / "LICENSE", papers / "copyright")
    (papers / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))


def _control(stage: Path, release: Release) -> None:
    folder = stage / "DEBIAN"
    folder.mkdir()
    files = sorted(file for file in stage.rglob("*") if file.is_file() and not file.is_symlink())
    kilobytes = sum(file.stat().st_size for file in files) // 1024
    (folder / "control").write_text(release.control(kilobytes), encoding="utf-8")
    conffiles = "".join(f"/etc/cgscope/{name}\n" for name in CONFIGURATION)
    (folder / "conffiles").write_text(conffiles, encoding="utf-8")
    (folder / "md5sums").write_text("".join(_sums(files, stage)), encoding="utf-8")
    _copy([DEPLOY / "debian" / name for name in MAINTAINER_SCRIPTS], folder)


def _sums(files: Sequence[Path], stage: Path) -> Iterator[str]:
    for file in files:
        digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()  # what dpkg --verify reads
        yield f"{digest}  {file.relative_to(stage)}\n"


def _copy(files: Sequence[Path], folder: Path) -> None:
    if files:
        folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _run(*words: str) -> str:
    try:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout
    except FileNotFoundError as error:
        raise BuildError(f"{words[0]} is not here: packages are built on Debian and what is made of it") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BuildError(f"{' '.join(words[:4])} failed: {last}") from error


def _say(what: str) -> None:
    print(f"deb: {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and print where the package is."""
    parser = argparse.ArgumentParser(description="build a Debian package for the release that this machine runs")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="where to (default: dist)")
    parser.add_argument("--version", help="another version than the project's")
    given = parser.parse_args(arguments)
    try:
        print(build(given.folder, given.version))
    except BuildError as error:
        print(f"deb: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
