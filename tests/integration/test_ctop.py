"""ctop on a real kernel and in a real terminal: numbers, keys, actions, signals, churn."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cgroup_model.control import Limits, add_process, apply, create, procs, remove
from cgroup_model.mounts import Mounts, OutOfSight, discover_mounts
from cgscope.doctor.checks.proc import FIRST_PID_NAMESPACE
from ctop.arrange import View
from ctop.columns import DEFAULT
from ctop.live import Live
from ctop.session import Session
from tests.integration.command_line import ANY_WORLD
from tests.integration.terminal import PATIENCE_SECONDS, Terminal

ROOT = Path(__file__).resolve().parents[2]
TOP = f"/cgscope-test-ctop-{os.getpid()}"
INNER = f"{TOP}/inner"
MOST_VICTIMS = 60
MIB = 1 << 20
CTOP = [sys.executable, "-m", "ctop"]
# Keys go one at a time (`ctop.keyboard`), and every wait has a deadline of a minute: nothing here depends on timing.

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes cgroups: needs root")

ORDER = ("Freeze", "Thaw", "Send a signal", "Kill", "Limit memory", "Limit CPU", "Limit tasks")  # of the menu
RANDOM = random.Random(5)  # noqa: S311 - keys, not secrets
NAMES = {
    "memory": ("memory.usage_in_bytes", "memory.current"),
    "pids": ("pids.current", "pids.current"),
}


@pytest.fixture(scope="module")
def mounts() -> Mounts:
    """Return what is mounted."""
    return discover_mounts()


@pytest.fixture
def member(mounts: Mounts) -> Iterator[subprocess.Popen[bytes]]:
    """Make two cgroups, the outer one limited, a process that holds 16 MiB in the inner one."""
    create(mounts, INNER)
    code = "import sys, time; held = b'x' * (16 << 20); print('ready', flush=True); time.sleep(3600)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"input(); {code}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        apply(mounts, TOP, Limits(memory_bytes=128 * MIB, pids=50))
        add_process(mounts, INNER, process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()
        remove(mounts, TOP)


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Return the environment of a fresh user."""
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
    return {**kept, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **more}


def number(mounts: Mounts, controller: str, path: str) -> int:
    """Read a number from a control file, without any of our code."""
    hierarchy = mounts.for_controller(controller)
    assert hierarchy is not None
    return int(Path(f"{hierarchy.mountpoint}{path}/{NAMES[controller][hierarchy.version - 1]}").read_text("ascii"))


def record(tmp_path: Path, *options: str) -> dict[str, object]:
    """Return what ``ctop --once --json`` says about the inner cgroup."""
    command = [*CTOP, "--once", "--json", "--all", "--filter", INNER, "-d", "0.2", *options]
    done = subprocess.run(command, capture_output=True, env=environment(tmp_path), check=True, timeout=PATIENCE_SECONDS)
    found: list[dict[str, object]] = json.loads(done.stdout)["cgroups"]
    return next(one for one in found if one["path"] == INNER)


