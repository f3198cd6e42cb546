"""The connection, spoken to over a socket pair in place of /dev/fuse: one request in, at most one answer out."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procfs_fuse.transport import Attr, Entry
from procfs_fuse.transport.kernel import BUFFER_BYTES, Connection
from procfs_fuse.transport.negotiation import Negotiated
from procfs_fuse.transport.wire import (
    ATTR_OUT,
    DIRENT,
    ENTRY_OUT,
    GETATTR_FH,
    GETATTR_IN,
    IN_HEADER,
    INIT_IN,
    INIT_IN_FLAGS2,
    INIT_OUT,
    OPEN_IN,
    OPEN_OUT,
    OUT_HEADER,
    POLL_IN,
    POLL_OUT,
    POLL_SCHEDULE_NOTIFY,
    READ_IN,
    READ_LOCKOWNER,
    RELEASE_IN,
    STATFS_OUT,
    WRITE_IN,
    WRITE_OUT,
    InitFlag,
    Opcode,
    OpenFlag,
)

FILE = Attr(
    ino=10, mode=stat.S_IFREG | 0o444, size=4, mtime_ns=5_000_000_006, attr_valid_ns=10_000_000,
    entry_valid_ns=2_000_000_003, nlink=1, uid=7, gid=8,
)  # fmt: skip
ALL_FEATURES = sum(InitFlag)


class Tree:
    """A file system with one file, one link and a directory; `error` is raised by everything when it is set."""

    def __init__(self, *, cached: bool = False) -> None:
        self.cached = cached
        self.error: Exception | None = None
        self.entries: list[Entry] = []
        self.released: list[tuple[int, int]] = []
        self.opened: list[tuple[int, int, int]] = []

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """Know one name."""
        self._check()
        if (parent, name, pid) != (1, b"file", 77):
            raise OSError(errno.ENOENT, "no such name")
        return FILE

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:
        """Know every node; the size is the number of the open file, if it is asked through one."""
        self._check()
        assert pid == 77
        if fh is not None:
            return replace(FILE, ino=node, size=fh)
        return replace(FILE, ino=node)

    def readlink(self, node: int) -> bytes:
        """Link to a name made of the node."""
        self._check()
        return b"to/%d" % node

    def readdir(self, node: int, pid: int) -> Sequence[Entry]:
        """List what the test put in."""
        self._check()
        assert (node, pid) == (1, 77)
        return self.entries

    def open(self, node: int, flags: int, pid: int) -> int:
        """Remember it."""
        self._check()
        self.opened.append((node, flags, pid))
        return 0xFEDC_BA98_7654_3210

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:
        """Return the arguments, longer than asked."""
        self._check()
        return b"%d %d %d %d %d " % (node, fh, offset, size, pid) + bytes(size)

    def settle(self) -> None:
        """Leave nothing for later."""

    def release(self, node: int, fh: int) -> None:
        """Remember it."""
        self._check()
        self.released.append((node, fh))


class Kernel:
    """The other end: sends requests, receives answers."""

    def __init__(self, tree: Tree, negotiated: Negotiated | None = None) -> None:
        self.socket, self.device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(0)
        self.connection = Connection(self.device.fileno(), tree, negotiated)
        self.unique = 2

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.device.close()

    def ask(self, opcode: int, body: bytes = b"", node: int = 1) -> tuple[int, bytes] | None:
        """Return (errno, body) of the answer to a request; None when it is not answered."""
        self.unique += 2
        self.socket.send(request(opcode, body, node, self.unique))
        assert self.connection.serve()
        try:
            answer = self.socket.recv(BUFFER_BYTES)
        except BlockingIOError:
            return None
        length, error, unique = OUT_HEADER.unpack_from(answer)
        assert (length, unique) == (len(answer), self.unique)
        return -error, answer[OUT_HEADER.size :]

    def succeed(self, opcode: int, body: bytes = b"", node: int = 1) -> bytes:
        """Return the body of an answer that must not be an error."""
        answer = self.ask(opcode, body, node)
        assert answer is not None
        assert answer[0] == 0
        return answer[1]

    def init(self, offered: int = ALL_FEATURES) -> tuple[int, ...]:
        """Do INIT; return the fields of the answer."""
        body = INIT_IN.pack(7, 40, 1 << 20, offered & 0xFFFFFFFF) + INIT_IN_FLAGS2.pack(offered >> 32)
        return INIT_OUT.unpack(self.succeed(Opcode.INIT, body, node=0))


def request(opcode: int, body: bytes, node: int, unique: int) -> bytes:
    """Build a request of pid 77."""
    return IN_HEADER.pack(IN_HEADER.size + len(body), opcode, unique, node, 77) + body


@pytest.fixture
def tree() -> Tree:
    """Return the file system of the `kernel` fixture."""
    return Tree()


@pytest.fixture
def kernel(tree: Tree) -> Iterator[Kernel]:
    """Return the far end of an open connection before INIT."""
    kernel = Kernel(tree)
    yield kernel
    kernel.close()


def test_lookup(kernel: Kernel) -> None:
    """LOOKUP passes the name without its NUL and answers attributes with both validities split in s and ns."""
    assert ENTRY_OUT.unpack(kernel.succeed(Opcode.LOOKUP, b"file\0")) == (
        10, 0, 2, 0, 3, 10_000_000,
        10, 4, 1, 5, 5, 5, 6, 6, 6, stat.S_IFREG | 0o444, 1, 7, 8, 0, 65536, 0,
    )  # fmt: skip
    assert kernel.ask(Opcode.LOOKUP, b"other\0") == (errno.ENOENT, b"")


def test_getattr(kernel: Kernel) -> None:
    """GETATTR answers attributes of the node asked for."""
    assert ATTR_OUT.unpack(kernel.succeed(Opcode.GETATTR, bytes(16), node=99)) == (
        0, 10_000_000,
        99, 4, 1, 5, 5, 5, 6, 6, 6, stat.S_IFREG | 0o444, 1, 7, 8, 0, 65536, 0,
    )  # fmt: skip


def test_getattr_of_an_open_file(kernel: Kernel) -> None:
    """GETATTR passes the handle if there is one, 0 included; as many blocks as the size needs, so no holes."""
    for flags, fh, size, blocks in ((GETATTR_FH, 513, 513, 2), (GETATTR_FH, 0, 0, 0), (0, 513, 4, 1)):
        fields = ATTR_OUT.unpack(kernel.succeed(Opcode.GETATTR, GETATTR_IN.pack(flags, fh), node=99))
        assert fields[3:5] == (size, blocks)


def test_readlink(kernel: Kernel) -> None:
    """READLINK answers the bare target."""
    assert kernel.succeed(Opcode.READLINK, node=5) == b"to/5"


def test_open_read_release(kernel: Kernel, tree: Tree) -> None:
    """The handle of OPEN comes back in READ and RELEASE, all 64 bits of it; direct I/O; never more than asked."""
    fh, flags = OPEN_OUT.unpack(kernel.succeed(Opcode.OPEN, OPEN_IN.pack(os.O_RDWR), node=9))
    assert flags == OpenFlag.DIRECT_IO
    assert tree.opened == [(9, os.O_RDWR, 77)]
    data = kernel.succeed(Opcode.READ, READ_IN.pack(fh, 1 << 40, 64, READ_LOCKOWNER), node=9)
    assert len(data) == 64
    assert data.startswith(b"9 %d %d 64 77 " % (fh, 1 << 40))
    assert kernel.succeed(Opcode.RELEASE, RELEASE_IN.pack(fh), node=9) == b""
    assert tree.released == [(9, fh)]


def test_read_is_bounded_by_the_buffer(kernel: Kernel) -> None:
    """A READ beyond max_read cannot overrun the buffer."""
    assert len(kernel.succeed(Opcode.READ, READ_IN.pack(1, 0, 1 << 31 - 12, READ_LOCKOWNER))) == 128 * 1024


def test_the_page_cache_gets_nothing(kernel: Kernel) -> None:
    """A READ that no process waits for fills the page cache, which readers share: refused on the open connection."""
    assert kernel.ask(Opcode.READ, READ_IN.pack(1, 0, 64, 0)) == (errno.EINVAL, b"")
    assert not kernel.connection.problems.counts
    cached = Kernel(Tree(cached=True))
    assert len(cached.succeed(Opcode.READ, READ_IN.pack(0, 0, 64, 0))) == 64
    cached.close()


def test_init_open_connection(kernel: Kernel) -> None:
    """The open connection asks for no feature by which opens or reads could bypass us."""
    fields = kernel.init()
    assert fields[:3] == (7, 40, 128 * 1024)
    assert fields[4] >= 512
    granted = fields[3] | fields[10] << 32
    assert not granted & (InitFlag.NO_OPEN_SUPPORT | InitFlag.NO_OPENDIR_SUPPORT | InitFlag.AUTO_INVAL_DATA)
    assert granted & InitFlag.HAS_RESEND
    assert kernel.connection.negotiated is not None
    assert kernel.succeed(Opcode.OPENDIR, OPEN_IN.pack(0)) == OPEN_OUT.pack(0, 0)


def test_cached_connection_opens_by_itself() -> None:
    """On the cached connection OPEN and OPENDIR get ENOSYS, but only from a kernel that understands it."""
    tree = Tree(cached=True)
    kernel = Kernel(tree)
    granted = kernel.init()[3]
    assert granted & InitFlag.AUTO_INVAL_DATA
    assert kernel.ask(Opcode.OPEN, OPEN_IN.pack(0)) == (errno.ENOSYS, b"")
    assert kernel.ask(Opcode.OPENDIR, OPEN_IN.pack(0)) == (errno.ENOSYS, b"")
    kernel.close()

    kernel = Kernel(tree)
    kernel.init(offered=0)
    assert kernel.succeed(Opcode.OPEN, OPEN_IN.pack(0)) == OPEN_OUT.pack(0, OpenFlag.KEEP_CACHE)
    assert kernel.succeed(Opcode.OPENDIR, OPEN_IN.pack(0)) == OPEN_OUT.pack(0, 0)
    assert kernel.succeed(Opcode.RELEASE, RELEASE_IN.pack(0)) == b""
    assert (tree.opened, tree.released) == ([], [])
    kernel.close()


def test_taking_over_without_init() -> None:
    """A connection given what another process negotiated behaves as if it had done INIT itself."""
    first = Kernel(Tree(cached=True))
    first.init()
    assert first.connection.negotiated is not None
    second = Kernel(Tree(cached=True), Negotiated.unpack(first.connection.negotiated.pack()))
    assert second.ask(Opcode.OPEN, OPEN_IN.pack(0)) == (errno.ENOSYS, b"")
    first.close()
    second.close()


def test_init_of_a_newer_major_version(kernel: Kernel) -> None:
    """A kernel that speaks 8.x hears 7 and nothing is settled until it sends INIT in our version."""
    answer = kernel.succeed(Opcode.INIT, INIT_IN.pack(8, 0, 0, 0) + INIT_IN_FLAGS2.pack(0), node=0)
    assert INIT_OUT.unpack(answer)[0] == 7
    assert kernel.connection.negotiated is None


def test_init_of_an_old_kernel(kernel: Kernel) -> None:
    """A protocol from before 7.23 is refused."""
    assert kernel.ask(Opcode.INIT, INIT_IN.pack(7, 22, 0, 0), node=0) == (errno.EPROTO, b"")


@pytest.mark.parametrize("opcode", [Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY])
def test_no_answer(kernel: Kernel, opcode: Opcode) -> None:
    """What the kernel does not wait for gets no answer."""
    assert kernel.ask(opcode, bytes(16)) is None


@pytest.mark.parametrize(
    ("opcode", "number"),
    [
        (Opcode.WRITE, errno.EROFS),
        (Opcode.CREATE, errno.EROFS),
        (Opcode.UNLINK, errno.EROFS),
        (Opcode.MKDIR, errno.EROFS),
        (Opcode.SETATTR, errno.EROFS),
        (Opcode.RENAME2, errno.EROFS),
        (Opcode.IOCTL, errno.ENOTTY),
        (Opcode.FLUSH, errno.ENOSYS),
        (Opcode.FSYNC, errno.ENOSYS),
        (Opcode.GETXATTR, errno.ENOSYS),
        (Opcode.LISTXATTR, errno.ENOSYS),
        (Opcode.LSEEK, errno.ENOSYS),
        (Opcode.ACCESS, errno.ENOSYS),
        (44, errno.ENOSYS),
        (2016, errno.ENOSYS),
        (1 << 31, errno.ENOSYS),
    ],
)
def test_refused(kernel: Kernel, opcode: int, number: int) -> None:
    """Changes are refused; what the kernel can do alone and what is unknown gets ENOSYS."""
    body = READ_IN.pack(0, 0, 1, READ_LOCKOWNER) if opcode is Opcode.READ else bytes(64)
    assert kernel.ask(opcode, body) == (number, b"")


def test_poll_is_ready_and_never_enosys(kernel: Kernel) -> None:
    """POLL says readable and writable, as the kernel does for procfs; ENOSYS would stick."""
    assert POLL_OUT.unpack(kernel.succeed(Opcode.POLL, bytes(24)))[0] & select.POLLIN


class Writable(Tree):
    """A tree whose files take writes and pollers."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[int, int, bytes]] = []
        self.pollers: list[int | None] = []

    def write(self, node: int, fh: int, data: bytes, pid: int) -> int:
        """Take all of it."""
        assert pid
        self.written.append((node, fh, data))
        return len(data)

    def poll(self, node: int, fh: int, poller: int | None, pid: int) -> int:
        """Nothing but news."""
        assert (node, fh, bool(pid)) == (5, 7, True)
        self.pollers.append(poller)
        return select.POLLPRI


