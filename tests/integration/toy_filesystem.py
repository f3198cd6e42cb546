"""A server process for test_transport.py: a small tree over a /dev/fuse descriptor that it is started with.

Commands come line by line on standard input (its end stops the server), an answer line goes to standard output.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from collections.abc import Sequence

from procfs_fuse.transport import ROOT_NODE, Attr, Entry
from procfs_fuse.transport.kernel import Connection
from procfs_fuse.transport.loop import Loop
from procfs_fuse.transport.negotiation import Negotiated

TEXT, SECRET, LINK, DIRECTORY, CHANGING, SLOW = 10, 11, 12, 13, 14, 15
NODES = {b"text": TEXT, b"secret": SECRET, b"link": LINK, b"dir": DIRECTORY, b"changing": CHANGING, b"slow": SLOW}
FIRST_CHILD = 1000
TTL_NS = 10_000_000
HOUR_NS = 3_600_000_000_000


def text() -> bytes:
    """Return content longer than one READ of 128 KiB."""
    return b"".join(b"line %06d\n" % number for number in range(20_000))


def generation(number: int) -> bytes:
    """Return content of constant length in which every line names its generation."""
    return b"generation %010d\n" % number * 300


class Toy:
    """`text` never changes, `changing` with every TTL, `slow` only when told to."""

    def __init__(self, *, cached: bool) -> None:
        self.cached = cached
        self.children = {FIRST_CHILD + number: b"entry-%04d" % number for number in range(500)}
        self.handles: dict[int, bytes] = {}
        self.generation = 0
        self.expires_ns = 0
        self.text = text()
        self.slow = b"old"
        self.slow_changed_ns = 1

    def _content(self, node: int) -> bytes:
        if node == CHANGING:
            return generation(self.generation)
        return {TEXT: self.text, SECRET: b"secret\n", SLOW: self.slow}[node]

    def _advance(self) -> None:
        now = time.monotonic_ns()
        if now >= self.expires_ns:
            self.generation += 1
            self.expires_ns = now + TTL_NS

    def getattr(self, node: int, pid: int, fh: int | None = None) -> Attr:  # noqa: ARG002
        """Make a new generation of `changing` when the old one has expired."""
        if node in (ROOT_NODE, DIRECTORY):
            return Attr(node, stat.S_IFDIR | 0o755, 0, 1, HOUR_NS, HOUR_NS, nlink=2)
        if node == LINK:
            return Attr(node, stat.S_IFLNK | 0o777, 4, 1, HOUR_NS, HOUR_NS)
        if node in self.children:
            return Attr(node, stat.S_IFREG | 0o444, 0, 1, HOUR_NS, HOUR_NS)
        if node not in NODES.values():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        mode = stat.S_IFREG | (0o400 if node == SECRET else 0o444)
        if node == CHANGING and self.cached:
            self._advance()
            return Attr(node, mode, len(generation(0)), self.generation, TTL_NS, HOUR_NS)
        return Attr(node, mode, len(self._content(node)), self.slow_changed_ns, HOUR_NS, HOUR_NS)

    def lookup(self, parent: int, name: bytes, pid: int) -> Attr:
        """Find a name in one of the two directories."""
        if parent == ROOT_NODE and name in NODES:
            return self.getattr(NODES[name], pid)
        if parent == DIRECTORY:
            for node, child in self.children.items():
                if child == name:
                    return self.getattr(node, pid)
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def readlink(self, node: int) -> bytes:
        """Point to `text`."""
        assert node == LINK
        return b"text"

    def readdir(self, node: int, pid: int) -> Sequence[Entry]:  # noqa: ARG002
        """List one of the two directories."""
        if node == DIRECTORY:
            return [Entry(name, child, stat.S_IFREG >> 12) for child, name in sorted(self.children.items())]
        return sorted((Entry(name, child, 0) for name, child in NODES.items()), key=lambda entry: entry.ino)

    def open(self, node: int, flags: int, pid: int) -> int:  # noqa: ARG002
        """Give every open its own content."""
        handle = len(self.handles) + max(self.handles, default=0) + 1
        self.handles[handle] = b""
        return handle

    def read(self, node: int, fh: int, offset: int, size: int, pid: int) -> bytes:  # noqa: ARG002
        """Take the content anew at offset 0; on the cached connection it is that of the last getattr."""
        if self.cached:
            return self._content(node)[offset : offset + size]
        if offset == 0 or not self.handles[fh]:
            self.generation += 1
            self.handles[fh] = self._content(node)
        return self.handles[fh][offset : offset + size]

    def settle(self) -> None:
        """Leave nothing for later."""

    def release(self, node: int, fh: int) -> None:  # noqa: ARG002
        """Drop the handle."""
        del self.handles[fh]


class Server:
    """The toy, its connection, its loop and its commands."""

    def __init__(self, fd: int, *, cached: bool, negotiated: Negotiated | None) -> None:
        self.toy = Toy(cached=cached)
        self.connection = Connection(fd, self.toy, negotiated)
        self.loop = Loop()
        self.loop.add_connection(self.connection)
        self.loop.add_reader(sys.stdin.fileno(), self.command)

    def command(self) -> None:
        """Obey one line."""
        match sys.stdin.readline().split():
            case []:
                self.loop.stop()
            case ["requests"]:
                self.say(self.connection.requests)
            case ["handles"]:
                self.say(len(self.toy.handles))
            case ["negotiated"] if self.connection.negotiated is not None:
                self.say(self.connection.negotiated.pack().hex())
            case ["problems"]:
                self.say(self.connection.problems.counts)
            case ["slow", content]:
                self.toy.slow = content.encode()
                self.toy.slow_changed_ns += 1
                self.say(content)
            case ["forget", name]:
                self.connection.notifier.invalidate_inode(NODES[name.encode()])
                self.connection.notifier.invalidate_entry(ROOT_NODE, name.encode())
                self.say(name)
            case words:
                raise ValueError(words)

    def say(self, what: object) -> None:
        """Answer one line."""
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def main(fd: str, kind: str, negotiated: str = "") -> None:
    """Serve until standard input ends or the file system is unmounted."""
    outcome = Negotiated.unpack(bytes.fromhex(negotiated)) if negotiated else None
    server = Server(int(fd), cached=kind == "cached", negotiated=outcome)
    server.loop.run()
    if server.connection.problems.counts or server.loop.problems.counts:
        sys.exit(f"problems: {server.connection.problems.counts} {server.loop.problems.counts}")


if __name__ == "__main__":
    main(*sys.argv[1:])
