"""Every rule of a takeover, with the real keeper: what a worker leaves when it dies at the worst instruction."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import select
import signal
from collections.abc import Iterator
from operator import le
from pathlib import Path

import pytest

from cgroup_model.control import Limits, apply
from cgroup_model.mounts import discover_mounts
from procfs_fuse.keeper.worker import MOST_DEATHS
from procfs_fuse.transport import mounting
from procfs_fuse.transport.wire import Opcode
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, CommandLine, eventually
from tests.integration.survival import NATIVE_ONLY, Served, changing_containers, waiting_requests
from tests.integration.takeover import SLOT, Imposter, Reader, imposter

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

HAS_PRESSURE = os.path.exists("/proc/pressure/memory") and discover_mounts().for_controller("") is not None
UPTIME = re.compile(rb"\d+\.\d\d \d+\.\d\d\n")


@pytest.fixture
def served(command: CommandLine, place: Path) -> Served:
    """An instance whose keeper has a lot of patience with workers that stand still."""
    return Served(command, place, "--request-timeout", "60s")


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Somebody who waits, so that the test does not."""
    reader = Reader()
    yield reader
    reader.close()


def log_of(served: Served) -> str:
    """What keeper and workers have to say."""
    return Path(served.instance.directory, "log").read_text()


def opened(served: Served, reader: Reader, name: str = "proc/uptime") -> str:
    """Have the reader open a file; return the expression for its descriptor."""
    reader.call(f"globals().update(fd=os.open({str(served.place / name)!r}, os.O_RDONLY))")
    return "fd"


def waiting(served: Served, reader: Reader, call: str) -> Imposter:
    """Have the reader wait for a request that is in the journal of a worker which will not answer it."""
    one = Imposter(served)
    reader.begin(call)
    assert one.read_request()[0] == Opcode.READ
    return one


# -------------------------------------------------------------------------------------- the request under way


def test_request_of_a_dead_worker_is_answered(served: Served, reader: Reader) -> None:
    """What was read by a worker that died before it answered is answered by the next."""
    one = waiting(served, reader, f"os.pread({opened(served, reader)}, 100, 0)")
    one.die()
    assert UPTIME.fullmatch(eval(reader.end()))  # noqa: S307 - repr of bytes
    one.close()


def test_answered_request_is_not_answered_twice(served: Served, reader: Reader) -> None:
    """A worker that died between its answer and the clearing of the journal: its answer is the one that counts."""
    one = waiting(served, reader, f"os.pread({opened(served, reader)}, 100, 0)")
    one.answer(one.journal.under_way(SLOT, "open"), b"1.00 2.00\n")
    assert reader.end() == repr(b"1.00 2.00\n")
    one.die()
    served.complete()
    assert UPTIME.fullmatch(eval(reader.call("os.pread(fd, 100, 0)")))  # noqa: S307 - repr of bytes
    assert served.command.status()[0]["errors"] == {}
    one.close()


def test_lost_request_is_delivered_again(served: Served, reader: Reader) -> None:
    """A request that was read and is in no journal comes again, where the kernel can do that."""
    one = waiting(served, reader, f"os.pread({opened(served, reader)}, 100, 0)")
    one.journal.clear(SLOT, "open")
    one.die()
    served.complete()
    if not served.command.status()[0]["resends"]:
        one.close()
        pytest.skip("this kernel has no FUSE_NOTIFY_RESEND")
    assert UPTIME.fullmatch(eval(reader.end()))  # noqa: S307 - repr of bytes
    one.close()


@NATIVE_ONLY
def test_deadly_request_is_refused(served: Served, reader: Reader) -> None:
    """A request that worker after worker died of gets EIO, the log says so, and everybody else is served."""
    one = waiting(served, reader, f"os.pread({opened(served, reader)}, 100, 0)")
    one.journal.charge(SLOT, "open", MOST_DEATHS - 1)
    one.die()
    assert reader.end() == str(errno.EIO)
    assert "EIO: several workers died of it" in log_of(served)
    assert UPTIME.fullmatch(eval(reader.call("os.pread(fd, 100, 0)")))  # noqa: S307 - repr of bytes
    one.close()


@NATIVE_ONLY
def test_innocent_request_is_not_refused(served: Served, reader: Reader) -> None:
    """Deaths count for the request that was under way, not for the next one."""
    one = waiting(served, reader, f"os.pread({opened(served, reader)}, 100, 0)")
    one.journal.charge(SLOT, "open", MOST_DEATHS - 2)
    one.die()
    assert UPTIME.fullmatch(eval(reader.end()))  # noqa: S307 - repr of bytes
    one.close()


# ------------------------------------------------------------------------------------- what was announced


