"""LXC's monitor as the one who asks our agent (`lxc.seccomp.notify.proxy`)."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.debian_tools import Tool
from tests.integration import asker
from tests.integration.command_line import NEEDS, REASON, CommandLine
from tests.integration.engines import truth
from tests.integration.engines.test_lxc import Lxc
from tests.integration.sysinfo_agent import Agent, need_listeners

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

KILLS = 20
TOTAL = truth.LIMITS.memory_bytes


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


def lines(lxc: Lxc, instance: CommandLine, agent: Agent) -> list[str]:
    """The configuration of a container whose calls come to the agent, and which is shown the virtual files."""
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
    with lxc.started(*lines(lxc, instance, agent)):
        said, total, _header, row, _swap, uptime = lxc.sh(
            "/bin/asker-musl agree; /bin/asker-musl; busybox free -b; busybox uptime"
        ).splitlines()
        assert (said, total) == ("agree", str(TOTAL))
        assert int(re.findall(r"\d+", row)[0]) == TOTAL
        assert " up 0 min" in uptime
        assert agent.status["listeners"] == 1
    assert agent.status["continued"] == 0


def test_killed_workers_are_not_noticed(lxc: Lxc, instance: CommandLine, agent: Agent) -> None:
    """While its workers are killed, each of many calls is answered, with the container's numbers."""
    with lxc.started(*lines(lxc, instance, agent)):
        lxc.sh("(while /bin/asker-musl; do :; done >/told 2>&1 & echo $! >/pid) </dev/null")
        worker = agent.worker()
        for _ in range(KILLS):
            agent.gets_on()
            os.kill(worker, signal.SIGKILL)
            worker = agent.worker(worker)
        agent.gets_on()
        told = lxc.sh("kill $(cat /pid); sort /told | uniq -c").split()
        assert told[1::2] == [str(TOTAL)]
        assert int(told[0]) >= KILLS


def test_an_agent_is_replaced(lxc: Lxc, instance: CommandLine, agent: Agent) -> None:
    """When holder and worker are killed, the monitor connects to the next agent, and calls are answered again."""
    with lxc.started(*lines(lxc, instance, agent)):
        assert lxc.sh("/bin/asker-musl").strip() == str(TOTAL)
        for pid in (agent.process.pid, agent.worker()):
            os.kill(pid, signal.SIGKILL)
        agent.process.wait()
        agent = Agent(instance, Path(agent.socket).parent, "--patience", "120s")
        try:
            assert lxc.sh("/bin/asker-musl").strip() == str(TOTAL)
        finally:
            agent.close()
