"""Settings survive, and a damaged file keeps nobody from looking."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctop.settings import Settings, load, path_of, save


def test_round_trip(tmp_path: Path) -> None:
    """What is saved is what is loaded."""
    path = str(tmp_path / "a" / "ctop.yaml")
    settings = Settings(
        delay=2.5, columns=("name", "cpu"), sort="memory", tree=True, group="pod", theme="safe", head=False
    )
    save(path, settings)
    assert load(path) == settings


def test_no_file_is_defaults(tmp_path: Path) -> None:
    """The first start needs nothing."""
    assert load(str(tmp_path / "none")) == Settings()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "- 1",
        "delay: no",
        "delay: -1",
        "delay: true",
        "columns: [cpuu]",
        "columns: 5",
        "sort: [a]",
        "unknown: 1",
        "\x00",
        "1: 2",
    ],
)
def test_damage_is_a_hint(tmp_path: Path, content: str) -> None:
    """Whatever the file holds: the defaults, and one line about it."""
    path = tmp_path / "ctop.yaml"
    path.write_text(content, encoding="utf-8")
    settings = load(str(path))
    assert settings.hint.startswith(str(path))
    assert (settings.delay, settings.columns, settings.sort) == (Settings().delay, Settings().columns, Settings().sort)


def test_place_follows_xdg() -> None:
    """XDG_CONFIG_HOME, else ~/.config."""
    assert path_of({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == "/x/cgscope/ctop.yaml"
    assert path_of({"HOME": "/h"}) == "/h/.config/cgscope/ctop.yaml"
