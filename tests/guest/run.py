"""Run a command on a kernel of its own, in the cgroup world of your choice, with the host's files.

    python tests/guest/run.py --cgroup v2 --timeout 60 -- free -m

The guest is a User Mode Linux process: it sees the host's root file system, but what it writes vanishes, except below
the directories given by --rw. Standard output, standard error and the exit code are the command's; 124 means that the
time was over, 125 that there was no guest. CGSCOPE_WORLD names the world to the command.

The kernel is $CGSCOPE_UML (plain or .xz) if that is set. Otherwise it is kept in ~/.cache/cgscope/uml, where the first
run builds it from Debian's newest kernel source (some minutes).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run by path, imported from the repository's root

from tests.guest.archive import Archive
from tests.guest.cache import cache_directory
from tests.guest.errors import GuestError, say
from tests.guest.kernel import find_kernel
from tests.guest.machine import WORLDS, Settings, run_guest

NO_GUEST = 125
MAX_TIMEOUT_SECONDS = 7 * 24 * 3600
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main() -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command and not options.prepare:
        parser.error("no command")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        kernel, busybox = prepare()
        return 0 if options.prepare else _run(options, tuple(command), kernel, busybox)
    except GuestError as error:
        say(str(error))
        return NO_GUEST
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def prepare() -> tuple[Path, Path]:
    """Return the kernel and the busybox that every guest needs, made now if they are not there yet."""
    cache = cache_directory()
    archive = Archive(cache)
    return find_kernel(cache, archive), archive.busybox()


def _run(options: argparse.Namespace, command: tuple[str, ...], kernel: Path, busybox: Path) -> int:
    settings = Settings(
        command=command,
        world=options.cgroup,
        writable=tuple(options.rw),
        swap_bytes=options.swap,
        disk_bytes=options.disk,
        memory_bytes=options.mem,
        cpus=options.cpus,
        spread=options.spread,
        timeout_seconds=options.timeout,
    )
    outcome = run_guest(kernel, busybox, settings, sys.stdout.buffer, sys.stderr.buffer)
    if options.verbose:
        say(f"boot {outcome.boot_seconds:.2f} s, total {outcome.total_seconds:.2f} s")
    return outcome.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cgroup", choices=WORLDS, default="v2", help="the cgroup world (default: v2)")
    add("--rw", action="append", type=directory, default=[], metavar="DIR", help="keep what is written in DIR")
    add("--swap", type=size, metavar="SIZE", help="swap space (zram), for example 512M")
    add("--disk", type=size, metavar="SIZE", help="an empty disk /dev/ubda, for example 256M")
    add("--mem", type=size, default=size("1G"), metavar="SIZE", help="memory (default: 1G)")
    add(
        "--cpus",
        type=int,
        choices=range(1, 17),
        default=1,
        metavar="N",
        help="CPUs, 1 to 16 (default: 1; more are slow)",
    )
    add("--spread", action="store_true", help="use all CPUs of the host: only for tests that need real parallelism")
    add("--timeout", type=seconds, default=600.0, metavar="S", help="end the guest after S seconds (default: 600)")
    add("--prepare", action="store_true", help="make sure that there is a kernel, and run nothing")
    add("-v", "--verbose", action="store_true", help="print boot and total time")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND …")
    return parser


def size(text: str) -> int:
    """Return the bytes that a size like ``512M`` means. Raises argparse.ArgumentTypeError."""
    number, factor = (text[:-1], UNITS[text[-1].upper()]) if text[-1:].upper() in UNITS else (text, 1)
    if not number.isascii() or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: not a size like 4096, 512M or 1G")
    return int(number) * factor


def seconds(text: str) -> float:
    """Return a time above zero. Raises argparse.ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < MAX_TIMEOUT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: not a number of seconds above 0")
    return value


def directory(text: str) -> Path:
    """Return the real path of a directory the guest may write to. Raises argparse.ArgumentTypeError."""
    path = Path(os.path.realpath(text))
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: not a directory")
    if any(character in str(path) for character in ",\\\n"):
        raise argparse.ArgumentTypeError(f"{text!r}: a mount option cannot name it (comma, backslash or line break)")
    return path


def _stop(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
