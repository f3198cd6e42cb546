"""What programs are told that ask the kernel, not /proc: in containers of `run`, and while agents die."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse import syscalls
from procfs_fuse.control_socket import ask
from procfs_fuse.descriptors import receive
from procfs_fuse.seccomp import affinity, notify
from procfs_fuse.seccomp import filter as seccomp
from procfs_fuse.seccomp.abi import SYSINFO
from procfs_fuse.seccomp.holder import Holder, Limits
from procfs_fuse.transport import mounting
from procfs_fuse.transport.loop import Loop
from scripts.debian_tools import Tool
from tests.integration import asker
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, CommandLine, alive, eventually
from tests.integration.reach import let_others_in
from tests.integration.sysinfo_agent import Agent, need_listeners

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

MEMORY = 192 << 20
LIMITS = ("--memory", str(MEMORY), "--cpus", "1", "--pids", "100")
KILLS, MANY_KILLS = 20, 200
PATIENT = ("--patience", "120s", "--watchdog", "120s")  # a slow machine is no reason for the machine's values

FindTool = Callable[[str], Tool]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, tool: FindTool) -> list[Path]:
    """The program, with either C library."""
    folder = let_others_in(tmp_path_factory.mktemp("asker"))  # users without rights ask, too
    need_listeners()
    return [asker.build(folder, tool), asker.build_with_musl(folder, tool)]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command with an instance of the module's own."""
    folder = tmp_path_factory.mktemp("sysinfo")
    command = CommandLine(folder / "state")
    (folder / "mount").mkdir()
    started = command("mount", str(folder / "mount"))
    assert started.returncode == 0, started.stderr
    yield command
    command.close()