def test_rest_of_a_file_is_that_of_its_beginning(served: Served, reader: Reader) -> None:
    """Who has read the first bytes gets the following ones of the same content from the next worker."""
    with changing_containers(1, keep_changing=False) as (target,):
        path = f"/{target.top}/docker/{target.name}"
        mounts = discover_mounts()
        apply(mounts, path, Limits(pids=99))
        name = f"containers/{target.name}/proc/sys/kernel/threads-max"
        begun = eval(reader.call(f"os.read({opened(served, reader, name)}, 1)"))  # noqa: S307 - repr of bytes
        apply(mounts, path, Limits(pids=1000))
        served.kill_worker()
        rest = eval(reader.call("os.read(fd, 100)"))  # noqa: S307 - repr of bytes
        assert begun + rest == b"99\n"
        assert eval(reader.call("os.pread(fd, 100, 0)")) == b"1000\n"  # noqa: S307 - repr of bytes


def test_container_that_went_is_not_another_one(served: Served, reader: Reader) -> None:
    """A file of a container that went while nobody served says so, although a new one has its name."""
    with changing_containers(1, keep_changing=False) as (target,):
        name = f"containers/{target.name}/proc/uptime"
        fd = opened(served, reader, name)
        assert eval(reader.call(f"os.pread({fd}, 100, 0)"))  # noqa: S307 - repr of bytes
        inode = (served.place / name).stat().st_ino
        with imposter(served) as one:
            target.replace()
            one.die()
            assert reader.call(f"os.pread({fd}, 100, 0)") == str(errno.ENODEV)
        assert eventually((served.place / name).exists)
        assert (served.place / name).stat().st_ino != inode


@pytest.mark.skipif(not HAS_PRESSURE, reason="this kernel accounts no pressure for cgroups")
def test_who_waits_for_a_trigger_is_woken_by_the_next_worker(served: Served) -> None:
    """A pressure trigger and who waits for it outlive the worker: the next one knows both, and wakes."""
    with changing_containers(1, keep_changing=False) as (target,):
        fd = os.open(served.open / target.name / "proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"some 150000 1000000")
        epoll = select.epoll()
        epoll.register(fd, select.EPOLLPRI)  # asks once, now; from here on somebody has to wake us
        assert epoll.poll(0) == []
        served.kill_worker()
        with pytest.raises(OSError, match="busy"):
            os.write(fd, b"some 150000 1000000")
        assert epoll.poll(0) == []
        target.replace()
        ((_, events),) = epoll.poll(PATIENCE_SECONDS)
        assert events & select.EPOLLERR, "its container is gone"
        epoll.close()
        os.close(fd)


def test_identity_survives(served: Served) -> None:
    """Inode numbers are the same before and after workers, keepers and everything else were replaced."""
    with changing_containers(2, keep_changing=False) as targets:
        names = [f"{target.name}/proc/stat" for target in targets]
        before = [(served.open / name).stat().st_ino for name in names]
        served.kill_worker()
        assert [(served.open / name).stat().st_ino for name in names] == before
        assert served.command("restart").returncode == 0
        assert [(served.open / name).stat().st_ino for name in names] == before
        served.command.kill_all(served.complete())
        assert served.command("mount", str(served.place)).returncode == 0
        assert [(served.open / name).stat().st_ino for name in names] == before


@NATIVE_ONLY
def test_choice_of_passthrough_survives(served: Served) -> None:
    """A worker that takes over shows what its predecessor was told to show."""
    assert served.command("passthrough", "on").returncode == 0
    served.kill_worker()
    assert served.command.status()[0]["passthrough"] is True
    assert served.command("passthrough", "off").returncode == 0
    assert served.command("restart").returncode == 0
    assert served.command.status()[0]["passthrough"] is False


# --------------------------------------------------------------------------------------------- the keeper


@NATIVE_ONLY
def test_journal_is_in_memory(served: Served) -> None:
    """Every page that requests are read into is there and locked: a page fault in that read would lose the request."""
    for pid in served.complete()["worker_pids"]:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
        starts = [n for n, line in enumerate(lines) if "memfd:procfs-fuse-journal" in line and " 00000000 " in line]
        about = dict(line.split(":", 1) for line in lines[starts[0] + 1 : starts[0] + 26] if ":" in line)
        assert about["Size"].split() == about["Rss"].split()
        assert "lo" in about["VmFlags"].split()  # locked, Documentation/filesystems/proc.rst


@NATIVE_ONLY
def test_readers_get_eio_when_nobody_can_serve(served: Served, reader: Reader) -> None:
    """Without a worker readers wait a few seconds, then get EIO instead of hanging; later they are served again."""
    fd = opened(served, reader)
    state = served.complete()
    os.kill(state["nursery_pid"], signal.SIGSTOP)  # so that there will be no new worker
    for pid in reversed(state["worker_pids"]):
        os.kill(pid, signal.SIGKILL)
    assert reader.call(f"os.pread({fd}, 100, 0)") == str(errno.EIO)
    assert "readers get EIO" in log_of(served)
    os.kill(state["nursery_pid"], signal.SIGCONT)
    served.complete()
    assert UPTIME.fullmatch(eval(reader.call(f"os.pread({fd}, 100, 0)")))  # noqa: S307 - repr of bytes


@NATIVE_ONLY
def test_hung_nursery_is_replaced(served: Served) -> None:
    """When no new worker comes, another nursery is asked."""
    before = served.complete()
    os.kill(before["nursery_pid"], signal.SIGSTOP)
    os.kill(before["worker_pids"][1], signal.SIGKILL)
    assert eventually(lambda: served.complete()["nursery_pid"] != before["nursery_pid"])


@pytest.mark.long
def test_mounts_are_given_up_when_nobody_can_serve(served: Served) -> None:
    """After half a minute without a worker the keeper ends, says why, and leaves no mount behind."""
    state = served.complete()
    hard = resource.prlimit(state["keeper_pid"], resource.RLIMIT_NOFILE)[1]
    resource.prlimit(state["keeper_pid"], resource.RLIMIT_NOFILE, (3, hard))  # so that it can start nobody
    for pid in (*reversed(state["worker_pids"]), state["nursery_pid"]):
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not served.instance.alive)
    assert "giving up" in log_of(served)
    assert mounting.mount_at(str(served.place)) is None