def test_write_and_poll_reach_a_file_system_that_offers_them() -> None:
    """All bytes that were written and no more; a poller's handle only when somebody waits."""
    tree = Writable()
    kernel = Kernel(tree)
    try:
        kernel.init()
        answer = kernel.succeed(Opcode.WRITE, WRITE_IN.pack(7, 0, 4) + b"somebody", node=5)
        assert (answer, tree.written) == (WRITE_OUT.pack(4), [(5, 7, b"some")])
        answer = kernel.succeed(Opcode.WRITE, WRITE_IN.pack(7, 0, 1 << 30) + b"all", node=5)
        assert (answer, tree.written[1:]) == (WRITE_OUT.pack(3), [(5, 7, b"all")])
        for flags in (0, POLL_SCHEDULE_NOTIFY):
            assert POLL_OUT.unpack(kernel.succeed(Opcode.POLL, POLL_IN.pack(7, 99, flags), node=5)) == (select.POLLPRI,)
        assert tree.pollers == [None, 99]
    finally:
        kernel.close()


def test_statfs(kernel: Kernel) -> None:
    """STATFS answers an empty file system, as procfs does."""
    assert STATFS_OUT.unpack(kernel.succeed(Opcode.STATFS)) == (0, 0, 0, 0, 0, 4096, 255, 4096)


