"""What is agreed on at INIT."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procfs_fuse.transport.negotiation import MAX_BACKGROUND, MAX_READ, Negotiated, negotiate
from procfs_fuse.transport.wire import INIT_IN, INIT_IN_FLAGS2, INIT_OUT, MINOR, InitFlag

u32 = st.integers(min_value=0, max_value=2**32 - 1)


@given(minor=st.integers(min_value=23, max_value=200), readahead=u32, flags=u32, flags2=u32, cached=st.booleans())
def test_only_what_is_offered(minor: int, readahead: int, flags: int, flags2: int, *, cached: bool) -> None:
    """Nothing is granted that the kernel did not offer, flags2 counts only with INIT_EXT, the outcome round-trips."""
    outcome = negotiate(INIT_IN.pack(7, minor, readahead, flags) + INIT_IN_FLAGS2.pack(flags2), cached=cached)
    offered = flags | (flags2 << 32 if flags & InitFlag.INIT_EXT else 0)
    assert outcome.offered == offered
    assert not outcome.granted & ~offered
    assert outcome.minor == min(minor, MINOR)
    assert outcome.max_readahead == min(readahead, MAX_READ)
    assert outcome.has_resend == bool(offered & InitFlag.HAS_RESEND)
    assert outcome.without_open == (cached and bool(offered & InitFlag.NO_OPEN_SUPPORT))
    assert Negotiated.unpack(outcome.pack()) == outcome


def test_short_init_of_older_kernels() -> None:
    """Before 7.36 the request has no flags2; INIT_EXT cannot be set then, and nothing is read beyond the end."""
    outcome = negotiate(INIT_IN.pack(7, 32, 4096, InitFlag.NO_OPEN_SUPPORT), cached=True)
    assert outcome.granted == InitFlag.NO_OPEN_SUPPORT


def test_answer() -> None:
    """The answer carries the low flags, and in flags2 the high ones, and many background requests."""
    outcome = negotiate(INIT_IN.pack(7, 45, 1 << 20, 2**32 - 1) + INIT_IN_FLAGS2.pack(2**32 - 1), cached=False)
    fields = INIT_OUT.unpack(outcome.init_out())
    assert fields[3] | fields[10] << 32 == outcome.granted
    assert fields[4] == MAX_BACKGROUND >= 512
    assert 0 < fields[5] <= fields[4]
    assert fields[7] == 1


@pytest.mark.parametrize("version", [(7, 22), (6, 99), (0, 0)])
def test_too_old(version: tuple[int, int]) -> None:
    """Older protocols are refused with a sentence that names both versions."""
    with pytest.raises(OSError, match=r"7\.23") as caught:
        negotiate(INIT_IN.pack(*version, 0, 0), cached=True)
    assert caught.value.errno == errno.EPROTO
