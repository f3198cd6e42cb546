"""The transport with the real kernel: a toy file system, served by a child process on both kinds of connection."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from procfs_fuse.transport import mounting
from procfs_fuse.transport.negotiation import Negotiated
from procfs_fuse.transport.wire import Opcode
from tests.integration import toy_filesystem as toy

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 20

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(mounting.DEVICE), reason="mounting needs root and /dev/fuse"
)


class Mounted:
    """A mount point and the process that serves it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.path = tempfile.mkdtemp(prefix="cgscope-test-")
        os.chmod(self.path, 0o755)  # noqa: S103 - another user reads, too
        self.fd = mounting.open_device()
        mounting.mount(self.fd, self.path, read_only=kind == "cached")
        self.server = self.start()

    def start(self, negotiated: str = "") -> subprocess.Popen[str]:
        """Start a server on the descriptor that we hold."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.toy_filesystem", str(self.fd), self.kind, negotiated],
            cwd=REPOSITORY, pass_fds=[self.fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, command: str) -> Any:  # noqa: ANN401
        """Return the server's answer to a command."""
        stdin, stdout = _pipes(self.server)
        stdin.write(command + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    def requests(self, opcode: Opcode) -> int:
        """Return how many requests of a kind the server has read."""
        return int(self.ask("requests")[opcode])

    def close_descriptor(self) -> None:
        """Leave the server as the only holder of the connection."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        """Unmount whatever state the mount is in, and end the server."""
        try:
            mounting.unmount(self.path, detach=True, abort=True)
        except OSError as error:
            assert error.errno == errno.EINVAL, error  # noqa: PT017 - unmounted by the test
        self.close_descriptor()
        end(self.server)
        os.rmdir(self.path)


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def end(process: subprocess.Popen[str]) -> None:
    """Close the server's pipes, which stops it, and reap it."""
    for pipe in _pipes(process):
        pipe.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@pytest.fixture(params=["open", "cached"])
def mounted(request: pytest.FixtureRequest) -> Iterator[Mounted]:
    """Return a served mount of either kind."""
    mounted = Mounted(request.param)
    yield mounted
    mounted.close()


@pytest.fixture
def cached() -> Iterator[Mounted]:
    """Return a served mount with page cache."""
    mounted = Mounted("cached")
    yield mounted
    mounted.close()


@pytest.fixture
def direct() -> Iterator[Mounted]:
    """Return a served mount without."""
    mounted = Mounted("open")
    yield mounted
    mounted.close()


def test_reading(mounted: Mounted) -> None:
    """Whole, in odd pieces, rewound, at any offset, beyond the end: always the same bytes, and EOF is empty."""
    expected = toy.text()
    assert Path(mounted.path, "text").read_bytes() == expected
    fd = os.open(f"{mounted.path}/text", os.O_RDONLY)
    pieces = []
    while piece := os.read(fd, 7919):
        pieces.append(piece)
    assert b"".join(pieces) == expected
    assert os.read(fd, 10) == b""
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.read(fd, 100) == expected[:100]
    for offset, size in ((0, 1), (4095, 2), (131_071, 3), (len(expected) - 5, 100), (len(expected), 10), (1 << 40, 1)):
        assert os.pread(fd, size, offset) == expected[offset : offset + size]
    assert os.fstat(fd).st_size == os.lseek(fd, 0, os.SEEK_END) == len(expected)
    os.close(fd)


def test_listing(mounted: Mounted) -> None:
    """All entries of a directory larger than one READDIR are listed once, by any tool."""
    names = sorted(os.listdir(f"{mounted.path}/dir"))
    assert names == [f"entry-{number:04}" for number in range(500)]
    listed = subprocess.run(["ls", "-a", mounted.path], check=True, capture_output=True, text=True).stdout.split()
    assert sorted(listed) == sorted([".", "..", *(name.decode() for name in toy.NODES)])
    assert sorted(entry.inode() for entry in os.scandir(f"{mounted.path}/dir")) == list(range(1000, 1500))


def test_names_and_links(mounted: Mounted) -> None:
    """Links are followed, unknown names are ENOENT, a file is no directory."""
    assert os.readlink(f"{mounted.path}/link") == "text"
    assert Path(mounted.path, "link").read_bytes() == toy.text()
    with pytest.raises(FileNotFoundError):
        os.stat(f"{mounted.path}/unknown")
    with pytest.raises(NotADirectoryError):
        os.stat(f"{mounted.path}/text/below")


def test_attributes(mounted: Mounted) -> None:
    """What `getattr` says is what stat shows."""
    found = os.stat(f"{mounted.path}/secret")
    assert (found.st_ino, found.st_mode, found.st_size) == (toy.SECRET, 0o100400, 7)
    assert (found.st_mtime_ns, found.st_blksize, found.st_blocks) == (1, 65536, 1)
    assert os.statvfs(mounted.path).f_namemax == 255


def test_permissions(mounted: Mounted) -> None:
    """Another user gets in (allow_other) and is held to the mode bits (default_permissions)."""
    ours = subprocess.run(["cat", f"{mounted.path}/secret"], check=False, capture_output=True)
    assert ours.stdout == b"secret\n"
    theirs = subprocess.run(
        ["cat", f"{mounted.path}/changing", f"{mounted.path}/secret"],
        check=False, capture_output=True, user=65534, group=65534, extra_groups=[],
    )  # fmt: skip
    assert theirs.stdout.startswith(b"generation ")
    assert b"ermission denied" in theirs.stderr
    assert theirs.returncode == 1


def test_refusals(mounted: Mounted) -> None:
    """Whatever would change the tree fails with a number that says so; extended attributes are not supported."""
    # A request longer than the buffer is refused by the kernel; a read-only mount refuses both before.
    too_long, unsupported = (errno.E2BIG, errno.EOPNOTSUPP) if mounted.kind == "open" else (errno.EROFS, errno.EROFS)
    for number, attempt in (
        (errno.EROFS, lambda: os.mkdir(f"{mounted.path}/new")),
        (errno.EROFS, lambda: os.unlink(f"{mounted.path}/text")),
        (errno.EROFS, lambda: os.close(os.open(f"{mounted.path}/new", os.O_CREAT | os.O_WRONLY))),
        (errno.EROFS, lambda: os.chmod(f"{mounted.path}/text", 0o600)),
        (errno.EROFS, lambda: os.rename(f"{mounted.path}/text", f"{mounted.path}/other")),
        (errno.EOPNOTSUPP, lambda: os.getxattr(f"{mounted.path}/text", "user.any")),
        (too_long, lambda: os.setxattr(f"{mounted.path}/text", "user.any", b"x" * 20_000)),
        (unsupported, lambda: os.setxattr(f"{mounted.path}/text", "user.any", b"x")),
        (errno.EROFS, lambda: Path(mounted.path, "text").write_bytes(b"x")),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked
            attempt()
        assert caught.value.errno == number
    assert mounted.ask("problems") == {}


def test_polling_stays_possible(direct: Mounted) -> None:
    """Poll says ready and still asks the server the next time; opens are still sent as well."""
    for turn in (1, 2):
        fd = os.open(f"{direct.path}/text", os.O_RDONLY)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(0) == [(fd, select.POLLIN)]
        os.close(fd)
        assert direct.requests(Opcode.POLL) == turn
        assert direct.requests(Opcode.OPEN) == turn


def test_open_connection_is_asked_every_time(direct: Mounted) -> None:
    """Every open and every rewound read gets content of its own, handles included when they are closed."""
    first = Path(direct.path, "changing").read_bytes()
    second = Path(direct.path, "changing").read_bytes()
    assert first != second
    fd = os.open(f"{direct.path}/changing", os.O_RDONLY)
    third = os.read(fd, 100_000)
    assert os.pread(fd, 100_000, 0) != third
    assert direct.ask("handles") == 1
    os.close(fd)
    wait_for(lambda: direct.ask("handles") == 0)


def test_cached_connection_is_asked_once_per_ttl(cached: Mounted) -> None:
    """OPEN and OPENDIR are sent once for the whole mount; while attributes are valid reads cost no request."""
    for _ in range(50):
        assert Path(cached.path, "text").read_bytes() == toy.text()
        os.listdir(cached.path)
    assert cached.requests(Opcode.OPEN) == 1
    assert cached.requests(Opcode.OPENDIR) == 1
    assert cached.requests(Opcode.RELEASE) == 0
    reads = cached.requests(Opcode.READ)
    for _ in range(50):
        assert Path(cached.path, "text").read_bytes() == toy.text()
    assert cached.requests(Opcode.READ) == reads


def test_cached_content_changes_with_the_ttl(cached: Mounted) -> None:
    """After the TTL there is a new generation of the same length, whole, also for a descriptor that is rewound."""
    fd = os.open(f"{cached.path}/changing", os.O_RDONLY)
    seen = set()

    def enough() -> bool:
        content = os.pread(fd, 100_000, 0)
        number = int(content.split()[1])
        assert content == toy.generation(number)
        seen.add(number)
        return len(seen) >= 5

    wait_for(enough)
    os.close(fd)


def test_invalidation(cached: Mounted) -> None:
    """Content that is valid for an hour changes at once when the server says so, and names are looked up again."""
    path = Path(cached.path, "slow")
    assert path.read_bytes() == b"old"
    cached.ask("slow new")
    assert path.read_bytes() == b"old"
    lookups = cached.requests(Opcode.LOOKUP)
    cached.ask("forget slow")
    wait_for(lambda: path.read_bytes() == b"new")
    wait_for(lambda: path.exists() and cached.requests(Opcode.LOOKUP) > lookups)


def test_many_readers(mounted: Mounted) -> None:
    """Readers side by side all get whole content."""
    failures: list[object] = []

    def reader() -> None:
        for _ in range(100):
            content = Path(mounted.path, "changing").read_bytes()
            # A split read of the cached file may see two generations, each line whole.
            if {len(line) for line in content.splitlines()} != {21} or len(content) != len(toy.generation(0)):
                failures.append(content)

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_unmounting_ends_the_server(mounted: Mounted) -> None:
    """After a plain unmount the server finds its connection finished and ends without a complaint."""
    fd = os.open(f"{mounted.path}/text", os.O_RDONLY)
    with pytest.raises(OSError, match="in use"):
        mounting.unmount(mounted.path)
    os.close(fd)
    wait_for(lambda: unmounted(mounted.path))
    assert mounted.server.wait(PATIENCE_SECONDS) == 0
    assert mounting.mount_at(mounted.path) is None


def test_killed_server(mounted: Mounted) -> None:
    """With the last holder killed every access fails at once; the mount is seen to be ours and dead."""
    mounted.close_descriptor()
    assert Path(mounted.path, "secret").read_bytes() == b"secret\n"
    found = mounting.mount_at(mounted.path)
    assert found is not None
    assert found.is_ours
    live = mounting.live_connections()
    assert live is None or found.connection in live
    mounted.server.kill()
    mounted.server.wait()
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.listdir(mounted.path)
    assert mounting.mount_at(mounted.path) == found
    live = mounting.live_connections()
    assert live is None or found.connection not in live


def test_abort(direct: Mounted) -> None:
    """Aborting ends the connection even while it is in use and held."""
    fd = os.open(f"{direct.path}/text", os.O_RDONLY)
    with pytest.raises(OSError, match="in use"):
        mounting.unmount(direct.path, abort=True)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.read(fd, 1)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.close(fd)  # closed all the same; the kernel reports that FLUSH was not delivered
    assert direct.server.wait(PATIENCE_SECONDS) == 0


def test_takeover(mounted: Mounted) -> None:
    """A held descriptor outlives its server: the next process serves on with what was negotiated, without INIT."""
    assert Path(mounted.path, "secret").read_bytes() == b"secret\n"
    negotiated = mounted.ask("negotiated")
    assert Negotiated.unpack(bytes.fromhex(negotiated)).max_background >= 512
    mounted.server.kill()
    mounted.server.wait()
    for pipe in _pipes(mounted.server):
        pipe.close()
    mounted.server = mounted.start(negotiated)
    assert Path(mounted.path, "text").read_bytes() == toy.text()
    assert mounted.requests(Opcode.INIT) == 0
    assert mounted.requests(Opcode.OPEN) == (1 if mounted.kind == "open" else 0)


def test_mount_errors(tmp_path: Path) -> None:
    """Mounting on what is not there, or on a file, says so."""
    fd = mounting.open_device()
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        mounting.mount(fd, str(tmp_path / "missing"))
    with pytest.raises(NotADirectoryError, match="not a directory"):
        mounting.mount(fd, str(tmp_path / "file"))
    with pytest.raises(OSError, match="options"):
        mounting.mount(fd, str(tmp_path), options=["nonsense=1"])
    os.close(fd)


def test_mounting_without_rights(tmp_path: Path) -> None:
    """A process without CAP_SYS_ADMIN is told what is needed."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) drops the capability for this test")
    code = f"import os; from procfs_fuse.transport import mounting; mounting.mount(0, {str(tmp_path)!r})"
    outcome = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", sys.executable, "-c", code],
        check=False, capture_output=True, text=True, cwd=REPOSITORY, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "CAP_SYS_ADMIN" in outcome.stderr


def unmounted(path: str) -> bool:
    """Unmount; False while somebody (a RELEASE under way) still uses it."""
    try:
        mounting.unmount(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def wait_for(condition: Any) -> None:  # noqa: ANN401
    """Wait until a condition holds; fail after a time that no working machine needs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