@pytest.mark.parametrize("opcode", [Opcode.LOOKUP, Opcode.GETATTR, Opcode.READLINK, Opcode.OPEN, Opcode.READ])
@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EACCES, "no"), errno.EACCES),
        (OSError(errno.ENOSYS, "sticky"), errno.EIO),
        (OSError("without a number"), errno.EIO),
        (OSError(-2, "negative"), errno.EIO),
        (OSError(4000, "beyond what the kernel takes"), errno.EIO),
        (ValueError("a bug"), errno.EIO),
        (RecursionError(), errno.EIO),
    ],
)
def test_errors(kernel: Kernel, tree: Tree, opcode: Opcode, error: Exception, number: int) -> None:
    """An OSError's number is passed on; ENOSYS and all other exceptions are EIO, counted; the next request works."""
    tree.error = error
    body = READ_IN.pack(0, 0, 1, READ_LOCKOWNER) if opcode is Opcode.READ else bytes(64)
    assert kernel.ask(opcode, body) == (number, b"")
    assert sum(kernel.connection.problems.counts.values()) == (number == errno.EIO)
    tree.error = None
    assert len(kernel.succeed(Opcode.GETATTR, bytes(16))) == ATTR_OUT.size


def test_nothing_to_read(kernel: Kernel) -> None:
    """Without a request `serve` returns at once."""
    assert not kernel.connection.serve()


