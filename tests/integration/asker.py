"""The program `programs/asker.c`, compiled with either C library, without anything it would need at run time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from scripts.debian_tools import Tool

SOURCE = Path(__file__).parent / "programs/asker.c"

FindTool = Callable[[str], Tool]


def build(folder: Path, tool: FindTool) -> Path:
    """Compile it with the machine's C library; returns the program."""
    program = folder / "asker"
    _compile(tool("gcc"), program, ["-static", str(SOURCE)])
    return program


def build_with_musl(folder: Path, tool: FindTool) -> Path:
    """Compile it with musl. Its wrapper of gcc knows only /usr, so the paths are given here."""
    usr = Path(tool("musl-gcc").path).parents[1]
    (libraries,) = usr.glob("lib/*-linux-musl")
    headers = usr / "include" / libraries.name
    parts = [str(libraries / name) for name in ("crt1.o", "crti.o")]
    options = ["-nostdinc", "-isystem", str(headers), "-nostdlib", "-static", "-no-pie", "-fno-pie"]
    program = folder / "asker-musl"
    _compile(
        tool("gcc"), program, [*options, *parts, str(SOURCE), str(libraries / "libc.a"), str(libraries / "crtn.o")]
    )
    return program


def runs_32_bit(program: Path) -> bool:
    """Whether this machine's kernel serves 32-bit callers at all."""
    done = subprocess.run([program, "agree32"], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode >= 0 and not done.stdout.startswith("failed")


def _compile(compiler: Tool, program: Path, arguments: list[str]) -> None:
    words = [compiler.path, "-O2", "-o", str(program), *arguments]
    done = subprocess.run(words, env=dict(compiler.env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    program.chmod(0o755)
