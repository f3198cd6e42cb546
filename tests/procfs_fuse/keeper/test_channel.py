"""The channel between keeper, nursery and workers."""

from __future__ import annotations

import os

import pytest

from procfs_fuse.keeper.channel import Channel, Closed


def test_descriptors_arrive_for_one_program_only() -> None:
    """A message comes whole with its descriptors, which no program that is executed inherits; then the end shows."""
    ours, theirs = Channel.pair()
    other = Channel(theirs)
    reader, writer = os.pipe()
    assert ours.receive() is None
    assert ours.send({"serve": 1}, [reader, writer])
    received = other.receive()
    assert received is not None
    message, found = received
    assert message == {"serve": 1}
    assert [os.get_inheritable(fd) for fd in found] == [False, False]
    os.write(found[1], b"x")
    assert os.read(reader, 1) == b"x"
    ours.close()
    with pytest.raises(Closed):
        other.receive()
    assert not other.send({})
    other.close()
    for fd in (reader, writer, *found):
        os.close(fd)
