"""Manual pages, completions and docs/options.md, made from the command lines themselves."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from procfs_fuse.cli import COMMANDS
from scripts import manual
from scripts.manual import TOOLS, Tool

TOOL = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)


@TOOL
def test_manual_pages_are_well_formed(tool: Tool) -> None:
    """The formatter has nothing to complain about, and no example is broken over lines."""
    if not (groff := shutil.which("groff")):
        pytest.skip("groff is not installed")
    words = [groff, "-man", "-Tutf8", "-ww", "-rLL=160n", "-P-cbou"]
    page = manual.manual_page(tool).encode()
    found = subprocess.run(words, input=page, capture_output=True, check=False)
    assert found.stderr == b""
    example = next(line.strip() for line in (tool.parser().epilog or "").splitlines()[1:] if line.strip())
    assert example.replace("…", "...") in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", found.stdout.decode())


@TOOL
def test_bash_reads_the_completion(tool: Tool) -> None:
    """The script has no syntax errors and knows the tool's options."""
    script = manual.completion(tool, "bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "complete -" in script
    parser = tool.parser()
    for one in (parser, *manual.subparsers(parser).values()):
        assert all(option in script for action in manual.options(one) for option in action.option_strings)


def complete(words: list[str], script: Path) -> set[str]:
    """What bash offers behind ``words``."""
    line = " ".join(words)
    code = f"""
        source {script}
        COMP_WORDS=({line} ''); COMP_CWORD={len(words)}; COMP_LINE='{line} '; COMP_POINT={len(line) + 1}
        _shtab_procfs_fuse procfs-fuse '' {words[-1]}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_completion_offers_commands(tmp_path: Path) -> None:
    """Behind the program's name come its commands."""
    *_, script = [file for file in manual.share(tmp_path) if "bash" in str(file) and file.name == "procfs-fuse"]
    assert set(COMMANDS) <= complete(["procfs-fuse"], script)


def test_where_files_go(tmp_path: Path) -> None:
    """Distributions look for them in these places."""
    made = {str(file.relative_to(tmp_path)) for file in manual.share(tmp_path)}
    for place in (
        "man/man8/procfs-fuse.8.gz",
        "man/man1/ctop.1.gz",
        "bash-completion/completions/ctop",
        "zsh/vendor-completions/_cgroup-exporter",
        "fish/vendor_completions.d/procfs-fuse.fish",
    ):
        assert place in made
    assert gzip.decompress((tmp_path / "man/man1/ctop.1.gz").read_bytes()).startswith(b".TH CTOP")


def test_roff_is_escaped() -> None:
    """A line that begins with a dot is text, a backslash is one."""
    assert manual._verbatim(".so /etc/passwd\n\\fB").splitlines()[2:4] == ["\\&.so /etc/passwd", "\\efB"]


def test_the_options_page_is_up_to_date() -> None:
    """docs/options.md says what --help says; `make docs` writes it anew."""
    committed = Path("docs/options.md").read_text(encoding="utf-8")
    assert committed.rstrip("\n") == "\n".join(manual.option_pages())
