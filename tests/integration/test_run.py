"""``procfs-fuse run``: real containers on whatever cgroups this machine has."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cgroup_model.control import create, remove
from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.command_line import (
    ANY_WORLD,
    NEEDS,
    PATIENCE_SECONDS,
    REASON,
    CommandLine,
    alive,
    cgroups_of,
    eventually,
)
from tests.integration.containers import words_of

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

NAME = f"cgscope-test-{os.getpid()}"


@pytest.fixture
def mounted(command: CommandLine, tmp_path: Path) -> CommandLine:
    """The command with an instance that is mounted already, so that `run` starts none."""
    (tmp_path / "mount").mkdir()
    assert command("mount", str(tmp_path / "mount")).returncode == 0
    return command


@pytest.fixture
def busybox_root(tmp_path: Path, tool: Callable[[str], Tool]) -> Path:
    """A small root file system."""
    root = tmp_path / "root"
    for directory in ("bin", "etc", "home/worker"):
        (root / directory).mkdir(parents=True)
    shutil.copy(tool("busybox").path, root / "bin/busybox")
    for name in (
        "sh",
        "cat",
        "ls",
        "id",
        "env",
        "hostname",
        "free",
        "mount",
        "tty",
        "touch",
        "ps",
        "stat",
        "echo",
        "pwd",
    ):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nworker:x:1234:1235::/home/worker:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nworkers:x:1235:\nothers:x:77:\n")
    return root


# ------------------------------------------------------------------------------------- the main job


def test_memory_limit_is_what_free_prints(command: CommandLine, tool: Callable[[str], Tool]) -> None:
    """`free` in a container of 256 MiB has a total of 256 MiB, without any instance mounted before."""
    found = command("run", "--memory", "256M", "--cpus", "1", "--", *words_of(tool("free")), "-b")
    assert (found.returncode, found.stderr) == (0, "")
    assert re.search(r"^Mem:\s+268435456\b", found.stdout, re.MULTILINE)


def test_quota_of_one_cpu_shows_one_cpu_everywhere(mounted: CommandLine) -> None:
    """cpuinfo, stat and the list of CPUs in /sys agree on one CPU."""
    script = "grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; cat /sys/devices/system/cpu/online"
    assert mounted("run", "--cpus", "1", "--", "sh", "-c", script).stdout.split() == ["1", "1", "0"]


def test_pids_limit_is_threads_max(mounted: CommandLine) -> None:
    """The limit of threads is what sysctl shows, and is in force."""
    found = mounted("run", "--pids", "100", "--", "cat", "/proc/sys/kernel/threads-max")
    assert found.stdout == "100\n"
    refused = mounted("run", "--pids", "1", "--", "sh", "-c", "(true); echo not reached")
    assert "not reached" not in refused.stdout


def test_mountinfo_lists_no_cgroup_but_its_own(mounted: CommandLine) -> None:
    """Java believes the first cgroup mount of a controller: the host's, further up, is not there any more."""
    done = mounted("run", "--name", NAME, "--", "cat", "/proc/self/mountinfo")
    lines = [line.split() for line in done.stdout.splitlines() if " - cgroup" in line]
    assert {line[3] for line in lines} == {"/"}
    places = [line[4] for line in lines]
    assert len(places) == len(set(places)) == len(discover_mounts().hierarchies)
    assert all("ro" in line[5].split(",") for line in lines)


def test_container_sees_its_own_cgroup_and_no_other(mounted: CommandLine) -> None:
    """Runtimes find the limit below /sys/fs/cgroup, cannot change it, and no interpreter of ours is a member."""
    script = """
        cd /sys/fs/cgroup; if test -e memory; then cd memory; fi
        cat memory.max memory.limit_in_bytes 2>/dev/null
        cat cgroup.procs
        mkdir x 2>/dev/null && echo writable
        cut -d: -f3 /proc/self/cgroup | sort -u
    """
    found = mounted("run", "--memory", "64M", "--", "sh", "-c", script)
    limit, *members, path = found.stdout.split()
    assert limit == str(64 << 20)
    assert 1 <= len(members) <= 2, "the shell and its cat"
    assert path == "/"


