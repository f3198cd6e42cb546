"""Debian's unstable archive, which has the newest kernel source; the machine's own apt lists stay as they are."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.debian_tools import DebianTools, FetchError, Unavailable
from tests.guest.cache import make_once
from tests.guest.errors import GuestError, run_logged

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCE_PACKAGE = re.compile(r"linux-source-([0-9]+)\.([0-9]+)")
APT_FOLDER = Path("/etc/apt")


class Archive:
    """Packages of Debian unstable, downloaded below ``cache``. Every method raises GuestError with the reason."""

    def __init__(self, cache: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._cache = cache
        self._environ = environ

    def newest_kernel_source(self) -> str:
        """Return the name of the package with the highest kernel version, like ``linux-source-7.2``."""
        try:
            names = self._apt().search(f"^{SOURCE_PACKAGE.pattern}$")
        except (FetchError, Unavailable) as error:
            raise _one_line(error) from error
        return newest(names)

    def download(self, package: str, folder: Path) -> Path:
        """Download ``package`` into the empty ``folder``; return the .deb file."""
        try:
            return self._apt().download(package, folder)
        except (FetchError, Unavailable) as error:
            raise _one_line(error) from error

    def busybox(self) -> Path:
        """Return a statically linked busybox: the guest's first program, before there is any other file system."""
        return make_once(self._cache / "busybox", self._unpack_busybox) / "bin" / "busybox"

    def _unpack_busybox(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache) as downloads:
            package = self.download("busybox-static", Path(downloads))
            run_logged(["dpkg", "-x", str(package), str(folder / "unpacked")], self._cache / "busybox.log")
        binary = next((folder / "unpacked").rglob("bin/busybox"))  # /bin before Debian 13, /usr/bin since
        (folder / "bin").mkdir()
        binary.rename(folder / "bin" / "busybox")

    def _apt(self) -> DebianTools:
        if not Path(KEYRING).exists():
            raise GuestError(f"{KEYRING} is missing: install debian-archive-keyring")
        mirror = self._environ.get("CGSCOPE_DEBIAN_MIRROR") or configured_mirror(APT_FOLDER)
        sources = f"deb [signed-by={KEYRING}] {mirror} sid main\n"
        return DebianTools(self._cache / "debian", self._environ, packages={}, sources=sources)


def newest(names: Iterable[str]) -> str:
    """Return the name with the highest kernel version. Raises GuestError when none is a kernel source package."""
    versions = [(int(match[1]), int(match[2]), name) for name in names if (match := SOURCE_PACKAGE.fullmatch(name))]
    if not versions:
        raise GuestError("Debian's archive offers no kernel source package")
    return max(versions)[2]


def configured_mirror(apt_folder: Path) -> str:
    """Return the address of the Debian archive that this machine's apt uses. Raises GuestError when it uses none."""
    for path in (apt_folder / "sources.list", *sorted((apt_folder / "sources.list.d").glob("*"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if match := re.search(r"^(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(\S+/debian)/?(?:\s|$)", text, re.MULTILINE):
            return match[1]
    raise GuestError(f"no Debian archive in {apt_folder}: set CGSCOPE_DEBIAN_MIRROR, or CGSCOPE_UML to a kernel")


def _one_line(error: Exception) -> GuestError:
    lines = str(error).splitlines()
    reasons = [line for line in lines if line.startswith(("E:", "Err:"))]
    return GuestError(" ".join([lines[0], *reasons[:1]]))