def test_requests_are_counted(kernel: Kernel) -> None:
    """Requests are counted by opcode, unknown ones under 0."""
    for opcode in (Opcode.STATFS, Opcode.STATFS, Opcode.FORGET, 5000):
        kernel.ask(opcode, bytes(8))
    counted = {opcode: count for opcode, count in enumerate(kernel.connection.requests) if count}
    assert counted == {Opcode.STATFS: 2, Opcode.FORGET: 1, 0: 1}
    assert kernel.connection.operations == {"other": 1, "forget": 1, "statfs": 2}


def test_a_vanished_kernel_does_no_harm(kernel: Kernel) -> None:
    """An answer that cannot be delivered is counted, not raised."""
    kernel.socket.send(request(Opcode.STATFS, b"", 1, 4))
    kernel.socket.close()
    assert kernel.connection.serve()
    assert kernel.connection.problems.counts == {"write: EPIPE": 1}


def test_a_handle_that_nobody_got_is_released(kernel: Kernel, tree: Tree) -> None:
    """An OPEN whose answer nobody waits for is taken back: no RELEASE would ever come."""
    kernel.socket.send(request(Opcode.OPEN, OPEN_IN.pack(0), 9, 4))
    kernel.socket.close()
    assert kernel.connection.serve()
    assert tree.released == [(9, 0xFEDC_BA98_7654_3210)]