def test_limits_of_swap_and_cpuset_are_set(mounted: CommandLine) -> None:
    """--cpuset is the affinity of every process."""
    found = mounted("run", "--cpuset", "0", "--memory", "64M", "--", "grep", "Cpus_allowed_list", "/proc/self/status")
    assert found.stdout.split() == ["Cpus_allowed_list:", "0"]


# -------------------------------------------------------------------------------------------- exits


@ANY_WORLD
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["cgscope-no-such-command"], 127),
        (["/etc/passwd"], 126),
        (["/"], 126),
        (["/no/such/file"], 127),
        (["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143),
    ],
)
def test_exit_code_is_the_commands(mounted: CommandLine, words: list[str], code: int) -> None:
    """The exit code is passed through; 126 and 127 mean what they mean in a shell, with one line that says why."""
    found = mounted("run", "--", *words)
    assert found.returncode == code
    if code in {126, 127}:
        assert re.fullmatch(r"procfs-fuse run: .*\n", found.stderr)


@ANY_WORLD
def test_missing_interpreter_is_told_apart(mounted: CommandLine, tmp_path: Path) -> None:
    """A script whose interpreter does not exist is there: the message must not say that it is not."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    found = mounted("run", "--", str(script))
    assert found.returncode == 127
    assert "interpreter" in found.stderr


@ANY_WORLD
def test_streams_are_the_commands(mounted: CommandLine) -> None:
    """Pipes go in and out unchanged, and SIGPIPE ends writers as in any shell."""
    assert mounted("run", "--", "cat", given="one\ntwo\n").stdout == "one\ntwo\n"
    found = mounted("run", "--", "sh", "-c", "yes | head -1; echo error >&2")
    assert (found.stdout, found.stderr) == ("y\n", "error\n")


def test_memory_limit_kills(mounted: CommandLine) -> None:
    """A command that needs more than its limit is killed by the kernel: 128 + SIGKILL."""
    hungry = "import sys; block = bytearray(200 << 20); sys.exit(len(block[::4096]) == 0)"
    found = mounted("run", "--memory", "32M", "--swap", "0", "--", "python3", "-c", hungry)
    assert found.returncode == 137


# ------------------------------------------------------------------------------------------ signals


READY = "echo ready; "


def started(command: CommandLine, script: str, *options: str) -> subprocess.Popen[str]:
    """A container that runs a shell script, from when it printed its first line."""
    return ready(command.start("run", *options, "--", "sh", "-c", script))


def ready(launcher: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The launcher, from when its container said that it is ready."""
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == "ready\n"
    return launcher


@ANY_WORLD
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN])
def test_signal_without_handler_ends_the_container(
    mounted: CommandLine, tmp_path: Path, number: signal.Signals
) -> None:
    """Pid 1 has no default actions; the launcher carries them out."""
    said = tmp_path / "said"
    said.write_text("ready\n")
    # No shell: dash catches SIGINT and forgets about it when it comes in front of an exec.
    launcher = ready(mounted.start("run", "--", "tail", "-f", str(said)))
    launcher.send_signal(number)
    assert launcher.wait(PATIENCE_SECONDS) == 128 + number


@ANY_WORLD
def test_signal_reaches_the_handler(mounted: CommandLine) -> None:
    """A command that handles the signal decides by itself."""
    launcher = started(mounted, "trap 'exit 42' TERM; " + READY + "while :; do sleep 0.05; done")
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(PATIENCE_SECONDS) == 42


@ANY_WORLD
def test_ignored_and_harmless_signals_do_not_end_it(mounted: CommandLine) -> None:
    """What the command ignores, and what is ignored by default, leaves it running."""
    launcher = started(mounted, "trap '' HUP; trap 'exit 3' USR1; " + READY + "while :; do sleep 0.05; done")
    for number in (signal.SIGHUP, signal.SIGWINCH, signal.SIGCONT, signal.SIGUSR1):
        launcher.send_signal(number)
    assert launcher.wait(PATIENCE_SECONDS) == 3


