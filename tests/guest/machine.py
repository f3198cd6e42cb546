"""One guest: a User Mode Linux process that runs one command in one cgroup world and vanishes.

The kernel's three consoles are pipes: the command's output, its errors, and the reports of run.sh. Everything else
that the guest needs is in a temporary *job* folder, which it reads through its view of the host's root file system.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final

from tests.guest.errors import GuestError

HERE: Final = Path(__file__).resolve().parent
WORLDS: Final = ("v2", "v1", "hybrid")
SCRIPTS: Final = ("init.sh", "world.sh", "systemd.sh", "run.sh")
SYSTEMD_PARAMETERS: Final[Mapping[str, Sequence[str]]] = {
    "v2": ("systemd.unified_cgroup_hierarchy=1",),
    "v1": ("systemd.unified_cgroup_hierarchy=0", "systemd.legacy_systemd_cgroup_controller=1"),
    "hybrid": ("systemd.unified_cgroup_hierarchy=0", "systemd.legacy_systemd_cgroup_controller=0"),
}
"""How systemd is told which world to make (systemd(1), up to version 257)."""

TIMED_OUT: Final = 124
"""Exit code when the time is over, as timeout(1) has it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a guest is like and what it runs."""

    command: tuple[str, ...]
    world: str = "v2"
    """One of `WORLDS`."""
    writable: tuple[Path, ...] = ()
    """Host directories whose changes stay; everything else is discarded."""
    system: Path | None = None
    """Folder with a Debian that is the guest's root, with its systemd as the first process; else the host's root."""
    readable: tuple[Path, ...] = ()
    """Host directories that the guest has also where `system` is its root."""
    swap_bytes: int | None = None
    disk_bytes: int | None = None
    """Size of /dev/ubda, an empty block device whose I/O is accounted (that of the host's files is not)."""
    memory_bytes: int = 1 << 30
    cpus: int = 1
    spread: bool = False
    """Let the guest run on all of the host's CPUs: parallel work gets faster, system calls much slower."""
    timeout_seconds: float = 600.0
    directory: Path = field(default_factory=Path.cwd)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a guest ended."""

    exit_code: int
    boot_seconds: float
    """From starting the kernel to the command."""
    total_seconds: float


@dataclass(slots=True)
class _Reports:
    """What run.sh told us over the control console."""

    booted_at: float | None = None
    exit_code: int | None = None
    failure: str | None = None

    def read(self, pipe: BinaryIO) -> None:
        """Take in every report until the guest is gone."""
        with TextIOWrapper(pipe, errors="replace") as lines:
            for line in lines:
                self._take(line)

    def _take(self, line: str) -> None:
        match line.split(None, 1):
            case ["up"]:
                self.booted_at = time.monotonic()
            case ["exit", code]:
                self.exit_code = int(code)
            case ["fail", reason]:
                self.failure = reason.strip()


def run_guest(kernel: Path, busybox: Path, settings: Settings, output: BinaryIO, errors: BinaryIO) -> Outcome:
    """Boot a guest, run its command, and copy what it writes to ``output`` and ``errors``.

    Raises GuestError when the guest cannot start or ends without saying how its command ended. One that runs out of
    time is ended and has the exit code `TIMED_OUT`. Whatever happens, no process and no file of the guest stays.
    """
    reports = _Reports()
    start = time.monotonic()
    with _job_folder(settings, busybox) as job:
        sinks = (partial(_copy, output), partial(_copy, errors), reports.read)
        with _consoles(sinks) as consoles, _running(kernel, settings, job, consoles) as process:
            timed_out = _wait(process, settings.timeout_seconds)
        end = time.monotonic()
        exit_code = TIMED_OUT if timed_out else reports.exit_code
        if exit_code is None:
            raise GuestError(f"the guest died: {reports.failure or _last_line(job / 'log')}")
    return Outcome(exit_code, (reports.booted_at or end) - start, end - start)


@contextmanager
def _job_folder(settings: Settings, busybox: Path) -> Iterator[Path]:
    """Make the folder with all that the guest reads while it boots; it vanishes with the guest."""
    with tempfile.TemporaryDirectory(prefix="cgscope-guest-", ignore_cleanup_errors=True) as name:
        if set(name) & set(" \t,"):
            raise GuestError(f"{name}: no kernel parameter can name a folder with a space or comma; set TMPDIR")
        job = Path(name)
        for script in SCRIPTS:
            shutil.copy(HERE / script, job)
        (job / "init.sh").chmod(0o755)
        shutil.copy(busybox, job / "busybox")
        _write(job / "settings", _assignments(_variables(settings, job)))
        _write(job / "writable", "".join(f"{directory}\n" for directory in settings.writable))
        _write(job / "readable", "".join(f"{directory}\n" for directory in (job, *settings.readable)))
        _write(job / "command.sh", _command_script(settings))
        if settings.disk_bytes is not None:
            with (job / "disk").open("wb") as disk:
                disk.truncate(settings.disk_bytes)
        yield job


def _variables(settings: Settings, job: Path) -> dict[str, str]:
    return {
        "BUSYBOX": f"{job}/busybox",
        "SYSTEM": str(settings.system or ""),
        "WORLD": settings.world,
        "SWAP_BYTES": "" if settings.swap_bytes is None else str(settings.swap_bytes),
    }


def _write(path: Path, text: str) -> None:
    # Environment variables and paths may hold bytes that are no UTF-8; os.environ has them as surrogates.
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def _assignments(variables: Mapping[str, str], prefix: str = "") -> str:
    return "".join(f"{prefix}{name}={shlex.quote(value)}\n" for name, value in variables.items())


def _command_script(settings: Settings) -> str:
    # What sh cannot name it cannot set either: BASH_FUNC_x%%, for example, is left out.
    environment = {name: value for name, value in settings.environment.items() if name.isidentifier()}
    environment["CGSCOPE_WORLD"] = settings.world
    directory = shlex.quote(str(settings.directory))
    return f"{_assignments(environment, 'export ')}cd {directory} || exit 126\nexec {shlex.join(settings.command)}\n"


@contextmanager
def _consoles(sinks: Sequence[Callable[[BinaryIO], None]]) -> Iterator[list[int]]:
    """Yield the write end of a pipe for each sink, which reads the other end in a thread of its own."""
    pipes = [os.pipe() for _ in sinks]
    threads = [
        threading.Thread(target=sink, args=(open(reader, "rb", buffering=0),), daemon=True)  # noqa: SIM115 - _copy closes
        for sink, (reader, _) in zip(sinks, pipes, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield [writer for _, writer in pipes]
    finally:
        # The guest is gone, so this was the last descriptor of each pipe and the readers come to the end.
        for _, writer in pipes:
            os.close(writer)
        for thread in threads:
            thread.join()


def _copy(target: BinaryIO, pipe: BinaryIO) -> None:
    """Copy ``pipe`` to ``target`` to the end; when nobody reads ``target`` any more, keep the guest from blocking."""
    with pipe:
        while chunk := pipe.read(1 << 16):
            with suppress(BrokenPipeError):
                target.write(chunk)
                target.flush()


@contextmanager
def _running(kernel: Path, settings: Settings, job: Path, consoles: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the kernel; at the end, end it and all its helper processes."""
    command = [*_placement(settings), str(kernel), *_kernel_parameters(settings, job, consoles)]
    # The guest's memory is a file in TMPDIR. Its own environment matters to nobody: command.sh has the command's.
    environment = {"PATH": os.defpath, "TMPDIR": _memory_folder(settings.memory_bytes, job)}
    with (job / "log").open("wb") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=consoles,
                start_new_session=True,
            )
        except OSError as error:
            raise GuestError(f"cannot start {command[0]}: {error.strerror}") from error
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _placement(settings: Settings) -> list[str]:
    """Return the start of the command line: die with the runner, and stay on one CPU of the host.

    A system call in the guest hands over between two processes of the host. On one CPU that is a context switch; across
    CPUs it takes an interrupt and a wake-up, several times slower.
    """
    cpus = sorted(os.sched_getaffinity(0))
    chosen = cpus if settings.spread else [random.choice(cpus)]  # noqa: S311 - spreads load, keeps no secret
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", ",".join(map(str, chosen))]


