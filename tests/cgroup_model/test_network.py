"""Counters of network interfaces, as the kernel writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.network import parse_net_dev
from cgroup_model.parse import ParseError
from cgroup_model.rates import Interface

HEAD = b"Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo ...\n"


def test_fields_are_received_then_sent() -> None:
    """Eight fields each; names may hold a colon, and old kernels leave no blank behind it."""
    lines = b"    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\neth0:1:21 0 0 0 0 0 0 0 22 0 0 0 0 0 0 0\n"
    assert parse_net_dev(HEAD + lines) == (
        Interface("lo", 1, 2, 3, 4, 9, 10, 11, 12),
        Interface("eth0:1", 21, 0, 0, 0, 22, 0, 0, 0),
    )


def test_no_interfaces() -> None:
    """A fresh namespace may have none."""
    assert parse_net_dev(HEAD) == ()


@given(st.binary())
def test_nonsense_is_a_parse_error(line: bytes) -> None:
    """Whatever is in the file: records, or ParseError."""
    try:
        parse_net_dev(HEAD + line)
    except ParseError:
        return


@pytest.mark.parametrize("line", [b"eth0 1 2 3", b"eth0: 1 2 3", b"eth0:" + b" x" * 16])
def test_short_and_wrong_lines(line: bytes) -> None:
    """Too few fields or no numbers."""
    with pytest.raises(ParseError):
        parse_net_dev(HEAD + line)