# ------------------------------------------------------------------------------------------ cleanup


def cgroup_mounts() -> list[str]:
    """The machine's cgroup mounts, which nobody may touch."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]


def test_nothing_is_left_behind(command: CommandLine) -> None:
    """After the last container its cgroups, records, mounts and the server that was started for it are gone."""
    before = cgroup_mounts()
    assert command("run", "--name", NAME, "--", "sh", "-c", "sleep 600 & exit 0").returncode == 0
    assert cgroups_of(NAME) == []
    assert command.clean()
    assert cgroup_mounts() == before


def test_container_that_could_not_start_leaves_nothing(command: CommandLine) -> None:
    """The same holds when the command does not exist."""
    assert command("run", "--name", NAME, "--", "cgscope-no-such-command").returncode == 127
    assert cgroups_of(NAME) == []
    assert command.clean()


def test_killed_launcher_leaves_nothing(command: CommandLine) -> None:
    """After SIGKILL of the launcher the janitor ends the container and removes everything."""
    launcher = started(command, "sleep 600 & " + READY + "exec sleep 600", "--name", NAME)
    members = [int(pid) for pid in Path(cgroups_of(NAME)[0], "cgroup.procs").read_text().split()]
    assert len(members) == 2
    launcher.kill()
    launcher.wait()
    assert eventually(lambda: not any(map(alive, members)))
    assert eventually(lambda: not cgroups_of(NAME) and command.clean())


@ANY_WORLD
def test_killed_launcher_closes_the_callers_pipe(mounted: CommandLine) -> None:
    """No helper of the launcher keeps its standard output open: whoever reads it gets the end of the file."""
    launcher = started(mounted, READY + "exec sleep 600", "--name", NAME)
    launcher.kill()
    assert launcher.communicate(timeout=PATIENCE_SECONDS)[0] == ""
    assert eventually(lambda: not cgroups_of(NAME))


def test_leftovers_of_a_crash_are_swept_by_the_next_run(mounted: CommandLine) -> None:
    """When launcher and janitor are both killed, the next run removes what they left."""
    launcher = started(mounted, READY + "exec sleep 600", "--name", NAME)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    janitor = next(int(pid) for pid in children if os.getsid(int(pid)) == int(pid))
    os.kill(janitor, signal.SIGKILL)
    launcher.kill()
    launcher.wait()
    assert cgroups_of(NAME), "nobody is left to remove it"
    assert mounted("run", "--", "true").returncode == 0
    assert cgroups_of(NAME) == []


def test_concurrent_runs_share_one_server(command: CommandLine) -> None:
    """Ten containers at the same time use one instance, which ends with the last of them."""
    running = [
        command.start("run", "--", "sh", "-c", "cat /proc/uptime; read line", stdin=subprocess.PIPE) for _ in range(10)
    ]
    for one in running:
        assert one.stdout is not None
        assert re.fullmatch(r"\d+\.\d\d \d+\.\d\d\n", one.stdout.readline())
    assert [(one["automatic"], one["containers"] >= 10) for one in command.status()] == [(True, True)]
    for one in running:
        one.communicate("\n", timeout=PATIENCE_SECONDS)
    assert [one.returncode for one in running] == [0] * 10
    assert command.clean()


@ANY_WORLD
def test_name_is_taken_only_once(mounted: CommandLine) -> None:
    """Two containers cannot have one name at the same time; afterwards it is free again."""
    first = started(mounted, READY + "exec sleep 600", "--name", NAME)
    second = mounted("run", "--name", NAME, "--", "true")
    first.terminate()
    first.wait(PATIENCE_SECONDS)
    assert second.returncode == 1
    assert NAME in second.stderr
    assert mounted("run", "--name", NAME, "--", "hostname").stdout == f"{NAME}\n"


# ------------------------------------------------------------------------------- root, user, environment


@ANY_WORLD
def test_rootfs_is_complete_and_closed(mounted: CommandLine, busybox_root: Path) -> None:
    """A container with a root of its own has devices, proc, sys and a terminal file system, and no way to the host."""
    script = """
        echo hello >/dev/null; cat /dev/zero | head -c 1 >/dev/null; echo x >/dev/shm/x; echo x >/tmp/x
        ls -d /dev/pts/ptmx /dev/fd /sys/fs/cgroup
        ls /; ls /proc/self/fd; pwd
        grep -v -e ^proc/ -e '^[^ ]* / ' /proc/mounts
    """
    script = script.replace("head", "busybox head").replace("grep", "busybox grep")
    found = mounted("run", "--memory", "64M", "--rootfs", str(busybox_root), "--", "/bin/sh", "-c", script)
    assert (found.returncode, found.stderr) == (0, "")
    assert str(busybox_root) not in found.stdout
    assert mounted.state_dir not in found.stdout
    assert (busybox_root / "tmp/x").exists()
    assert not (busybox_root / "dev/shm").exists(), "its mounts are its own"


@ANY_WORLD
def test_rootfs_environment_is_clean(mounted: CommandLine, busybox_root: Path) -> None:
    """Only PATH, HOME, TERM and what --env says."""
    mounted.environment["SECRET"] = "of the host"  # noqa: S105
    mounted.environment["PASSED"] = "on"
    options = ["--env", "A=1=2", "--env", "PASSED", "--env", "NOT_SET", "--rootfs", str(busybox_root)]
    found = dict(line.split("=", 1) for line in mounted("run", *options, "--", "env").stdout.splitlines())
    found.pop("PWD", None)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found == {"PATH": path, "HOME": "/root", "TERM": "xterm", "A": "1=2", "PASSED": "on"}


@ANY_WORLD
def test_rootfs_cannot_redirect_mounts_to_the_host(mounted: CommandLine, busybox_root: Path, tmp_path: Path) -> None:
    """A hostile root whose proc is a symbolic link to a directory of the host gets nothing mounted there."""
    (tmp_path / "victim").mkdir()
    (busybox_root / "proc").symlink_to(tmp_path / "victim")
    found = mounted("run", "--rootfs", str(busybox_root), "--", "true")
    assert found.returncode == 1
    assert re.fullmatch(r"procfs-fuse run: .*/proc.*\n", found.stderr)


@ANY_WORLD
@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("worker", "uid=1234(worker) gid=1235(workers) groups=1235(workers)"),
        ("1234:77", "uid=1234(worker) gid=77(others) groups=77(others)"),
        ("4711", "uid=4711 gid=4711 groups=4711"),
        ("worker:others", "uid=1234(worker) gid=77(others) groups=77(others)"),
    ],
)
def test_user_is_the_containers(mounted: CommandLine, busybox_root: Path, user: str, expected: str) -> None:
    """Users are looked up in the container's own files, without supplementary groups and without capabilities."""
    script = "id; busybox grep -e CapEff -e NoNewPrivs /proc/self/status; busybox head -1 /proc/meminfo"
    found = mounted("run", "--memory", "64M", "--rootfs", str(busybox_root), "--user", user, "--", "sh", "-c", script)
    who, capabilities, no_new, memory = found.stdout.splitlines()
    assert re.sub(r"\s+", " ", who) in {expected, expected.partition(" groups")[0]}
    assert int(capabilities.split()[1], 16) == 0
    assert no_new.split() == ["NoNewPrivs:", "1"]
    assert memory.split() == ["MemTotal:", "65536", "kB"]