def test_a_refused_request_gets_eio(kernel: Kernel) -> None:
    """A request that somebody else has read can be ended by its number."""
    kernel.connection.refuse(8)
    assert kernel.socket.recv(100) == OUT_HEADER.pack(OUT_HEADER.size, -errno.EIO, 8)


def test_recovery_from_the_journal(tree: Tree) -> None:
    """A request left in an injected buffer is answered by the next process, once."""
    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    left = request(Opcode.READLINK, b"", 42, 6)
    buffer = memoryview(bytearray(left.ljust(BUFFER_BYTES, b"\xff")))
    connection = Connection(near.fileno(), tree, buffer=buffer)
    assert connection.recover()
    assert far.recv(100) == OUT_HEADER.pack(OUT_HEADER.size + 5, 0, 6) + b"to/42"
    assert not connection.recover()
    far.close()
    near.close()


def test_the_journal_is_empty_between_requests() -> None:
    """While a request is answered the buffer holds it; afterwards it says that there is none."""
    buffer = memoryview(bytearray(BUFFER_BYTES))
    seen: list[bytes] = []

    class Watching(Tree):
        def readlink(self, node: int) -> bytes:
            seen.append(bytes(buffer[: IN_HEADER.size]))
            return super().readlink(node)

    far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection = Connection(near.fileno(), Watching(), buffer=buffer)
    far.send(request(Opcode.READLINK, b"", 42, 6))
    assert connection.serve()
    assert seen == [request(Opcode.READLINK, b"", 42, 6)]
    assert bytes(buffer[:4]) == bytes(4)
    assert not connection.recover()
    far.close()
    near.close()


