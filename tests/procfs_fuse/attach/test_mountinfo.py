"""The list of a process's mounts, and anything else in its place."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from procfs_fuse.attach.mountinfo import parse

LINE = rb"36 31 0:33 /containers/a\040b /proc/stat ro,nosuid shared:9 - fuse.procfs-fuse procfs-fuse:/srv/p ro"
PARTS = [LINE, b" - ", b"\n", b"1 ", b"0:33 ", b"/ ", rb"\777", rb"\040", b"shared:1 ", b"shared: ", b"\xff"]


def test_a_line() -> None:
    """Escapes are undone, and the group of peers is found."""
    (found,) = parse(LINE)
    assert (found.id, found.parent, found.device, found.root) == (36, 31, "0:33", "/containers/a b")
    assert (found.mountpoint, found.peers, found.source) == ("/proc/stat", 9, "procfs-fuse:/srv/p")
    assert found.of_one_container


@example(rb"x 31 0:33 / /proc/stat ro - fuse.procfs-fuse a ro")
@example(rb"36 31 0:33 /\777 /proc/stat ro - fuse.procfs-fuse a ro")
@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_any_bytes_are_lines_or_left_out(data: bytes) -> None:
    """What has not the form of a line is no mount; nothing raises."""
    assert len(parse(data)) <= len(data.splitlines())
