"""The same file system over libfuse 2, through fusepy: for hosts where that is preferred to the kernel's own protocol.

libfuse asks by path and not by node, from a thread of its own. So every path is looked up from the root, and every
request is handed to the thread of the event loop, in which everything else happens, too.

What this transport cannot do: keep pages in the kernel's cache (libfuse answers OPEN itself), wake pollers (fusepy has
no poll), and hand its descriptor to another process (libfuse keeps it). fusepy 3.0.1, libfuse 2.9 (include/fuse.h).
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from procfs_fuse.transport import ROOT_NODE, Attr, Entry, FileSystem
from procfs_fuse.transport.loop import Loop
from procfs_fuse.transport.mounting import FSTYPE
from procfs_fuse.transport.problems import Problems

CANNOT: Final = ("page cache", "pressure triggers", "survival of a crash", "restart")
"""What `status` and the documentation name as missing with this transport."""

_MOUNT_SECONDS: Final = 30.0
_NS: Final = 1_000_000_000

_logger = logging.getLogger(__name__)


class Unusable(Exception):
    """fusepy or libfuse is not there; the text says what to install."""


class FusepyConnection:
    """A file system mounted through libfuse; requests are answered in the thread that runs ``loop``."""

    def __init__(self, mountpoint: str, filesystem: FileSystem, loop: Loop, *, fsname: str = "procfs-fuse") -> None:
        """Import fusepy, which loads libfuse. Raises `Unusable`."""
        self._mountpoint = mountpoint
        self._fsname = fsname
        self._library = _load()
        self._handoff = _Handoff(loop)
        self._operations = _Operations(filesystem, self._library.fuse_get_context, self._handoff, loop.problems)
        self._ended = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="libfuse", daemon=True)

    @property
    def requests(self) -> int:
        """How many requests have been answered."""
        return self._operations.requests

    @property
    def is_over(self) -> bool:
        """Whether nothing is mounted any more."""
        return self._ended.is_set()

    def start(self, on_finished: Callable[[], object]) -> None:
        """Mount; ``on_finished`` is called in the loop when it was unmounted. Raises OSError when that fails."""
        self._on_finished = on_finished
        self._thread.start()
        deadline = _MOUNT_SECONDS
        if not self._operations.mounted.wait(deadline) or self._ended.is_set():
            raise OSError(
                errno.EIO, f"libfuse could not mount ({self._problem or 'it does not answer'})", self._mountpoint
            )

    def close(self) -> None:
        """Give back what is left after the mount ended."""
        self._handoff.close()

    def _run(self) -> None:
        """Serve until unmounted; libfuse keeps this thread until then."""
        try:
            self._library.FUSE(
                self._operations,
                self._mountpoint,
                foreground=True,
                nothreads=True,
                direct_io=True,
                allow_other=True,
                default_permissions=True,
                use_ino=True,
                ro=True,
                nosuid=True,
                nodev=True,
                noexec=True,
                attr_timeout=0,
                entry_timeout=0,
                fsname=self._fsname.replace("\\", "\\\\").replace(",", "\\,"),
                subtype=FSTYPE.partition(".")[2],
            )
        except BaseException as error:  # noqa: BLE001 - whatever ends it ends the mount, and is told
            self._problem = error
        self._ended.set()
        self._operations.mounted.set()
        self._handoff.later(self._on_finished)


class _Handoff:
    """Has functions called in the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._calls: deque[Callable[[], object]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.add_reader(self._wake, self._run)

    def call(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what the function returns
        """Call a function over there; return its result or raise what it raised."""
        result: Future[Any] = Future()

        def run() -> None:
            try:
                result.set_result(function(*arguments))
            except Exception as error:  # noqa: BLE001 - raised again for the caller
                result.set_exception(error)

        self.later(run)
        return result.result()

    def later(self, function: Callable[[], object]) -> None:
        """Call a function over there without waiting for it."""
        self._calls.append(function)
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Take no more calls."""
        self._loop.remove_reader(self._wake)
        os.close(self._wake)

    def _run(self) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self._calls.popleft()()


class _Operations:
    """What fusepy calls, by the name of the operation; other names get ENOSYS from libfuse, or EROFS."""

    use_ns = True  # fusepy: times are integers of nanoseconds

    def __init__(
        self,
        filesystem: FileSystem,
        context: Callable[[], tuple[int, int, int]],
        handoff: _Handoff,
        problems: Problems,
    ) -> None:
        self.requests = 0
        self.mounted = threading.Event()
        self._filesystem = filesystem
        self._context = context
        self._handoff = handoff
        self._problems = problems
        self._nodes: dict[int, int] = {}  # of open files, by handle

    def __call__(self, operation: str, *arguments: Any) -> Any:  # noqa: ANN401 - fusepy's
        """Do one operation. Raises OSError only."""
        if operation == "init":
            self.mounted.set()
            return None
        self.requests += 1
        _, _, pid = self._context()
        try:
            return self._handoff.call(getattr(self, operation), pid, *arguments)
        except OSError as error:
            raise OSError(error.errno if error.errno and error.errno != errno.ENOSYS else errno.EIO, "") from None
        except Exception as error:  # noqa: BLE001 - one bad request must not end the service of all the others
            self._problems.report(f"{operation}: {type(error).__name__}", error)
            raise OSError(errno.EIO, "") from None

    # fusepy looks whether there is an attribute of the operation's name, and then calls `__call__`.

    def init(self, *_: object) -> None:
        """Handled in `__call__`."""

    def getattr(self, pid: int, path: str, fh: int | None = None) -> dict[str, int]:
        """Attributes as fusepy wants them."""
        attr = self._filesystem.getattr(self._nodes[fh], pid) if fh in self._nodes else self._find(path, pid)
        return {
            "st_ino": attr.ino,
            "st_mode": attr.mode,
            "st_nlink": attr.nlink,
            "st_uid": attr.uid,
            "st_gid": attr.gid,
            # libfuse does not tell which reads are to fill the page cache; a file of size 0 has none (operations.py).
            "st_size": 0 if stat.S_ISREG(attr.mode) else attr.size,
            "st_atime": attr.mtime_ns,
            "st_mtime": attr.mtime_ns,
            "st_ctime": attr.mtime_ns,
        }

    def readlink(self, pid: int, path: str) -> str:
        """Target of a link."""
        return os.fsdecode(self._filesystem.readlink(self._find(path, pid).ino))

    def readdir(self, pid: int, path: str, _fh: int) -> list[str]:
        """Names in a directory."""
        entries: list[Entry] = list(self._filesystem.readdir(self._find(path, pid).ino, pid))
        return [".", "..", *(os.fsdecode(entry.name) for entry in entries)]

    def open(self, pid: int, path: str, flags: int) -> int:
        """Open for reading: a file that takes triggers would need a poll."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        node = self._find(path, pid).ino
        fh = self._filesystem.open(node, flags, pid)
        self._nodes[fh] = node
        return fh

    def read(self, pid: int, _path: str, size: int, offset: int, fh: int) -> bytes:
        """Bytes of an open file."""
        return self._filesystem.read(self._nodes[fh], fh, offset, size, pid)

    def release(self, _pid: int, _path: str, fh: int) -> int:
        """Close a file."""
        self._filesystem.release(self._nodes.pop(fh), fh)
        return 0

    def statfs(self, _pid: int, _path: str) -> dict[str, int]:
        """Nothing is stored here."""
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}

    def _find(self, path: str, pid: int) -> Attr:
        """Look a path up from the root, name by name, as the kernel would."""
        node, attr = ROOT_NODE, None
        for name in filter(None, path.split("/")):
            attr = self._filesystem.lookup(node, os.fsencode(name), pid)
            node = attr.ino
        return attr or self._filesystem.getattr(ROOT_NODE, pid)


def _load() -> Any:  # noqa: ANN401 - a module without annotations
    try:
        import fuse  # type: ignore[import-untyped]  # noqa: PLC0415 - importing it loads libfuse, which only this transport needs
    except ImportError as error:
        raise Unusable("the Python package fusepy is not there: pip install fusepy") from error
    except OSError as error:
        raise Unusable("libfuse 2 is not there: apt install libfuse2, or set FUSE_LIBRARY_PATH") from error
    return fuse
