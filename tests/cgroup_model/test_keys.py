"""Keys of containers: one safe path component for each."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.keys import container_keys, escape_path, unescape_path

# What a path may hold: any bytes but NUL, as Python decodes them.
PATHS = st.binary(min_size=1, max_size=400).filter(lambda raw: b"\0" not in raw).map(os.fsdecode)
SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-%~")


@given(PATHS)
def test_a_key_is_one_safe_path_component(path: str) -> None:
    """Whatever a cgroup is called, its key can be a file name and leads nowhere else."""
    key = escape_path(path)
    assert 1 <= len(key.encode()) <= 255
    assert set(key) <= SAFE
    assert key not in {".", ".."}


@given(PATHS)
def test_a_key_that_was_not_cut_gives_the_path_back(path: str) -> None:
    """Round trip; a key that was cut is refused instead of giving another path."""
    key = escape_path(path)
    if "~" in key:
        with pytest.raises(ValueError, match="not the key"):
            unescape_path(key)
    else:
        assert unescape_path(key) == path


@given(PATHS, PATHS)
def test_different_paths_have_different_keys(one: str, other: str) -> None:
    """Two containers never share a key."""
    assert (escape_path(one) == escape_path(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "key"),
    [("/docker/abc", "%2Fdocker%2Fabc"), (".", "%2E"), ("..", "%2E%2E"), ("/a b~%", "%2Fa%20b%7E%25"), ("ab", "ab")],
)
def test_keys_are_readable(path: str, key: str) -> None:
    """Only what is not plain is quoted: people read these names."""
    assert escape_path(path) == key


def test_long_paths_differ_by_their_hash() -> None:
    """Paths that are the same in the first 255 characters still have different keys."""
    long = "/" + "x" * 300
    assert escape_path(long + "a") != escape_path(long + "b")
    assert len(escape_path(long)) == 255
    assert len(escape_path("/" + "x" * 252)) == 255
    assert "~" not in escape_path("/" + "x" * 252)


@pytest.mark.parametrize(
    "key", ["", "%2f", "%41", ".", "..", "a/b", "%", "%2", "%zz", "a~", "\n", "a\n", "é", "%2E%2e"]
)
def test_only_what_escape_makes_is_a_key(key: str) -> None:
    """A second spelling of a key would be a second directory of one container."""
    with pytest.raises(ValueError, match="not the key"):
        unescape_path(key)


def test_the_empty_path_has_no_key() -> None:
    """An empty file name does not exist."""
    with pytest.raises(ValueError, match="empty"):
        escape_path("")


def test_containers_go_by_id_where_it_is_unique() -> None:
    """An id that two cgroups claim names neither; without an id the path does."""
    ids = {"/a/one": "one", "/b/two": "two", "/c/two": "two", "/d": None, "/e": "x/y"}
    assert container_keys(ids, ids.get) == {
        "one": "/a/one",
        "%2Fb%2Ftwo": "/b/two",
        "%2Fc%2Ftwo": "/c/two",
        "%2Fd": "/d",
        "x%2Fy": "/e",
    }


@given(st.dictionaries(PATHS.map(lambda path: "/" + path), st.none() | PATHS, max_size=8))
def test_no_container_loses_its_key(ids: dict[str, str | None]) -> None:
    """Whatever ids strangers choose, also escaped paths of others, every container has exactly one key."""
    keys = container_keys(ids, ids.get)
    assert sorted(keys.values()) == sorted(ids)
