"""The configuration file of `procfs-fuse mount`, and the choice of files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cgroup_model.snapshot import Policy
from cgscope.arguments import Parser
from cgscope.errors import UsageError
from procfs_fuse.cli import mount
from procfs_fuse.cli._common import policy_of, policy_words
from procfs_fuse.configuration import words_with_file
from procfs_fuse.selection import Selection, joined, patterns

PATHS = dict.fromkeys(("proc/stat", "proc/pressure/cpu", "proc/pressure/io", "sys/devices/system/cpu"))


def parser() -> Parser:
    """Return the parser of the command."""
    made = Parser(prog="mount")
    mount.add_arguments(made)
    return made


def parsed(text: str, tmp_path: Path, *words: str) -> argparse.Namespace:
    """Parse a command line with a file."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return parser().parse_args(words_with_file(parser(), ["--config", str(file), *words], "/nonexistent"))


def test_keys_are_the_long_options(tmp_path: Path) -> None:
    """Values, flags and lists; the command line wins."""
    text = "ttl: 25\ncpu-view: cpuset\ndisable-swap: true\ndisable-zswap: no\nno-files: [proc/stat, proc/pressure/*]\n"
    found = parsed(text, tmp_path, "--ttl", "5")
    assert (found.ttl, found.cpu_view, found.disable_swap, found.disable_zswap) == (5, "cpuset", True, False)
    assert found.no_files == ("proc/stat", "proc/pressure/*")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ttl: 5\ncpu-veiw: cpuset\n", ":2:1: there is no setting 'cpu-veiw'; did you mean cpu-view"),
        ("ttl: many\n", ":1:6: .*'many' is not a number of milliseconds"),
        ("\n  cpu-view: both\n", ":2:13: .*invalid choice: 'both'"),
        ("disable-swap: maybe\n", ":1:15: expected true or false"),
        ("- ttl\n", ":1:1: expected keys and values"),
        ("ttl: 1\nttl: 2\n", ":2:1: 'ttl' is given twice"),
        ("ttl: [", "settings.yaml:\\d+:\\d+: "),
        ("foreground: true\n", ":1:1: there is no setting 'foreground'"),
        ("config: /other\n", ":1:1: there is no setting 'config'"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    """File, line, column and what is wrong, before anything is mounted."""
    with pytest.raises(UsageError, match=problem):
        parsed(text, tmp_path)


def test_the_default_file_may_be_missing_but_not_a_named_one(tmp_path: Path) -> None:
    """Without a file the options are the command line's; --no-config reads none."""
    default = tmp_path / "default.yaml"
    assert words_with_file(parser(), ["--ttl", "1"], str(default)) == ["--ttl", "1"]
    default.write_text("ttl: 7\n")
    assert words_with_file(parser(), ["x"], str(default)) == ["--ttl=7", "x"]
    assert words_with_file(parser(), ["--no-config"], str(default)) == ["--no-config"]
    with pytest.raises(UsageError, match="No such file"):
        words_with_file(parser(), ["--config", str(tmp_path / "other")], str(default))


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    """All defaults."""
    assert parsed(text, tmp_path).ttl == 10


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(cpu_view="cpuset", available="working-set", pid_max="host"),
        Policy(throttled_as_steal=True, disable_swap=True, disable_zswap=True),
    ],
)
def test_a_policy_survives_the_way_to_the_server(policy: Policy) -> None:
    """The process in the background is told every choice."""
    assert policy_of(parser().parse_args(policy_words(policy))) == policy


@pytest.mark.parametrize(
    ("files", "no_files", "left"),
    [
        ((), (), list(PATHS)),
        (("stat",), (), ["proc/stat"]),
        (("proc/pressure",), ("proc/pressure/io",), ["proc/pressure/cpu"]),
        ((), ("proc/*",), ["sys/devices/system/cpu"]),
        (("cpu",), (), ["proc/pressure/cpu", "sys/devices/system/cpu"]),
    ],
)
def test_files_are_chosen_by_name_folder_or_pattern(
    files: tuple[str, ...], no_files: tuple[str, ...], left: list[str]
) -> None:
    """What is excluded is out, whatever else it matches."""
    assert list(Selection(files, no_files).of(PATHS)) == left


def test_a_name_of_no_file_is_refused() -> None:
    """A typing mistake must not show the machine's file for ever."""
    with pytest.raises(ValueError, match="'proc/stats'"):
        Selection(no_files=("proc/stats",)).of(PATHS)


def test_lists_are_written_as_they_are_read() -> None:
    """Slashes in front do not matter, gaps do."""
    assert patterns(joined(patterns("/proc/stat, cpuinfo"))) == ("proc/stat", "cpuinfo")
    with pytest.raises(ValueError, match="not a list"):
        patterns("proc/stat,,x")
