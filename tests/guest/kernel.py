"""The guest's kernel: given by the user, kept from an earlier run, or built from Debian's newest kernel source."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.debian_tools import TOOLS, DebianTools, FetchError, Unavailable
from tests.guest.archive import Archive
from tests.guest.cache import make_once
from tests.guest.errors import GuestError, run_logged, say
from tests.guest.patches import REPLACEMENTS, SCHED_CLOCK, apply_patches

HERE: Final = Path(__file__).resolve().parent
FRAGMENT: Final = HERE / "kernel.config"
BUILD_TOOLS: Final[Mapping[str, str]] = {
    "gcc": TOOLS["gcc"],
    "make": "make",
    "flex": "flex",
    "bison": "bison",
    "m4": "m4",
    "bc": "bc",
    "xz": "xz-utils",
}
"""Program -> Debian packages that have it and that work where they are merely unpacked."""

EXCLUDED: Final = (
    "/arch/[!uxK]*",
    "/drivers/gpu/drm/*/*.[ch]",
    "/tools/testing/*",
    "/tools/perf/*",
    "/Documentation/*/*",
)
"""Parts of the kernel tree that this architecture never compiles: unpacking takes half the time without them."""


def find_kernel(cache: Path, archive: Archive, environ: Mapping[str, str] = os.environ) -> Path:
    """Return an executable User Mode Linux kernel, building it when there is none. Raises GuestError."""
    if given := environ.get("CGSCOPE_UML"):
        return _given_kernel(Path(given), cache)
    return make_once(cache / recipe_hash(), lambda folder: _build(folder, cache, archive)) / "linux"


def recipe_hash() -> str:
    """Return the name under which a built kernel is kept: another configuration or patch is another kernel."""
    recipe = (wanted_options(), REPLACEMENTS, SCHED_CLOCK)
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]


def wanted_options() -> list[str]:
    """Return the lines of the configuration fragment, like ``CONFIG_PSI=y``, without its comments."""
    lines = FRAGMENT.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("CONFIG_")]


def _given_kernel(path: Path, cache: Path) -> Path:
    if not path.is_file():
        raise GuestError(f"CGSCOPE_UML={path}: no such file")
    if path.suffix == ".xz":
        status = path.stat()
        key = hashlib.sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
        return make_once(cache / f"given-{key}", lambda folder: _decompress(path, folder / "linux")) / "linux"
    if not os.access(path, os.X_OK):
        raise GuestError(f"CGSCOPE_UML={path}: not executable")
    return path.resolve()


def _decompress(path: Path, target: Path) -> None:
    try:
        with lzma.open(path) as compressed, target.open("wb") as output:
            shutil.copyfileobj(compressed, output)
    except (lzma.LZMAError, EOFError) as error:
        raise GuestError(f"{path}: not a complete xz file") from error
    target.chmod(0o755)


def _build(folder: Path, cache: Path, archive: Archive) -> None:
    """Build ``folder/linux`` and leave beside it its ``config`` and, in ``source``, the package it came from."""
    start = time.monotonic()
    package = archive.newest_kernel_source()
    say(f"no kernel in {cache} yet: building one from Debian's {package}, about 8 minutes on 2 idle CPUs")
    environment = build_environment()
    require_compiler(environment)
    log = cache / "build.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="build.", dir=cache) as work:
        source = _unpack_source(archive, package, Path(work), log, environment)
        for path in apply_patches(source):
            say(f"the patch to {path} does not fit {package}: the guest will be less exact")
        output = Path(work) / "output"
        output.mkdir()
        _configure(source, output, log, environment)
        run_logged([*_make(source, output), f"-j{len(os.sched_getaffinity(0))}", "linux"], log, environment)
        run_logged(["strip", "-o", str(folder / "linux"), str(output / "linux")], log, environment)
        shutil.copy(output / ".config", folder / "config")
    (folder / "source").write_text(package + "\n", encoding="utf-8")
    say(f"kernel built in {time.monotonic() - start:.0f} s")


def require_compiler(environment: Mapping[str, str]) -> None:
    """Check that a static program can be compiled, which the kernel will be. Raises GuestError."""
    command = ["gcc", "-static", "-x", "c", "-o", "/dev/null", "-"]
    program = b"int main(void) { return 0; }"
    done = subprocess.run(command, input=program, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise GuestError("this machine's gcc makes no static program: apt-get install libc6-dev")


def build_environment(tools: DebianTools | None = None) -> dict[str, str]:
    """Return the environment that finds all `BUILD_TOOLS`, the machine's own or unpacked ones. Raises GuestError."""
    tools = tools or DebianTools(packages=BUILD_TOOLS)
    try:
        found = {name: tools.tool(name) for name in BUILD_TOOLS}
    except (FetchError, Unavailable) as error:
        missing = ", ".join(sorted({package for name, package in BUILD_TOOLS.items() if not shutil.which(name)}))
        reason = str(error).splitlines()[0]
        raise GuestError(
            f"cannot build a kernel without {missing}, to be installed by hand because: {reason}"
        ) from error
    # bison and flex have the paths of their data and of m4 compiled in; both let the environment overrule them.
    bison_data = Path(found["bison"].path).parent.parent / "share" / "bison"
    return {**tools.environment(), "M4": found["m4"].path, "BISON_PKGDATADIR": str(bison_data)}


def _unpack_source(archive: Archive, package: str, work: Path, log: Path, environment: Mapping[str, str]) -> Path:
    """Unpack the kernel tree from its package below ``work``; return the tree."""
    downloads = work / "downloads"
    downloads.mkdir()
    run_logged(["dpkg", "-x", str(archive.download(package, downloads)), str(downloads)], log)
    excluded = [f"--exclude={package}{pattern}" for pattern in EXCLUDED]
    tarball = downloads / "usr" / "src" / f"{package}.tar.xz"
    run_logged(["tar", "-C", str(work), "--wildcards", *excluded, "-xJf", str(tarball)], log, environment)
    shutil.rmtree(downloads)
    _fill_kconfig_gaps(work / package)
    return work / package


def _fill_kconfig_gaps(source: Path) -> None:
    """Make an empty file of each Kconfig that another one includes and that was not unpacked."""
    for path in source.rglob("Kconfig*"):
        for included in re.findall(r'^\s*source "(arch/[^"$]+)"', path.read_text(errors="replace"), re.MULTILINE):
            if not (target := source / included).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()


def _configure(source: Path, output: Path, log: Path, environment: Mapping[str, str]) -> None:
    config = output / ".config"
    merge = source / "scripts" / "kconfig" / "merge_config.sh"
    run_logged([*_make(source, output), "x86_64_defconfig"], log, environment)
    run_logged([str(merge), "-m", "-O", str(output), str(config), str(FRAGMENT)], log, environment)
    run_logged([*_make(source, output), "olddefconfig"], log, environment)
    have = set(config.read_text(encoding="utf-8").splitlines())
    if refused := [option for option in wanted_options() if option not in have and not option.endswith("=n")]:
        say(f"options this kernel did not take: {' '.join(refused)}")


def _make(source: Path, output: Path) -> list[str]:
    return ["make", "-C", str(source), "ARCH=um", "SUBARCH=x86_64", f"O={output}"]
