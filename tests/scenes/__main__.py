"""The command that records scenes; see the package."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cgroup_model.mounts import discover_mounts
from tests.scenes.archive import Entry, dump, load
from tests.scenes.capture import folders, machine
from tests.scenes.enlarge import ENLARGED, enlarged
from tests.scenes.places import DESCRIPTION, FILES, FIXTURES, names
from tests.scenes.recipes import DISK, RECIPES, Recipe, Stage

ROOT: Final = Path(__file__).resolve().parents[2]
GUEST: Final = ("--swap", "256M", "--disk", "256M", "--timeout", "300")
HERE: Final = "--here"


def main(arguments: Sequence[str] | None = None) -> int:
    """List or record scenes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenes", description="list or record scenes")
    commands = parser.add_subparsers(dest="command")
    record = commands.add_parser("record", help="record scenes anew (root)")
    record.add_argument("names", nargs="+", metavar="NAME", choices=[*RECIPES, *ENLARGED], help="scene")
    record.add_argument(HERE, action="store_true", help="on this machine, whatever world it is")
    options = parser.parse_args(arguments)
    if options.command is None:
        sys.stdout.write("".join(f"{name}\n" for name in names()))
        return 0
    for name in options.names:
        FIXTURES.joinpath(name).mkdir(exist_ok=True)
        if name in ENLARGED:
            _write(name, enlarged(name), ENLARGED[name].text, f"computed from {ENLARGED[name].source}")
        elif options.here or RECIPES[name].world is None:
            _record(name, RECIPES[name])
        elif (code := _record_in_guest(name, RECIPES[name])) != 0:
            return code
    return 0


def _record_in_guest(name: str, recipe: Recipe) -> int:
    assert recipe.world is not None
    guest = [sys.executable, "tests/guest/run.py", "--cgroup", recipe.world, *GUEST, "--rw", str(FIXTURES / name)]
    command = [*guest, "--", sys.executable, "-m", "tests.scenes", "record", HERE, name]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _record(name: str, recipe: Recipe) -> None:
    mounts = discover_mounts()
    with _disk() as folder, Stage(mounts, recipe, folder) as stage:
        entries = machine(mounts, stage.cgroups)
    entries |= {f"root/{path}": text.encode() for path, text in recipe.files.items()}
    _write(name, entries, recipe.text, recipe.engine)


@contextlib.contextmanager
def _disk() -> Iterator[Path]:
    """Give a folder on a disk that can be limited: a guest's spare one, or where temporary files are."""
    with tempfile.TemporaryDirectory(prefix="cgscope-scene-") as folder:
        if not Path(DISK).exists():
            yield Path(folder)
            return
        subprocess.run(["mkfs.ext4", "-q", "-F", DISK], check=True)
        subprocess.run(["mount", DISK, folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def _write(name: str, entries: dict[str, Entry], text: str, engine: str) -> None:
    data = dump(entries)
    assert load(data) == entries
    FIXTURES.joinpath(name, FILES).write_bytes(data)
    FIXTURES.joinpath(name, DESCRIPTION).write_text(_description(name, entries, text, engine))
    sys.stdout.write(f"{name}: {len(entries)} files, {folders(entries)} cgroups, {len(data) >> 10} KiB\n")


def _description(name: str, entries: dict[str, Entry], text: str, engine: str) -> str:
    release = entries["proc/sys/kernel/osrelease"]
    assert isinstance(release, bytes)
    return "\n".join(
        (
            f"# {name}",
            "",
            f"{text}.",
            "",
            f"- kernel: Linux {release.decode().strip()}, {platform.machine()}",
            f"- engine: {engine}",
            f"- made by: `python -m tests.scenes record {name}` (limits and work of each: `tests/scenes/recipes.py`)",
            f"- content: `{FILES}`, {len(entries)} files, {folders(entries)} cgroups over all hierarchies",
            "- renamed: the machine, process ids, namespaces, ids and UUIDs (`tests/scenes/anonymous.py`)",
            "",
        )
    )


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("python -m tests.scenes: making cgroups takes root")
    sys.exit(main())
