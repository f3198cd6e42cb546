"""LXC's monitor as the one who asks our agent (`lxc.seccomp.notify.proxy`).

Commands are run by the container's own init. ``lxc-attach`` of LXC 5.0.2 is no help here: with such a profile, and no
Linux security module, its processes send the pid and the listener over one socket in no certain order, and when the
listener is first it gives up without a word (lxc_attach(), src/lxc/attach.c): on a busy machine one time in twelve.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration import asker
from tests.integration.command_line import NEEDS, REASON, CommandLine, eventually
from tests.integration.engines import truth
from tests.integration.engines.test_lxc import Lxc
from tests.integration.sysinfo_agent import Agent, need_listeners

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

KILLS = 20
TOTAL = truth.LIMITS.memory_bytes
INIT = """\
exec <>/root/orders
while read -r order; do
    sh "/root/$order" </dev/null >"/root/$order.said" 2>&1
    mv "/root/$order.said" "/root/$order.done"
done
"""


class Inside:
    """A container's init, which runs what it is told to; its folder is the container's ``/root``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._orders = 0
        folder.mkdir()
        os.mkfifo(folder / "orders")
        (folder / "init").write_text(INIT)
        self.lines = (f"lxc.mount.entry = {folder} root none bind 0 0", "lxc.init.cmd = /bin/sh /root/init")

    def sh(self, command: str) -> str:
        """Output of a shell command in the container."""
        self._orders += 1
        order = self._folder / str(self._orders)
        order.write_text(command)
        with (self._folder / "orders").open("w") as orders:
            orders.write(f"{order.name}\n")
        done = order.with_suffix(".done")
        assert eventually(done.exists)
        return done.read_text()


@pytest.fixture
def lxc(tmp_path: Path, tool: Callable[[str], Tool], root_file_system: Path) -> Lxc:
    """LXC with a root file system that has the asking program."""
    need_listeners()
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    asker.build_with_musl(root_file_system / "bin", tool)
    return Lxc(tool, tmp_path, root_file_system)


@pytest.fixture
def agent(instance: CommandLine, tmp_path: Path) -> Iterator[Agent]:
    """An agent that asks the tests' instance."""
    agent = Agent(instance, tmp_path, "--patience", "120s", "--watchdog", "120s")
    yield agent
    agent.close()


@contextlib.contextmanager
def started(lxc: Lxc, instance: CommandLine, agent: Agent) -> Iterator[Inside]:
    """A container whose calls come to the agent, and which is shown the virtual files."""
    inside = Inside(lxc.folder / "told")
    with lxc.started(*inside.lines, *_lines(lxc, instance, agent)):
        yield inside


def _lines(lxc: Lxc, instance: CommandLine, agent: Agent) -> list[str]:
    done = instance("seccomp-profile", "--lxc", "--socket", agent.socket)
    assert done.returncode == 0, done.stderr
    policy = lxc.folder / "policy"
    policy.write_text(done.stdout)
    (found,) = instance.status()
    files = (
        f"{found['mountpoint']}/proc/{name} proc/{name} none bind,ro 0 0" for name in ("meminfo", "uptime", "loadavg")
    )
    return [
        f"lxc.seccomp.profile = {policy}",
        done.stdout.splitlines()[-1].removeprefix("# "),
        *(f"lxc.mount.entry = {line}" for line in files),
    ]


def test_what_programs_are_told(lxc: Lxc, instance: CommandLine, agent: Agent) -> None:
    """A musl program, busybox free and busybox uptime say what /proc says; the kernel answers nothing itself."""
    with started(lxc, instance, agent) as inside:
        said, total, _header, row, _swap, uptime = inside.sh(
            "/bin/asker-musl agree; /bin/asker-musl; busybox free -b; busybox uptime"
        ).splitlines()
        assert (said, total) == ("agree", str(TOTAL))
        assert int(re.findall(r"\d+", row)[0]) == TOTAL
        assert " up 0 min" in uptime
        assert agent.status["listeners"] == 1
    assert agent.status["continued"] == 0


def test_killed_workers_are_not_noticed(lxc: Lxc, instance: CommandLine, agent: Agent) -> None:
    """While its workers are killed, each of many calls is answered, with the container's numbers."""
    with started(lxc, instance, agent) as inside:
        inside.sh("while /bin/asker-musl; do :; done >/root/told 2>&1 & echo $! >/root/pid")
        worker = agent.worker()
        for _ in range(KILLS):
            agent.gets_on()
            os.kill(worker, signal.SIGKILL)
            worker = agent.worker(worker)
        agent.gets_on()
        told = inside.sh("kill $(cat /root/pid); sort /root/told | uniq -c").split()
        assert told[1::2] == [str(TOTAL)]
        assert int(told[0]) >= KILLS


def test_an_agent_is_replaced(lxc: Lxc, instance: CommandLine, agent: Agent) -> None:
    """When holder and worker are killed, the monitor connects to the next agent, and calls are answered again."""
    with started(lxc, instance, agent) as inside:
        assert inside.sh("/bin/asker-musl").strip() == str(TOTAL)
        for pid in (agent.process.pid, agent.worker()):
            os.kill(pid, signal.SIGKILL)
        agent.process.wait()
        agent = Agent(instance, Path(agent.socket).parent, "--patience", "120s")
        try:
            assert inside.sh("/bin/asker-musl").strip() == str(TOTAL)
        finally:
            agent.close()