def test_a_small_buffer_is_refused(tree: Tree) -> None:
    """A journal that could not take every answer is refused at once."""
    near, far = os.pipe()
    with pytest.raises(ValueError, match=str(BUFFER_BYTES)):
        Connection(near, tree, buffer=memoryview(bytearray(BUFFER_BYTES - 1)))
    os.close(near)
    os.close(far)


def listing(kernel: Kernel, cookie: int, size: int) -> list[tuple[bytes, int, int, int]]:
    """Return (name, ino, kind, cookie) of one READDIR."""
    data = kernel.succeed(Opcode.READDIR, READ_IN.pack(0, cookie, size, 0))
    assert len(data) <= size
    found = []
    while data:
        ino, next_cookie, length, kind = DIRENT.unpack_from(data)
        end = DIRENT.size + length
        found.append((data[DIRENT.size : end], ino, kind, next_cookie))
        padded = -(-end // 8) * 8
        assert data[end:padded] == bytes(padded - end)
        data = data[padded:]
    return found


names = st.binary(min_size=1, max_size=255)
inos = st.integers(min_value=3, max_value=2**63 - 1)


@given(
    entries=st.dictionaries(inos, names, max_size=40),
    size=st.integers(min_value=280, max_value=5000),
    changes=st.lists(st.tuples(inos, st.booleans()), max_size=8),
)
def test_readdir_in_pieces(entries: dict[int, bytes], size: int, changes: list[tuple[int, bool]]) -> None:
    """Pieces of any size make up the listing; entries that stay are listed once while others come and go."""
    tree = Tree()
    kernel = Kernel(tree)
    present = dict(entries)
    stable = set(entries)
    found: list[tuple[bytes, int, int, int]] = []
    cookie = 0
    while True:
        tree.entries = [Entry(name, ino, 8) for ino, name in sorted(present.items())]
        piece = listing(kernel, cookie, size)
        if not piece:
            break
        found += piece
        cookie = piece[-1][3]
        if changes:
            ino, come = changes.pop()
            if come:
                present.setdefault(ino, b"new")
            else:
                present.pop(ino, None)
                stable.discard(ino)
    kernel.close()
    assert [name for name, *_ in found[:2]] == [b".", b".."]
    listed = [ino for _, ino, _, _ in found[2:]]
    assert listed == sorted(set(listed))
    assert stable <= set(listed)
    assert all(name == entries[ino] for name, ino, _, _ in found[2:] if ino in stable)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    """Whatever is read, nothing is raised and the next request is answered."""
    logging.disable(logging.CRITICAL)  # thousands of expected complaints
    kernel = Kernel(Tree())
    kernel.socket.send(data or b"\0")
    assert kernel.connection.serve()
    while select.select([kernel.socket], [], [], 0)[0]:
        kernel.socket.recv(BUFFER_BYTES)
    assert kernel.succeed(Opcode.READLINK, node=3) == b"to/3"
    kernel.close()
    logging.disable(logging.NOTSET)


@given(
    opcode=st.one_of(st.sampled_from(Opcode), st.integers(min_value=0, max_value=2**32 - 1)),
    body=st.binary(max_size=200),
    node=st.integers(min_value=0, max_value=2**64 - 1),
    cached=st.booleans(),
)
def test_any_body_is_survived(opcode: int, body: bytes, node: int, *, cached: bool) -> None:
    """A proper header before any body: at most one answer, whose header is sound, or none where none is due."""
    logging.disable(logging.CRITICAL)
    kernel = Kernel(Tree(cached=cached))
    answer = kernel.ask(opcode, body, node)
    if answer is not None:
        assert 0 <= answer[0] < 512
        assert answer[0] == 0 or answer[1] == b""
    assert kernel.succeed(Opcode.READLINK, node=3) == b"to/3"
    kernel.close()
    logging.disable(logging.NOTSET)
