"""The container image's recipe: what it copies is there, what it starts is understood, nothing else gets in."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import yaml

from procfs_fuse.cli import whole_parser

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy/kubernetes/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Give instructions with their words, lines that go on put together."""
    text = RECIPE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, words) for name, words in lines]


def test_the_recipe_is_in_order() -> None:
    """Two stages from one base that can be chosen; the second has what the first made, where PATH looks for it."""
    found = instructions()
    assert [name for name, _ in found] == ["ARG", "FROM", "COPY", "RUN", "FROM", "COPY", "ENV", "CMD"]
    arguments = dict(word.split("=", 1) for name, words in found if name == "ARG" for word in words.split())
    bases = [re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], words) for name, words in found if name == "FROM"]
    assert bases[0].removesuffix(" AS build") == bases[1]
    copied = dict(found)["COPY"].split()
    assert copied[0] == "--from=build"
    assert copied[1] == copied[2]
    assert f"PATH={copied[2]}/bin:" in dict(found)["ENV"]
    assert f"python3 -m venv {copied[2]}" in next(words for name, words in found if name == "RUN")


def test_its_command_is_understood() -> None:
    """What it starts by itself, and what the manifests start, are commands of ours with options that exist."""
    started = json.loads(dict(instructions())["CMD"])
    for path in (ROOT / "deploy/kubernetes/base").glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] == "DaemonSet" and document["metadata"]["name"] == "procfs-fuse":
                (container,) = document["spec"]["template"]["spec"]["containers"]
                assert container["args"] == started
    assert started[0] == "procfs-fuse"
    whole_parser().parse_args(started[1:])


def test_what_is_sent_to_the_builder() -> None:
    """Everything that pip builds from is let in by .dockerignore, which lets in nothing that is not there."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / name).exists() for name in let_in)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"pyproject.toml", project["project"]["readme"], "LICENSE"} <= let_in


def test_the_documented_command_builds_it() -> None:
    """The command on the recipe's first line names the recipe, seen from the project's folder."""
    command = shlex.split(RECIPE.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition("  ")[0])
    assert command[:2] == ["docker", "build"]
    assert (ROOT / command[command.index("-f") + 1]).samefile(RECIPE)
    assert (ROOT / command[-1]).samefile(ROOT)
