"""Programs from a real archive, made on the spot: apt and dpkg do what they do with Debian's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import debian_tools
from scripts.debian_tools import DebianTools, FetchError, Unavailable

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt: there is no archive to be fetched from")

CONTROL = """Package: {name}
Version: 1
Architecture: all
Maintainer: the cgscope authors <nobody@example.org>
Depends: {depends}
Description: made for a test
"""


class Archive:
    """A flat archive in a folder, and the tools that fetch from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "archive").mkdir()
        self._index = ""

    def add(self, name: str, files: dict[str, str], depends: str = "") -> None:
        """Put a package with executable ``files`` into the archive."""
        tree = self._folder / name
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content, encoding="utf-8")
            (tree / path).chmod(0o755)
        (tree / "DEBIAN").mkdir(parents=True)
        control = CONTROL.format(name=name, depends=depends).replace("Depends: \n", "")
        (tree / "DEBIAN" / "control").write_text(control, encoding="utf-8")
        deb = self._folder / "archive" / f"{name}_1_all.deb"
        subprocess.run(["dpkg-deb", "--build", tree, deb], check=True, stdout=subprocess.DEVNULL)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        self._index += f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n\n"

    def tools(self, packages: dict[str, str]) -> DebianTools:
        """Return tools that know this archive and no other."""
        (self._folder / "archive" / "Packages").write_text(self._index, encoding="utf-8")
        sources = f"deb [trusted=yes] file:{self._folder}/archive ./\n"
        return DebianTools(self._folder / "cache", packages=packages, sources=sources)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an empty archive."""
    return Archive(tmp_path)


def test_a_program_of_the_machine_comes_first(archive: Archive, tmp_path: Path) -> None:
    """What is installed is used, and nothing is fetched for it."""
    archive.add("cgscope-shell", {"usr/bin/sh": "#!/bin/sh\necho fetched\n"})
    assert archive.tools({"sh": "cgscope-shell"}).tool("sh").path == shutil.which("sh")
    assert not (tmp_path / "cache").exists()


def test_a_missing_program_is_unpacked_with_its_dependencies(archive: Archive) -> None:
    """The program runs in the given environment and finds there what its package depends on."""
    archive.add("cgscope-hello", {"usr/bin/cgscope-hello": "#!/bin/sh\ncgscope-words\n"}, "cgscope-words")
    archive.add("cgscope-words", {"usr/sbin/cgscope-words": "#!/bin/sh\necho hello\n"})
    tool = archive.tools({"cgscope-hello": "cgscope-hello"}).tool("cgscope-hello")
    assert subprocess.check_output([tool.path], env=tool.env) == b"hello\n"
    assert shutil.which("cgscope-hello") is None


def test_a_package_may_have_another_name_in_another_release(archive: Archive) -> None:
    """Of alternatives the first that exists is unpacked, and what the program needs beside it."""
    archive.add("cgscope-old", {"usr/bin/cgscope-moved": "#!/bin/sh\necho moved; cgscope-beside\n"})
    archive.add("cgscope-beside", {"usr/bin/cgscope-beside": "#!/bin/sh\necho too\n"})
    tool = archive.tools({"cgscope-moved": "cgscope-new | cgscope-old, cgscope-beside"}).tool("cgscope-moved")
    assert subprocess.check_output([tool.path], env=tool.env) == b"moved\ntoo\n"


def test_libraries_of_the_cache_are_found(archive: Archive, tmp_path: Path) -> None:
    """Each folder with a shared library is named to the loader, private ones of a package included."""
    archive.add("cgscope-lib", {"usr/bin/cgscope-lib": "#!/bin/sh\n", "lib/cgscope/libx.so.1": ""})
    tool = archive.tools({"cgscope-lib": "cgscope-lib"}).tool("cgscope-lib")
    assert str(tmp_path / "cache/tree/usr/lib/cgscope") in tool.env["LD_LIBRARY_PATH"].split(":")


def test_alternatives_are_linked(archive: Archive) -> None:
    """``w`` is a link that procps's installation script would make to ``w.procps``."""
    archive.add("cgscope-alt", {"usr/bin/cgscope-w.cgscope-alt": "#!/bin/sh\necho users\n"})
    tool = archive.tools({"cgscope-w": "cgscope-alt"}).tool("cgscope-w")
    assert tool.path.endswith("/cgscope-w")
    assert subprocess.check_output([tool.path], env=tool.env) == b"users\n"


def test_an_interrupted_unpacking_is_done_again(archive: Archive, tmp_path: Path) -> None:
    """A package counts as unpacked only when it is."""
    archive.add("cgscope-again", {"usr/bin/cgscope-again": "#!/bin/sh\necho whole\n"})
    half = tmp_path / "cache/download/cgscope-again"
    half.mkdir(parents=True)
    (half / "cgscope-again_0_all.deb").write_bytes(b"cut off")
    tool = archive.tools({"cgscope-again": "cgscope-again"}).tool("cgscope-again")
    assert subprocess.check_output([tool.path], env=tool.env) == b"whole\n"


def test_an_unknown_package_is_reported_in_apts_words(archive: Archive) -> None:
    """Apt's reason reaches the reader: here, that there is no such package."""
    archive.add("cgscope-other", {})
    with pytest.raises(FetchError, match="Depends: cgscope-absent but it is not installable"):
        archive.tools({"cgscope-absent": "cgscope-absent"}).tool("cgscope-absent")


def test_a_package_without_the_program_is_reported(archive: Archive) -> None:
    """A wrong entry in the table is told apart from a failed download."""
    archive.add("cgscope-empty", {})
    with pytest.raises(FetchError, match="cgscope-gone: not in Debian's package cgscope-empty"):
        archive.tools({"cgscope-gone": "cgscope-empty"}).tool("cgscope-gone")


def test_without_apt_it_is_unavailable(tmp_path: Path) -> None:
    """On a machine that is no Debian the reason is one that a test may be skipped with."""
    tools = DebianTools(tmp_path / "cache", {"PATH": str(tmp_path)}, {"htop": "htop"})
    with pytest.raises(Unavailable, match="apt-get and dpkg not found"):
        tools.tool("htop")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fetch", "htpo"], "unknown tool htpo"),
        (["exec", "free"], "exec needs a command"),
        (["fetch", "--", "true"], "fetch takes none"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str) -> None:
    """Wrong use ends with code 2 and says what is wrong."""
    with pytest.raises(SystemExit) as stop:
        debian_tools.main(arguments)
    assert stop.value.code == 2
    assert reason in capsys.readouterr().err


def test_the_fixture_finds_a_program(tool: Callable[[str], debian_tools.Tool]) -> None:
    """Every test can ask for a real program by name."""
    assert os.access(tool("free").path, os.X_OK)
