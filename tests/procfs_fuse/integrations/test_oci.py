"""What an OCI runtime hands over, and anything else in its place."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgscope.errors import Failure
from procfs_fuse.integrations.oci import read

KEYS = st.sampled_from(["linux", "root", "path", "maskedPaths", "readonlyPaths", "annotations", "id", "other"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A container's folder."""
    return tmp_path_factory.mktemp("bundle")


@given(st.dictionaries(KEYS, JSON), JSON)
def test_any_document_is_a_container_or_refused(bundle: Path, state: dict[str, object], configuration: object) -> None:
    """A hook that is called with what it does not know says so in one line."""
    (bundle / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
    with contextlib.suppress(Failure):
        assert read(json.dumps({**state, "bundle": str(bundle)})).root.startswith("/")
