"""ctop over a real ssh connection, to a server of our own on the loopback with own keys and an own configuration."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.debian_tools import DebianTools, Tool, Unavailable
from tests.integration.command_line import ANY_WORLD
from tests.integration.terminal import PATIENCE_SECONDS, Terminal

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}

# What the server insists on is given to it alone, in a mount namespace: a folder in /run and a user.
SERVER = """
mount -t tmpfs tmpfs /run && mkdir /run/sshd && cp /etc/passwd "$1/passwd" &&
echo 'sshd:x:64999:65534::/run/sshd:/usr/sbin/nologin' >> "$1/passwd" && mount --bind "$1/passwd" /etc/passwd &&
exec "$2" -D -e -f "$1/config" -E "$1/log"
"""
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PidFile none
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
"""

pytestmark = [
    ANY_WORLD,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="the server needs root to open terminals"),
]


class Connection:
    """How to reach a server of our own, and what runs there."""

    def __init__(self, client: Tool, folder: Path, port: int) -> None:
        self._client = client
        self._mark = f"CGSCOPE_TEST_SSH={folder}"
        options = f"-F {os.devnull} -tt -p {port} -i {folder}/user -o UserKnownHostsFile={folder}/known"
        self._words = [client.path, *options.split(), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]

    def ctop(self) -> Terminal:
        """Start it there."""
        there = f"cd '{ROOT}' && XDG_CONFIG_HOME=/nonexistent {self._mark} exec '{sys.executable}' -m ctop --all -d 0.5"
        return Terminal([*self._words, "root@127.0.0.1", there], self._client.env)

    def running(self) -> list[int]:
        """Return the processes that were started through it."""
        return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal() and self._is_ours(one)]

    def wait_until_gone(self) -> None:
        """Wait until none is left."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := self.running():
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.1)

    def _is_ours(self, process: Path) -> bool:
        try:
            return self._mark.encode() in (process / "environ").read_bytes().split(b"\0")
        except OSError:  # it is gone
            return False


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """Start a server; its keys are made for it, and nobody else's are known to it."""
    tools = DebianTools(packages=PACKAGES)
    try:
        server, client, keys = (tools.tool(name) for name in PACKAGES)
    except Unavailable as reason:
        pytest.skip(str(reason))
    for name in ("host", "user"):
        subprocess.run([keys.path, "-q", "-N", "", "-f", tmp_path / name], env=keys.env, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(CONFIG.format(port=port, folder=tmp_path), "utf-8")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SERVER, "sh", str(tmp_path), server.path]
    process = subprocess.Popen(command, env=server.env)
    try:
        wait_for_server(process, port, tmp_path / "log")
        yield Connection(client, tmp_path, port)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def wait_for_server(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it accepts connections."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS).close()
        except OSError:
            said = log.read_text("utf-8") if log.exists() else ""
            assert process.poll() is None, f"the server ended: {said}"
            assert time.monotonic() < deadline, f"the server never listened: {said}"
            time.sleep(0.1)
        else:
            return


def test_keys_sizes_and_the_end(connection: Connection) -> None:
    """Keys arrive, a new size of the window fills it, and leaving restores the terminal of whoever connected."""
    with connection.ctop() as terminal:
        terminal.wait_for("? help")
        terminal.send("?")
        terminal.wait_for("Moving")
        terminal.send("q")
        terminal.wait_for("NAME")
        terminal.raw = b""
        terminal.resize(70, 20)
        terminal.wait_until_sent(b"\x1b[20;1H")  # its last line; titles and rows are above it
        terminal.send("q")
        assert terminal.wait_until_gone() == 0
        assert terminal.is_restored
    connection.wait_until_gone()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_connection_that_breaks(connection: Connection, number: signal.Signals) -> None:
    """When the client is gone nothing of ours is left on the server."""
    with connection.ctop() as terminal:
        terminal.wait_until_sent(b"\x1b[?1004h")
        assert connection.running()
        terminal.process.send_signal(number)
        connection.wait_until_gone()