@ANY_WORLD
def test_hostname_is_the_containers(mounted: CommandLine) -> None:
    """--hostname names the container and not the host."""
    before = os.uname().nodename
    assert mounted("run", "--hostname", "inner", "--", "hostname").stdout == "inner\n"
    assert os.uname().nodename == before


@ANY_WORLD
def test_without_rootfs_environment_and_directory_stay(mounted: CommandLine, tmp_path: Path) -> None:
    """Without a root of its own the command runs where it was called, as the user's own command would."""
    mounted.environment["MINE"] = "kept"
    found = mounted("run", "--", "sh", "-c", 'pwd; echo "$MINE"; echo $$', cwd=tmp_path)
    assert found.stdout.splitlines() == [str(tmp_path), "kept", "1"]


# ----------------------------------------------------------------------------------------- terminal


@ANY_WORLD
def test_shell_has_job_control_on_a_terminal(mounted: CommandLine) -> None:
    """An interactive shell gets the terminal, Ctrl-C ends its job and not the shell, and the terminal comes back."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/")
        os.execve(  # noqa: S606
            "/bin/sh",
            ["sh", "-c", f"{' '.join(mounted.words('run', '--', 'sh', '-i'))}; echo back $?"],
            mounted.environment,
        )
    shell = _Dialogue(terminal)
    shell.expect(rb"# ")
    shell.send(b"sleep 600\n")
    shell.expect(rb"sleep 600\r\n")
    assert eventually(lambda: shell.foreground() == "sleep")
    shell.send(b"\x03")
    shell.expect(rb"# ")
    shell.send(b"echo alive $((40 + 2)); exit 5\n")
    shell.expect(rb"alive 42\r\n")
    seen = shell.expect(rb"back 5\r\n")
    assert b"job control" not in seen
    os.close(terminal)
    os.waitpid(pid, 0)


@ANY_WORLD
def test_interrupt_key_ends_a_plain_command(mounted: CommandLine) -> None:
    """Ctrl-C at a command that does not handle it ends it, as it would outside of a container."""
    pid, terminal = pty.fork()
    if pid == 0:
        words = mounted.words("run", "--", "sh", "-c", READY + "exec sleep 600")
        os.execve(words[0], words, mounted.environment)  # noqa: S606
    dialogue = _Dialogue(terminal)
    dialogue.expect(rb"ready\r\n")
    dialogue.send(b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    os.close(terminal)


@ANY_WORLD
def test_stop_key_stops_the_container_and_fg_continues_it(mounted: CommandLine) -> None:
    """Ctrl-Z at a command stops all of it; the caller's shell can continue it, and Ctrl-C still ends it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "--norc", "-i"], {**mounted.environment, "PS1": "% "})  # noqa: S606
    shell = _Dialogue(terminal)
    shell.expect(rb"% ")
    shell.send(f"{' '.join(mounted.words('run', '--name', NAME, '--', 'sleep', '600'))}\n".encode())
    assert eventually(lambda: shell.foreground() == "sleep")
    sleeper = int(Path(cgroups_of(NAME)[0], "cgroup.procs").read_text())
    shell.send(b"\x1a")
    shell.expect(rb"Stopped")
    assert eventually(lambda: state_of(sleeper) == "T"), "a process that runs at that moment stops a little later"
    shell.send(b"fg\n")
    assert eventually(lambda: state_of(sleeper) == "S" and shell.foreground() == "sleep")
    shell.send(b"\x03")
    shell.expect(rb"% ")
    shell.send(b"echo code $?; exit\n")
    shell.expect(rb"code 130\r\n")
    os.waitpid(pid, 0)
    os.close(terminal)