def test_values_are_those_of_the_control_files(mounts: Mounts, member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Memory lies between the file's values before and after; tasks and limits are equal."""
    member.send_signal(signal.SIGSTOP)
    before = number(mounts, "memory", INNER)
    found = record(tmp_path)
    after = number(mounts, "memory", INNER)
    used = found["memory_bytes"]
    assert isinstance(used, int)
    assert min(before, after) <= used <= max(before, after)
    anon, working_set = found["memory_anon_bytes"], found["memory_working_set_bytes"]
    assert isinstance(anon, int)
    assert isinstance(working_set, int)
    assert 16 * MIB <= anon <= used
    assert anon <= working_set <= used
    assert found["memory_limit_bytes"] == 128 * MIB
    assert found["pids"] == number(mounts, "pids", INNER) == 1
    assert found["pids_limit"] == 50
    assert found["cpu_core_percent"] == 0.0


def test_first_look_has_no_rates(member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """No average since boot: unknown, until there are two looks."""
    assert member.poll() is None
    command = [*CTOP, "-n", "1", "--json", "--all", "--filter", INNER]
    done = subprocess.run(command, capture_output=True, env=environment(tmp_path), check=True, timeout=PATIENCE_SECONDS)
    (found,) = [one for one in json.loads(done.stdout)["cgroups"] if one["path"] == INNER]
    assert found["cpu_core_percent"] is None
    assert found["cpu_user_percent"] is None
    assert found["memory_bytes"] > 0


def test_recreated_cgroup_starts_afresh(mounts: Mounts, member: subprocess.Popen[bytes]) -> None:
    """The same path made again between two looks is new: no rate from the old one's counters."""
    live = Live()
    session = Session(live, View(show_all=True), DEFAULT)
    session.watched = INNER
    try:
        session.refresh()
        time.sleep(0.3)
        session.refresh()
        entry = session.entry(INNER)
        assert entry is not None
        assert entry.rates is not None
        assert entry.rates.cpu_cores is not None
        member.kill()
        member.wait()
        remove(mounts, INNER)
        create(mounts, INNER)
        time.sleep(0.3)
        session.refresh()
        again = session.entry(INNER)
        assert again is not None
        assert again.inode != entry.inode
        assert (again.rates, again.brief.cpu_cores, again.is_new) == (None, None, True)
    finally:
        live.close()


@ANY_WORLD
def test_keys_resize_and_leaving(member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """In a real terminal: the list, a filter, details, a new size; q leaves the terminal as it was."""
    assert member.poll() is None
    with Terminal([*CTOP, "--all"], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        terminal.send("/")
        terminal.send(INNER[1:])
        terminal.send("\r")
        terminal.wait_for(f"filter: {INNER[1:]} (1)")
        terminal.send("\r")
        terminal.wait_for("[graphs]")
        terminal.send("p")
        terminal.wait_for(str(member.pid))
        terminal.resize(60, 12)
        terminal.wait_for("[processes]")
        terminal.send("\x1b")
        terminal.wait_for("NAME")
        terminal.send("q")
        assert terminal.wait_until_gone() == 0
        assert terminal.is_restored


@ANY_WORLD
def test_typing_ahead(mounts: Mounts, member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Keys that come all at once do what they do one by one: lines, dialogs and pages open before the next counts."""
    assert member.poll() is None
    with Terminal([*CTOP, "--all"], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        terminal.send(f"/{INNER[1:]}\rx" + "j" * ORDER.index("Limit tasks") + "\r34\ry")
        terminal.wait_for("may have 34")
        terminal.send("\rp")
        terminal.wait_for(str(member.pid))
        terminal.wait_for("[processes]")
        terminal.send("qq")
        assert terminal.wait_until_gone() == 0
    hierarchy = mounts.for_controller("pids")
    assert hierarchy is not None
    assert Path(f"{hierarchy.mountpoint}{INNER}/pids.max").read_text("ascii") == "34\n"


@ANY_WORLD
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_restore_the_terminal(number: signal.Signals, tmp_path: Path) -> None:
    """Whoever ends it from outside finds the terminal as it was."""
    with Terminal(CTOP, environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        terminal.process.send_signal(number)
        terminal.wait_until_gone()
        assert terminal.is_restored
        assert "Traceback" not in terminal.raw.decode(errors="replace")


@ANY_WORLD
def test_a_crash_is_one_line(tmp_path: Path) -> None:
    """A fault of ours leaves the terminal as it was and no traceback."""
    code = (
        "import sys, ctop.session, ctop.cli\n"
        "def fail(self, rows): raise RuntimeError('deliberate')\n"
        "ctop.session.Session.move = fail\n"
        "sys.exit(ctop.cli.main([]))\n"
    )
    with Terminal([sys.executable, "-c", code], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        terminal.send("j")
        assert terminal.wait_until_gone() == 1
        assert terminal.is_restored
        sent = terminal.raw.decode(errors="replace")
        assert "ctop: internal error: RuntimeError: deliberate" in sent
        assert "Traceback" not in sent


@ANY_WORLD
def test_a_crash_behind_the_first_frame(tmp_path: Path) -> None:
    """The first frame is there before Textual; when that cannot even start, the terminal is given back all the same."""
    code = "import sys, ctop.cli\nsys.modules['textual.app'] = None\nsys.exit(ctop.cli.main(['--all']))\n"
    with Terminal([sys.executable, "-c", code], environment(tmp_path)) as terminal:
        assert terminal.wait_until_gone() == 1
        assert terminal.is_restored
        sent = terminal.raw.decode(errors="replace")
        assert "? help" in sent
        assert "internal error: ModuleNotFoundError" in sent
        assert "Traceback" not in sent


@ANY_WORLD
@pytest.mark.parametrize("sign", [b"? help", b"\x1b[?1004h"], ids=["first frame", "Textual"])
def test_a_terminal_that_vanishes(sign: bytes, tmp_path: Path) -> None:
    """When the terminal is gone and no signal says so, it ends by itself and leaves nothing running."""
    with Terminal(CTOP, environment(tmp_path)) as terminal:
        terminal.wait_until_sent(sign)
        terminal.hang_up()
        terminal.process.wait(PATIENCE_SECONDS)


@ANY_WORLD
def test_a_terminal_that_vanishes_while_nobody_reads(tmp_path: Path) -> None:
    """Nor does it hang when a connection stalled, and frames waited to be taken, before the terminal was gone."""
    with Terminal([*CTOP, "-d", "0.2"], environment(tmp_path)) as terminal:
        terminal.wait_until_sent(b"\x1b[?1004h")
        terminal.send("y" * 200)  # each draws everything in other colours
        terminal.wait_until_stalled()
        terminal.hang_up()
        terminal.process.wait(PATIENCE_SECONDS)


@ANY_WORLD
def test_suspend_and_come_back(tmp_path: Path) -> None:
    """^Z gives the terminal back and stops, as a shell with jobs expects; SIGCONT draws everything again."""
    with Terminal(CTOP, environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        terminal.send("\x1a")
        terminal.wait_until_stopped()
        assert terminal.is_restored
        terminal.raw = b""
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_until_sent(b"? help")
        terminal.send("q")
        assert terminal.wait_until_gone() == 0
        assert terminal.is_restored


def test_limits_freezing_and_killing(mounts: Mounts, member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The menu asks, and does it only for a y: a limit, freezing, killing; each is seen in the kernel."""
    with Terminal([*CTOP, "--all", "--filter", INNER], environment(tmp_path)) as terminal:
        terminal.wait_for("filter:")
        for label, argument in (("Limit tasks", "33"), ("Freeze", ""), ("Thaw", ""), ("Kill", "")):
            _choose(terminal, label, argument)
            terminal.wait_for("y: do it")
            terminal.send("n")
            terminal.wait_for("filter:")
            assert member.poll() is None
            _choose(terminal, label, argument)
            terminal.wait_for("y: do it")
            terminal.send("y")
            terminal.wait_for(
                {"Limit tasks": "may have 33", "Freeze": "is frozen", "Thaw": "runs again"}.get(label, "was killed")
            )
            terminal.send("k")
            terminal.wait_for("filter:")
        assert member.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert procs(mounts, INNER) == []
        terminal.send("q")
        assert terminal.wait_until_gone() == 0
    hierarchy = mounts.for_controller("pids")
    assert hierarchy is not None
    assert Path(f"{hierarchy.mountpoint}{INNER}/pids.max").read_text("ascii") == "33\n"


def _choose(terminal: Terminal, label: str, argument: str) -> None:
    terminal.send("x")
    terminal.wait_for("What to do to")
    terminal.send("j" * ORDER.index(label) + "\r")
    if argument:
        terminal.wait_for("Tasks, such as")
        terminal.send(f"{argument}\r")


@ANY_WORLD
def test_no_color_sends_no_colour(tmp_path: Path) -> None:
    """NO_COLOR: not one colour in all that is sent."""
    with Terminal(CTOP, environment(tmp_path, NO_COLOR="1")) as terminal:
        terminal.wait_for("? help")
        terminal.send("q")
        terminal.wait_until_gone()
        codes = {
            code
            for found in terminal.raw.split(b"\x1b[")[1:]
            if b"m" in found
            for code in found.split(b"m")[0].split(b";")
        }
        assert not codes & {b"31", b"32", b"33", b"34", b"35", b"36", b"38", b"48"}


@ANY_WORLD
def test_sixteen_colours(tmp_path: Path) -> None:
    """A terminal of 16 colours gets none of 256 or more, whatever the theme is made of."""
    without = {name: value for name, value in environment(tmp_path).items() if name != "COLORTERM"}
    with Terminal([*CTOP, "--theme", "safe"], without, term="xterm") as terminal:
        terminal.wait_for("? help")
        terminal.send("q")
        terminal.wait_until_gone()
        assert b"38;2;" not in terminal.raw
        assert b"38;5;" not in terminal.raw
        assert re.search(rb"\x1b\[[0-9;]*(?:3|9)[0-7]m", terminal.raw)


def test_oom_history(mounts: Mounts, member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The page of OOM kills counts a kill and names the victim that the kernel's log names."""
    with Terminal([*CTOP, "--all", "--filter", INNER], environment(tmp_path)) as terminal:
        terminal.wait_for("filter:")
        terminal.send("\r" + "\t" * 4)
        terminal.wait_for("[oom]")
        apply(mounts, INNER, Limits(memory_bytes=40 * MIB, swap_bytes=0))
        victims = {str(dies_of_oom(mounts, member))}
        terminal.wait_for(" killed")
        is_first = os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE  # whose numbers the log has
        if is_first and os.access("/dev/kmsg", os.R_OK):
            # The kernel says no more than ten times in five seconds which cgroup it was (mm/oom_kill.c, oom_rs).
            while not terminal.shows(*victims) and len(victims) < MOST_VICTIMS:
                victims.add(str(dies_of_oom(mounts, member)))
            terminal.wait_for(INNER)
        terminal.send("\x03")
        assert terminal.wait_until_gone() == 0


def dies_of_oom(mounts: Mounts, member: subprocess.Popen[bytes]) -> int:
    """Let a process take more than the cgroup may have; which one the kernel chose."""
    eater = "input(); held = b'x' * (64 << 20)"
    process = subprocess.Popen([sys.executable, "-c", eater], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    add_process(mounts, INNER, process.pid)
    process.communicate(b"\n", timeout=PATIENCE_SECONDS)
    assert -signal.SIGKILL in {process.returncode, member.poll()}
    return process.pid if process.returncode == -signal.SIGKILL else member.pid


def test_record_and_replay_elsewhere(member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """A recording has what was seen, and replays without the cgroups it is about."""
    assert member.poll() is None
    path = str(tmp_path / "r.db")
    found = record(tmp_path, "--record", path)
    command = [*CTOP, "--replay", path, "--json", "--all", "--filter", INNER]
    done = subprocess.run(command, capture_output=True, env=environment(tmp_path), check=True, timeout=PATIENCE_SECONDS)
    looks = [json.loads(line)["cgroups"][0] for line in done.stdout.splitlines()]
    assert len(looks) == 2
    same = ("path", "name", "memory_limit_bytes", "pids", "pids_limit", "memory_anon_bytes", "cpu_core_percent")
    assert {name: looks[1][name] for name in same} == {name: found[name] for name in same}
    assert looks[0]["cpu_core_percent"] is None


def test_unprivileged(member: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Without root: what may be read is shown, nothing fails."""
    assert member.poll() is None
    tmp_path.chmod(0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "ctop"]
    if subprocess.run([*command[:-2], "-c", "import psutil, textual"], check=False, capture_output=True).returncode:
        pytest.skip("this Python is not readable by others")
    options = ["--once", "--json", "--all", "-d", "0.2", "--filter", INNER]
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        env=environment(tmp_path),
        check=False,
        timeout=PATIENCE_SECONDS,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    (found,) = [one for one in json.loads(done.stdout)["cgroups"] if one["path"] == INNER]
    assert found["pids"] == 1


def test_churn(mounts: Mounts, tmp_path: Path) -> None:
    """While cgroups come and go and random keys are pressed: no exception, and q still works."""
    with churn(mounts, per_second=200.0), Terminal([*CTOP, "--all", "-d", "0.2"], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        _press_at_random(terminal, 80)
        _leave(terminal)


@pytest.mark.long
def test_a_minute_of_churn(mounts: Mounts, tmp_path: Path) -> None:
    """200 cgroups a second for a minute under random keys: no exception, and memory does not grow with what is gone.

    What is remembered on purpose (looks, graphs, names) has its bounds; it may still fill up in the second half.
    """
    with churn(mounts, per_second=200.0), Terminal([*CTOP, "--all", "-d", "0.2"], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        started, half, others = time.monotonic(), 0, 0
        while (passed := time.monotonic() - started) < 60:
            _press_at_random(terminal, 10)
            if passed > 30 and not half:
                half, others = _rss_kib(terminal.process.pid), _cgroups(mounts)
        more = max(0, _cgroups(mounts) - others)  # whatever else this machine is doing
        assert _rss_kib(terminal.process.pid) - half < 10_240 + 16 * more
        _leave(terminal)


def test_one_write_per_frame(tmp_path: Path) -> None:
    """No flicker: what changed between two looks reaches the terminal in one piece."""
    log = tmp_path / "log"
    code = (
        "import io, os, sys, ctop.cli, ctop.session\n"
        "log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "class Counting(io.FileIO):\n"
        "    def write(self, data): os.write(log, b'w'); return super().write(data)\n"
        "raw = Counting(1, 'w', closefd=False)\n"
        "sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.BufferedWriter(raw), 'utf-8', line_buffering=True)\n"
        "refresh = ctop.session.Session.refresh\n"
        "def look(self): os.write(log, b'L'); refresh(self)\n"
        "ctop.session.Session.refresh = look\n"
        "sys.exit(ctop.cli.main(['--all', '-d', '0.5']))\n"
    )
    with Terminal([sys.executable, "-c", code, str(log)], environment(tmp_path)) as terminal:
        terminal.wait_for("? help")
        begin = log.stat().st_size
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (seen := log.read_bytes()[begin:]).count(b"L") < 12:
            assert time.monotonic() < deadline
            terminal.read(0.1)
        terminal.send("q")
        assert terminal.wait_until_gone() == 0
    looks = seen.split(b"L")[2:-1]  # whole intervals, without those of the start
    assert 0 < sum(look.count(b"w") for look in looks) <= len(looks)


@contextmanager
def churn(mounts: Mounts, *, per_second: float) -> Iterator[None]:
    """Make and remove cgroups in the background, at most so many a second."""
    create(mounts, TOP)
    ended = threading.Event()
    thread = threading.Thread(target=_churn, args=(mounts, ended, per_second))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        remove(mounts, TOP)


def _churn(mounts: Mounts, ended: threading.Event, per_second: float) -> None:
    for number in itertools.count():
        if ended.wait(1 / per_second):
            return
        create(mounts, f"{TOP}/c{number % 40}")
        remove(mounts, f"{TOP}/c{(number + 20) % 40}")


def _press_at_random(terminal: Terminal, count: int) -> None:
    keys = [*"jkgGtabm%<>rMNPITF*+-H[]y?h", " ", "\r", "\x1b", "\t", "/c\r", "c\x1b", "s\x1b"]
    for _ in range(count):
        terminal.send(RANDOM.choice(keys))
        terminal.read(0.02)
        assert terminal.process.poll() is None, terminal.text


def _leave(terminal: Terminal) -> None:
    terminal.send("\x03")
    assert terminal.wait_until_gone() == 0
    assert terminal.is_restored
    assert "internal error" not in terminal.raw.decode(errors="replace")


def _cgroups(mounts: Mounts) -> int:
    return sum(1 for _ in os.walk(mounts.primary.mountpoint))


def _rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_without_cgroups_it_says_so(tmp_path: Path) -> None:
    """Not a traceback, but what is missing."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_bytes(b"")
    (tmp_path / "self" / "cgroup").write_bytes(b"")
    with pytest.raises(OutOfSight, match="no cgroup file system"):
        Live(proc_root=str(tmp_path))