@NATIVE_ONLY
def test_worker_without_descriptors_goes_on(served: Served) -> None:
    """Where nothing more can be opened (EMFILE) readers get something or an error, and nobody dies."""
    pid = served.complete()["worker_pids"][0]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    with changing_containers(1) as (target,):
        for name in ("meminfo", "stat", "uptime"):
            try:
                assert (served.open / target.name / "proc" / name).read_bytes()
            except OSError as error:
                assert error.errno in {errno.EIO, errno.ENOENT, errno.ENODEV, errno.EMFILE}  # noqa: PT017
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert eventually((served.open / target.name / "proc/meminfo").exists)
        assert (served.open / target.name / "proc/meminfo").read_bytes().startswith(b"MemTotal:")
    assert served.complete()["worker_pids"][0] == pid


@NATIVE_ONLY
def test_worker_without_memory_goes_on(served: Served) -> None:
    """Where nothing more can be allocated (ENOMEM) readers get something or an error, and others serve on."""
    pid = served.complete()["worker_pids"][0]
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    with changing_containers(1) as (target,):
        resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, before[1]))
        for name in ("meminfo", "stat", "cpuinfo", "uptime", "loadavg") * 4:
            try:
                assert (served.open / target.name / "proc" / name).read_bytes()
            except OSError as error:
                assert error.errno in {errno.EIO, errno.ENOENT, errno.ENODEV, errno.ENOMEM}  # noqa: PT017
        with contextlib.suppress(ProcessLookupError):  # it may have ended of it: then it has been replaced
            resource.prlimit(pid, resource.RLIMIT_AS, before)
        assert eventually((served.open / target.name / "proc/meminfo").exists)
        assert (served.open / target.name / "proc/meminfo").read_bytes().startswith(b"MemTotal:")
    served.complete()


@NATIVE_ONLY
def test_everything_is_given_back(served: Served) -> None:
    """Takeovers leave nothing behind: descriptors, threads, processes, waiting requests, memory of the keeper."""
    for _ in range(3):
        served.kill_worker()
    before = _possessions(served)
    for _ in range(12):
        served.kill_worker()
    # Less may be left: the first look may have come while something was handed over.
    assert eventually(lambda: all(map(le, _possessions(served), before))), (_possessions(served), before)


def _possessions(served: Served) -> list[int]:
    """Descriptors and threads of each process, requests that wait, memory of keeper and nursery in steps of 4 MiB."""
    state = served.complete()
    pids = [state["keeper_pid"], state["nursery_pid"], *state["worker_pids"]]
    return [
        *(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        *(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
        *waiting_requests(served.place, served.cached),
        *(_rss_kib(pid) // 4096 for pid in pids[:2]),
    ]


def _rss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@NATIVE_ONLY
@pytest.mark.skipif(not os.path.exists("/proc/self/autogroup"), reason="this kernel does not share CPUs by sessions")
@pytest.mark.skipif(os.getpriority(os.PRIO_PROCESS, 0) != 0, reason="the tests' own priority was chosen by somebody")
def test_who_is_waited_for_comes_before_other_sessions(served: Served) -> None:
    """Keeper and standby come first also where CPUs are shared by sessions; the nursery, and who serves, do not."""
    served.kill_worker()
    state = served.complete()
    hurried = [state["keeper_pid"], state["worker_pids"][1]]
    usual = [state["nursery_pid"], state["worker_pids"][0]]
    assert [_session_nice(pid) for pid in hurried] == [-10, -10]
    assert eventually(lambda: [_session_nice(pid) for pid in usual] == [0, 0])


def _session_nice(pid: int) -> int:
    """The nice value of a process' session, 0 unless it was set (sched(7))."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])