def said(command: CommandLine, *words: str, options: tuple[str, ...] = ()) -> str:
    """Output of a command in a limited container."""
    done = command("run", *LIMITS, *options, "--", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


# ------------------------------------------------------------------------------------------ what is told


def test_both_c_libraries_agree_with_proc(command: CommandLine, programs: list[Path]) -> None:
    """Uptime, loads, memory to the page, swap and threads of sysinfo(2) are those of /proc, for glibc and musl."""
    script = "; ".join(f"{program} agree; {program}" for program in programs)
    assert said(command, "sh", "-c", script).split() == ["agree", str(MEMORY)] * len(programs)


def test_32_bit_callers_agree_with_proc(command: CommandLine, programs: list[Path]) -> None:
    """A caller with 32-bit longs gets its own record, not one byte more."""
    if not asker.runs_32_bit(programs[0]):
        pytest.skip("this kernel runs no 32-bit programs")
    assert said(command, str(programs[0]), "agree32") == "agree\n"


def test_busybox(command: CommandLine, tool: FindTool) -> None:
    """Busybox's `free` mixes sysinfo(2) with /proc/meminfo; its `uptime` is that of the container."""
    need_listeners()
    busybox = tool("busybox").path
    _header, row, _swap, uptime = said(command, "sh", "-c", f"{busybox} free -b; {busybox} uptime").splitlines()
    total, used, free, shared, cache, available = map(int, re.findall(r"\d+", row))
    assert total == MEMORY
    assert used + free + cache == total
    assert max(used, free, shared, cache, available) <= total
    assert re.search(r" up 0 min, .*load average: 0\.\d\d, 0\.\d\d, 0\.\d\d", uptime)


def test_sysconf(command: CommandLine) -> None:
    """Python's os.sysconf tells pages of the container, as many as /proc/meminfo has."""
    need_listeners()
    script = """if True:
        import os
        def shown():
            with open("/proc/meminfo") as file:
                return {line.split(":")[0]: int(line.split()[1]) << 10 for line in file}
        for _ in range(1000):
            before = shown()
            told = [os.sysconf(name) * os.sysconf("SC_PAGESIZE") for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES")]
            same = told == [before["MemTotal"], before["MemFree"]]
            if same and before == shown():
                break  # the kernel may show an older page for a moment: then once more
        print(same, told[0])
    """
    assert said(command, sys.executable, "-c", script) == f"True {MEMORY}\n"


def test_users_without_rights_are_told_the_same(command: CommandLine, programs: list[Path]) -> None:
    """A command without privileges asks as root does."""
    assert said(command, str(programs[0]), options=("--user", "65534")) == f"{MEMORY}\n"


def test_bad_addresses_fail_as_the_kernel_has_it(command: CommandLine, programs: list[Path]) -> None:
    """An address that is none gives EFAULT, and the next call an answer."""
    assert said(command, str(programs[0]), "bad") == "EFAULT\n"


def test_answer_may_be_written_over_a_page_of_our_own_files(command: CommandLine, programs: list[Path]) -> None:
    """A page mapped from a file of ours as the buffer: only we can fill it, and the one who answers is another."""
    result, total = said(command, str(programs[0]), "mapped", "/proc/meminfo").split()
    assert (result, total) == ("0", str(MEMORY))


def test_switched_off(command: CommandLine, programs: list[Path]) -> None:
    """Without the filter the kernel tells of the whole machine."""
    assert int(said(command, str(programs[0]), options=("--no-sysinfo",))) > MEMORY


# --------------------------------------------------------------------------------------------- affinity


def test_affinity_is_off_by_default(command: CommandLine, programs: list[Path]) -> None:
    """The mask is the kernel's unless it is asked for."""
    _result, _error, cpus = said(command, str(programs[0]), "mask", "8192").split()
    assert int(cpus) == len(os.sched_getaffinity(0))


def test_affinity_is_cut_to_the_cpus_shown(command: CommandLine, programs: list[Path], tool: FindTool) -> None:
    """With one CPU's quota, who reads the mask sees one CPU: raw as Go does it, through nproc and through Python."""
    here = subprocess.run([programs[0], "mask", "8192"], capture_output=True, text=True, check=True).stdout.split()
    python = f"{sys.executable} -c 'import os; print(os.sched_getaffinity(0))'"
    script = f"{programs[0]} mask 8192; {tool('nproc').path}; {python}; {programs[0]} mask 1"
    raw, count, cpus, refused = said(command, "sh", "-c", script, options=("--affinity",)).splitlines()
    assert raw.split() == [here[0], "ok", "1"]
    assert (count, cpus, refused) == ("1", "{0}", "-1 EINVAL 0")


def test_affinity_survives_a_round_trip(command: CommandLine, programs: list[Path]) -> None:
    """Setting the mask that was got leaves it as it is, and another process's mask is cut, too."""
    script = "import os; print(len(os.sched_getaffinity(os.getppid())))"
    inside = f"{programs[0]} again; {sys.executable} -c '{script}'; true"
    # Before Linux 6.11 the numbers of other processes cannot be translated: the kernel's own mask is shown.
    other = 1 if affinity.target(os.getpid(), os.getpid()) else len(os.sched_getaffinity(0))
    assert said(command, "sh", "-c", inside, options=("--affinity",)).split() == ["same", str(other)]


# ------------------------------------------------------------------------------------------- agents that die


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For the sockets of agents."""
    return tmp_path


class Asking:
    """A program under a filter whose listener the agent has, in a container of the instance."""

    def __init__(self, command: CommandLine, agent: Agent, program: Path) -> None:
        # The launcher's own filter is off: the shell of Python below makes one, whose listener it sends to the agent.
        script = f"""if True:
            import os, sys
            sys.path.insert(0, {str(Path(__file__).parents[2])!r})
            from procfs_fuse.seccomp import filter, handover
            listener = filter.install(["sysinfo"])
            handover.deliver({agent.socket!r}, listener, "asking", "")
            os.close(listener)
            os.execv({str(program)!r}, ["asker", "load", "{MEMORY}"])
        """
        words = ("run", *LIMITS, "--no-sysinfo", "--", sys.executable, "-c", script)
        self.process = command.start(*words)
        assert eventually(lambda: agent.status["answered"] > 0)

    def end(self) -> dict[str, int]:
        """What it counted."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return {name: int(count) for name, count in re.findall(r"(\w+) (\d+)", output)}


def kill_workers(command: CommandLine, folder: Path, program: Path, kills: int) -> None:
    """Kill the worker again and again while a program asks, and see that this was never told anything wrong."""
    agent = Agent(command, folder, *PATIENT)
    asking = Asking(command, agent, program)
    killed: list[int] = []
    for _ in range(kills):
        worker = agent.worker(*killed[-1:])
        agent.gets_on()
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
    agent.worker(*killed[-1:])
    counted, status = asking.end(), agent.status
    agent.close()
    assert counted["calls"] > kills
    assert (counted["failed"], counted["wrong"]) == (0, 0)
    assert status["continued"] == 0
    assert status["workers_started"] == kills + 1


def test_killed_workers_are_not_noticed(command: CommandLine, folder: Path, programs: list[Path]) -> None:
    """Whenever the worker is killed, the call under way and all later ones get right answers."""
    kill_workers(command, folder, programs[0], KILLS)


@pytest.mark.long
def test_many_killed_workers_are_not_noticed(command: CommandLine, folder: Path, programs: list[Path]) -> None:
    """The same many times."""
    kill_workers(command, folder, programs[0], MANY_KILLS)


def test_killed_holder_is_not_noticed(command: CommandLine, folder: Path, programs: list[Path]) -> None:
    """When the holder is killed its worker serves on, and hands the listeners over to the next agent."""
    agent = Agent(command, folder, *PATIENT)
    asking = Asking(command, agent, programs[0])
    orphan = agent.worker()
    agent.process.kill()
    agent.process.wait(PATIENCE_SECONDS)
    assert alive(orphan)
    following = Agent(command, folder, *PATIENT)
    assert eventually(lambda: following.status["listeners"] == 1)
    assert eventually(lambda: not alive(orphan))
    assert eventually(lambda: following.status["answered"] > 0)
    counted = asking.end()
    following.close()
    assert (counted["failed"], counted["wrong"]) == (0, 0)


def test_hanging_worker_is_replaced(command: CommandLine, folder: Path, programs: list[Path]) -> None:
    """A worker that does not get on is killed; what it was at is left to the kernel, and the next one answers."""
    agent = Agent(command, folder, "--watchdog", "300ms")
    asking = Asking(command, agent, programs[0])
    stopped = agent.worker()
    os.kill(stopped, signal.SIGSTOP)
    answered = agent.status["answered"]
    assert eventually(lambda: agent.status["workers_hung"] == 1)
    assert agent.worker(stopped) != stopped
    assert eventually(lambda: agent.status["answered"] > answered)
    counted = asking.end()
    agent.close()
    assert counted["failed"] == 0
    assert not alive(stopped)


def test_without_anybody_the_call_does_not_exist(command: CommandLine, folder: Path, programs: list[Path]) -> None:
    """Documented: when no process holds the listener any more, the kernel says ENOSYS."""
    agent = Agent(command, folder, *PATIENT)
    asking = Asking(command, agent, programs[0])
    agent.close()
    assert asking.end()["failed"] > 0


# -------------------------------------------------------------------------------------- when it cannot be


def test_one_listener_per_process(command: CommandLine) -> None:
    """Below a filter that has a listener already `run` goes on without its own, and says so if it is asked."""
    need_listeners()
    ours, theirs = os.pipe()
    listener_side, child_side = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        listener = seccomp.install([SYSINFO])
        listener_side.close()
        socket.send_fds(child_side, [b"."], [listener])
        os.close(listener)
        words = command.words("run", "--verbose", "--memory", str(MEMORY), "--", "echo", "hello")
        os.execve(words[0], words, command.environment)  # noqa: S606
    child_side.close()
    os.close(theirs)
    with listener_side:
        _, (listener,), *_ = socket.recv_fds(listener_side, 1, 1)
    thread = threading.Thread(target=_pass_on, args=(listener,))
    thread.start()
    with open(ours, encoding="utf-8") as output:
        text = output.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    thread.join(PATIENCE_SECONDS)
    assert "hello\n" in text
    assert "the kernel allows only one" in text
    assert len(text.splitlines()) == 2


def _pass_on(listener: int) -> None:
    """Leave every call to the kernel until there can be none."""
    while True:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        if not poll.poll(PATIENCE_SECONDS * 1000)[0][1] & select.POLLIN:
            os.close(listener)
            return
        notify.pass_on(listener)


def test_agent_is_started_when_it_is_needed(tmp_path: Path, programs: list[Path]) -> None:
    """A container that never asks starts no agent; one that does starts it, and the next one finds it there."""
    command = CommandLine(tmp_path / "state")
    socket_path = tmp_path / "state/seccomp.sock"
    try:
        assert said(command, "true") == ""
        assert not socket_path.exists()
        assert said(command, str(programs[0])) == f"{MEMORY}\n"
        status = ask(str(socket_path), "status", timeout_seconds=PATIENCE_SECONDS)
        assert status["automatic"]
        assert eventually(lambda: ask(str(socket_path), "status")["listeners"] == 0)
        held = [os.readlink(link) for link in Path(f"/proc/{status['pid']}/fd").iterdir() if link.is_symlink()]
        assert not any("seccomp" in place and "anon_inode" in place for place in held), "nothing of it is kept open"
        os.kill(status["pid"], signal.SIGTERM)
        assert eventually(lambda: not socket_path.exists())
    finally:
        command.close()


def test_profile_is_what_runtimes_take(command: CommandLine, tmp_path: Path) -> None:
    """The profile names the agent's socket; merged, our calls are in one rule only."""
    alone = json.loads(command("seccomp-profile").stdout)
    assert alone["listenerPath"] == f"{command.state_dir}/seccomp.sock"
    base = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["read", "sysinfo"], "action": "SCMP_ACT_ALLOW"}],
    }
    (tmp_path / "base.json").write_text(json.dumps(base))
    whole = json.loads(command("seccomp-profile", "--merge", str(tmp_path / "base.json"), "--affinity").stdout)
    assert [rule["names"] for rule in whole["syscalls"]] == [["read"], ["sysinfo", "sched_getaffinity"]]
    assert whole["defaultAction"] == "SCMP_ACT_ERRNO"
    (tmp_path / "base.json").write_text("[]")
    refused = command("seccomp-profile", "--merge", str(tmp_path / "base.json"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no defaultAction" in refused.stderr


def test_without_a_worker_the_kernel_answers() -> None:
    """When no worker gets ready, what waits is left to the kernel after the patience: right, for the whole machine."""
    need_listeners()
    parent_side, child_side = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        listener = seccomp.install([SYSINFO])
        socket.send_fds(child_side, [b"."], [listener])
        os.close(listener)
        os._exit(os.sysconf("SC_PHYS_PAGES") <= 0)
    with parent_side, child_side:
        _, (listener,) = receive(parent_side, 1, 1)
    loop = Loop()
    holder = Holder(loop, lambda _slot, _served, _channel: None, Limits(patience_seconds=0.1))
    holder.take(listener, "a test")
    loop.call_every(0.05, lambda: None if holder.count else loop.stop())
    loop.run()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert holder.status()["continued"] == 1
    holder.close()
    loop.close()


def test_memory_that_lets_the_worker_hang_is_its_owners_matter(
    command: CommandLine, folder: Path, programs: list[Path]
) -> None:
    """A buffer in a page that a file system never delivers: others are answered, and the caller by the kernel."""
    agent = Agent(command, Path(command.state_dir), "--watchdog", "500ms", name="seccomp.sock")
    with stuck_file_system(folder / "stuck") as stuck:
        words = ("run", *LIMITS, "--", str(programs[0]), "mapped", str(folder / "stuck/text"))
        hanging = command.start(*words)
        assert eventually(lambda: agent.status["workers_hung"] == 1)
        assert agent.status["suspended"] == 1
        assert said(command, str(programs[0])) == f"{MEMORY}\n"
        assert stuck.stdin is not None
        stuck.stdin.close()  # now it delivers
        output, _ = hanging.communicate(timeout=PATIENCE_SECONDS)
    agent.close()
    result, total = output.split()
    assert result == "0"
    assert int(total) > MEMORY, "the machine's"


@contextlib.contextmanager
def stuck_file_system(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A file system that answers everything but READ, until its standard input is closed."""
    script = """if True:
        import sys
        from procfs_fuse.transport.kernel import Connection
        from procfs_fuse.transport.loop import Loop
        from tests.integration.toy_filesystem import Toy
        class Stuck(Toy):
            def read(self, node, fh, offset, size, pid):
                sys.stdin.read()
                return super().read(node, fh, offset, size, pid)
        loop = Loop()
        loop.add_connection(Connection(int(sys.argv[1]), Stuck(cached=True)))
        loop.run()
    """
    folder.mkdir()
    device = mounting.open_device()
    # Not as one of ours, which `run` takes out of its containers.
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    syscalls.mount("stuck", str(folder), "fuse", data=options)
    words = [sys.executable, "-c", script, str(device)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[device], env=environment)
    os.close(device)
    try:
        yield process
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        process.kill()
        process.communicate()