def _kernel_parameters(settings: Settings, job: Path, consoles: Sequence[int]) -> list[str]:
    return [
        f"mem={settings.memory_bytes}",
        f"ncpus={settings.cpus}",
        *("root=none", "rootfstype=hostfs", "rootflags=/", "ro"),
        *(f"init={job}/init.sh", f"CGSCOPE_JOB={job}"),
        *("con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4", "panic=-1"),
        *(f"con{number}=null,fd:{descriptor}" for number, descriptor in enumerate(consoles, 1)),
        *("seccomp=auto", "random.trust_cpu=on", f"uml_dir={job}/"),
        # Devices that nobody asked for would fill /proc/diskstats.
        *("brd.rd_nr=0", "null_blk.nr_devices=0", "nbd.nbds_max=0", "max_loop=0"),
        *([f"ubd0={job}/disk"] if settings.disk_bytes is not None else []),
        *(SYSTEMD_PARAMETERS[settings.world] if settings.system is not None else []),
    ]


def _memory_folder(size: int, job: Path) -> str:
    """Return where the guest's memory file goes: in memory, where there is room and code may be executed from it."""
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108 - asked about, and nothing predictable is created in it
    except OSError:
        return str(job)
    roomy = status.f_bavail * status.f_frsize > 2 * size
    return "/dev/shm" if roomy and not status.f_flag & os.ST_NOEXEC else str(job)  # noqa: S108 - the same


def _wait(process: subprocess.Popen[bytes], timeout_seconds: float) -> bool:
    """Wait for the end of the guest; return whether the time was over before."""
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