def state_of(pid: int) -> str:
    """One letter, as ``ps`` shows it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class _Dialogue:
    """A terminal, seen from the person's side."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._seen = b""

    def send(self, data: bytes) -> None:
        os.write(self._terminal, data)

    def foreground(self) -> str:
        """Name of the program that leads the foreground group; empty when it has just ended."""
        try:
            return Path(f"/proc/{os.tcgetpgrp(self._terminal)}/comm").read_text().strip()
        except FileNotFoundError:
            return ""

    def expect(self, pattern: bytes) -> bytes:
        """Read until a pattern appears; returns all up to its end and forgets it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := re.search(pattern, self._seen)) is None:
            assert select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))[0], self._seen
            self._seen += os.read(self._terminal, 4096)
        before, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return before


# ---------------------------------------------------------------------------------------- wrong usage


@ANY_WORLD
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--memory", "12Q", "--", "true"], 2, "12Q"),
        (["--memory", "0", "--", "true"], 2, "memory"),
        (["--cpus", "0", "--", "true"], 2, "'0'"),
        (["--cpus", "nan", "--", "true"], 2, "nan"),
        (["--pids", "0", "--", "true"], 2, "'0'"),
        (["--cpuset", "4095", "--", "true"], 2, "4095"),
        (["--cpuset", "a-b", "--", "true"], 2, "a-b"),
        (["--cpuset", "", "--", "true"], 2, "cpuset"),
        (["--name", "../escape", "--", "true"], 2, "../escape"),
        (["--hostname", "a b", "--", "true"], 2, "a b"),
        (["--env", "=x", "--", "true"], 2, "=x"),
        (["--rootfs", "/no/such/directory", "--", "true"], 1, "/no/such/directory"),
        (["--rootfs", "/etc/passwd", "--", "true"], 1, "/etc/passwd"),
        (["--user", "cgscope-no-such-user", "--", "true"], 1, "cgscope-no-such-user"),
        (["--mount", "/no/such/mount", "--", "true"], 1, "/no/such/mount"),
        (["--memroy", "1G", "--", "true"], 2, "--memory"),
        ([], 2, "COMMAND"),
        (["--"], 2, "COMMAND"),
    ],
)
def test_wrong_use_is_one_line(command: CommandLine, options: list[str], code: int, words: str) -> None:
    """A mistake is answered with one line that names it, the right exit code, and nothing is left."""
    found = command("run", *options)
    assert found.returncode == code
    assert re.fullmatch(r"procfs-fuse run: [^\n]*\n", found.stderr)
    assert words in found.stderr
    assert command.clean()


def test_no_process_of_ours_is_in_the_memory_cgroup(mounted: CommandLine) -> None:
    """Only the command is charged: the interpreter that started it joined last and is gone by exec."""
    launcher = started(mounted, READY + "exec sleep 600", "--name", NAME)
    hierarchy = discover_mounts().for_controller("memory") or discover_mounts().primary
    members = Path(hierarchy.directory(f"/cgscope/{NAME}"), "cgroup.procs").read_text().split()
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in members]
    launcher.terminate()
    launcher.wait(PATIENCE_SECONDS)
    assert set(names) <= {"sh\n", "sleep\n"}


def test_a_name_that_is_taken_elsewhere_is_refused(mounted: CommandLine) -> None:
    """There is one tree of cgroups: a launcher with another state directory leaves a container of that name alone."""
    taken = f"taken-{os.getpid()}"
    create(discover_mounts(), f"/cgscope/{taken}")
    try:
        found = mounted("run", "--name", taken, "--memory", "32M", "--", "true")
        assert found.returncode == 1
        assert taken in found.stderr
        assert cgroups_of(taken)
    finally:
        remove(discover_mounts(), f"/cgscope/{taken}")


def test_accounts_of_a_hostile_root_are_bounded(mounted: CommandLine, busybox_root: Path) -> None:
    """A user database that is a device without an end, or a pipe that nobody writes to, is as good as none."""
    passwd = busybox_root / "etc" / "passwd"
    passwd.parent.mkdir(exist_ok=True)
    for hostile in ("device", "pipe"):
        passwd.unlink(missing_ok=True)
        if hostile == "device":
            passwd.symlink_to("/dev/zero")
        else:
            os.mkfifo(passwd)
        found = mounted("run", "--rootfs", str(busybox_root), "--user", "nobody-such", "--", "true")
        assert found.returncode == 1
        assert "no user" in found.stderr
