"""Configuration files that are anything but one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cgscope.yamlfile import ConfigError, load


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is written again and again."""
    return tmp_path_factory.mktemp("yaml") / "some.yaml"


@given(st.text("ab:-[]{}#&*!|>'\"%@` \n\t,?1.~", max_size=40).map(str.encode) | st.binary(max_size=40))
@example(b"&a [*a]")
@example(b"%YAML 9.9\n--- !!binary x")
def test_any_bytes_are_a_document_or_one_error(file: Path, data: bytes) -> None:
    """What PyYAML raises becomes one error that names the file."""
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        load(str(file))
