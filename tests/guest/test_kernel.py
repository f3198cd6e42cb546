"""What surrounds a guest: its kernel, the tools that build one, the cache; no guest boots here."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.debian_tools import DebianTools
from tests.guest.archive import Archive, configured_mirror, newest
from tests.guest.cache import cache_directory, make_once
from tests.guest.errors import GuestError, run_logged
from tests.guest.kernel import BUILD_TOOLS, build_environment, find_kernel, wanted_options
from tests.guest.patches import REPLACEMENTS, apply_patches

ROOT = Path(__file__).resolve().parents[2]
MAKE_SLOWLY = """
import sys, time
from pathlib import Path
from tests.guest.cache import make_once
def make(folder):
    print("made", flush=True)
    time.sleep(0.2)
    (folder / "whole").touch()
assert (make_once(Path(sys.argv[1]), make) / "whole").exists()
"""
GRAMMAR = """
%{
int yylex(void);
void yyerror(const char *text);
%}
%token WORD
%%
words: WORD | words WORD;
"""


def test_cache_follows_the_user() -> None:
    """The cache is in the user's cache folder, which XDG_CACHE_HOME may move."""
    assert cache_directory({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/cgscope/uml")
    assert cache_directory({}) == Path.home() / ".cache" / "cgscope" / "uml"


def test_failed_making_leaves_nothing(tmp_path: Path) -> None:
    """A thing that could not be made whole is not there, and the next attempt starts afresh."""

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise GuestError("no luck")

    with pytest.raises(GuestError, match="no luck"):
        make_once(tmp_path / "thing", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]
    assert list(make_once(tmp_path / "thing", lambda folder: (folder / "whole").touch()).iterdir()) != []


def test_processes_that_want_the_same_make_it_once(tmp_path: Path) -> None:
    """Of several processes that need a missing thing, one makes it and the others wait until it is whole."""
    command = [sys.executable, "-c", MAKE_SLOWLY, str(tmp_path / "thing")]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    assert b"".join(process.communicate()[0] for process in processes) == b"made\n"
    assert [process.returncode for process in processes] == [0, 0, 0]


def test_given_kernel_may_be_compressed(tmp_path: Path) -> None:
    """CGSCOPE_UML names a kernel, plain or .xz; a compressed one is unpacked, anew when the file has changed."""
    given = tmp_path / "kernel.xz"
    for content in (b"#!/bin/first", b"#!/bin/second one"):
        given.write_bytes(lzma.compress(content))
        kernel = find_kernel(tmp_path / "cache", Archive(tmp_path / "cache"), {"CGSCOPE_UML": str(given)})
        assert kernel.read_bytes() == content
        assert os.access(kernel, os.X_OK)


def test_damaged_given_kernel_is_refused(tmp_path: Path) -> None:
    """A .xz file that ends early is not taken for a kernel, and nothing of it is kept."""
    given = tmp_path / "kernel.xz"
    given.write_bytes(lzma.compress(bytes(10000))[:-10])
    with pytest.raises(GuestError, match="not a complete xz file"):
        find_kernel(tmp_path / "cache", Archive(tmp_path / "cache"), {"CGSCOPE_UML": str(given)})
    assert not list((tmp_path / "cache").glob("given-*[!k]"))


def test_configuration_lines_are_options() -> None:
    """Every line of the fragment that is no comment is an option, and none is set twice."""
    text = (ROOT / "tests" / "guest" / "kernel.config").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert wanted_options() == lines
    names = [line.split("=")[0] for line in lines]
    assert len(names) == len(set(names))


def test_newest_is_by_number_not_by_text() -> None:
    """Version 7.10 is newer than 7.9 and 6.19; other packages do not count."""
    names = ["linux-source", "linux-source-7.9", "linux-source-7.10", "linux-source-6.19", "linux-source-9.1-rt"]
    assert newest(names) == "linux-source-7.10"
    with pytest.raises(GuestError, match="no kernel source"):
        newest(["linux-source"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", "# deb http://wrong/debian x main\ndeb http://mirror.test/debian bookworm main\n"),
        ("sources.list", "deb [arch=amd64 signed-by=/k] http://mirror.test/debian/ bookworm main\n"),
        ("sources.list.d/debian.sources", "Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n"),
    ],
)
def test_mirror_is_the_one_of_the_machine(tmp_path: Path, name: str, text: str) -> None:
    """The archive that the machine's apt uses is found in both of apt's formats, behind those of other vendors."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a-vendor.list").write_text("deb https://vendor.test/apt stable main\n")
    (tmp_path / name).write_text(text)
    assert configured_mirror(tmp_path) == "http://mirror.test/debian"


def test_machine_without_debian_archive_is_told_what_to_do(tmp_path: Path) -> None:
    """Where apt knows no Debian archive, the message names the variables that help."""
    with pytest.raises(GuestError, match="CGSCOPE_DEBIAN_MIRROR"):
        configured_mirror(tmp_path)


def test_patches_apply_or_say_so(tmp_path: Path) -> None:
    """Each replacement that fits is made; the file of one that does not fit is named and stays as it was."""
    for replacement in REPLACEMENTS:
        path = tmp_path / replacement.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(replacement.old)
    (tmp_path / "arch/um/kernel").mkdir(parents=True, exist_ok=True)
    other = tmp_path / REPLACEMENTS[-1].path
    other.write_text("something new\n")
    assert set(apply_patches(tmp_path)) == {REPLACEMENTS[-1].path}
    assert other.read_text() == "something new\n"
    assert all(replacement.new in (tmp_path / replacement.path).read_text() for replacement in REPLACEMENTS[:2])


def test_failing_step_names_its_log(tmp_path: Path) -> None:
    """What a failing program said is in the log that the error names."""
    with pytest.raises(GuestError, match=r"sh failed with exit code 3; what it said is in .*/log"):
        run_logged(["sh", "-c", "echo because; exit 3"], tmp_path / "log")
    assert "because\n" in (tmp_path / "log").read_text()
    with pytest.raises(GuestError, match="/nowhere/program: No such file"):
        run_logged(["/nowhere/program"], tmp_path / "log")


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt on this machine")
def test_unpacked_tools_work(tmp_path: Path) -> None:
    """Bison, flex and m4 from Debian's packages find their data in the cache when the machine has none of them."""
    (tmp_path / "bin").mkdir()
    hidden = {"bison", "flex", "m4"}
    for directory in ("/bin", "/usr/bin", "/usr/sbin"):
        for program in Path(directory).iterdir():
            if program.name not in hidden and not (tmp_path / "bin" / program.name).exists():
                (tmp_path / "bin" / program.name).symlink_to(program)
    tools = DebianTools(tmp_path / "cache", {**os.environ, "PATH": str(tmp_path / "bin")}, BUILD_TOOLS)
    environment = build_environment(tools)
    (tmp_path / "words.y").write_text(GRAMMAR)
    (tmp_path / "words.l").write_text("%option noyywrap\n%%\n[a-z]+ return 1;\n")
    for command in (["bison", "words.y"], ["flex", "words.l"]):
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "words.tab.c").exists()
    assert (tmp_path / "lex.yy.c").exists()
