"""What programs show inside a limited container, and where they have it from, asked of the programs themselves.

The table is docs/tools.md. Written anew by

    .venv/bin/python -m pytest tests/integration/test_tool_truth.py --update-golden
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from scripts.debian_tools import TOOLS, Tool
from tests.integration.command_line import NEEDS, REASON
from tests.integration.containers import Container, Instance, mounted, running, words_of
from tests.integration.full_screen import screen_of

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "tools.md"
NAME: Final = f"cgscope-test-truth-{os.getpid()}"
LIMITS: Final = ("--memory", "512M", "--cpus", "1", "--pids", "200")
NOT_MEASURED: Final = "not measured: the program is not on the machine that wrote this page"

FindTool = Callable[[str], Tool]

pytestmark = [
    pytest.mark.skipif(not NEEDS, reason=REASON),
    pytest.mark.skipif("CGSCOPE_WORLD" in os.environ, reason="programs are traced beside the native suite"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one CPU"),
]


@dataclass(frozen=True, slots=True)
class Program:
    """One row. The first word of ``command`` is the program; ``shows`` must be found in its output.

    The page has the group in ``shows``; an empty one means that nothing is the container's own.
    """

    name: str
    command: str
    shows: str
    remains: str = "-"
    full_screen: bool = False
    """It wants a terminal, and is ended by its key `q` once it shows that."""


_TIMES: Final = "interrupts and context switches: not counted per container"
_AFFINITY: Final = "the affinity mask of the kernel, unless `run --affinity` or a cpuset cuts it"

PROGRAMS: Final = (
    Program("free", "free -m", r"(Mem: +512) "),
    Program("top", "top -b -n1", r"(MiB Mem : +512\.0 total)"),
    Program("htop", "htop", r"(512M)", full_screen=True),
    Program("vmstat", "vmstat -s -S m", r"(53[0-9] m total memory)", _TIMES),
    Program(
        "slabtop", "slabtop -o", r"(Operation not supported|Active / Total Objects)", "no list of slabs per container"
    ),
    Program("iostat", "iostat", r"(\(1 CPU\))", "merges, queues and times of devices: not counted per container"),
    Program("mpstat", "mpstat", r"(\(1 CPU\))", f"with `-I`: {_TIMES}"),
    Program("sar", "sar", r"(\(1 CPU\))", "network devices are those of the network namespace"),
    Program("uptime", "uptime", r"(up 0 min)"),
    Program("w", "w", r"(up 0 min)", "who is logged in: the container's utmp"),
    Program("ps", "ps -eo pid,pmem,etimes,comm", r"( 1 +\S+ +[0-9]{1,2} sh)"),
    Program("lscpu", "lscpu", r"(CPU\(s\): +1)\b", "model, speed and caches: what a CPU is"),
    Program("nproc", "nproc", r"^([0-9]+)$", _AFFINITY),
    Program("nproc --all", "nproc --all", r"^([0-9]+)$", f"where there is one CPU it asks for {_AFFINITY}"),
    Program("getconf _NPROCESSORS_CONF", "getconf _NPROCESSORS_CONF", r"^(1)$"),
    Program("getconf _NPROCESSORS_ONLN", "getconf _NPROCESSORS_ONLN", r"^(1)$"),
    Program("getconf _PHYS_PAGES", "getconf _PHYS_PAGES", r"^(131072)$"),
    Program("numactl", "numactl -H", r"(node 0 size: 512 MB)", "numbers of nodes, and distances between them"),
    Program("lsmem", "lsmem", r"(Total online memory: .*)", "blocks that can be plugged: the machine's"),
    Program("df", "df -m /", r"() /$", "file systems have limits of their own (quotas), cgroups none"),
    Program("ss", "ss -s", r"Total: ()[0-9]+", "sockets of the network namespace, which `run` shares with the machine"),
    Program(
        "dmesg", "dmesg | tail -1", r"()", "one kernel, one log; `kernel.dmesg_restrict` and no CAP_SYSLOG hide it"
    ),
    Program("busybox free", "busybox free -m", r"(Mem: +512) "),
    Program("busybox uptime", "busybox uptime", r"(up 0 min)"),
    Program("Python", "python3 -c 'import os; print(os.cpu_count(), os.sysconf(\"SC_PHYS_PAGES\"))'", r"^(1 131072)$"),
    Program(
        "Python, affinity", "python3 -c 'import os; print(len(os.sched_getaffinity(0)))'", r"^([0-9]+)$", _AFFINITY
    ),
    Program(
        "JVM", "java -Xlog:gc+init=info -version", r"(Memory: 512M)", "nothing; it reads its cgroup by itself, too"
    ),
    Program(
        "JVM, metrics", "java -XshowSettings:system -version", r"(Effective CPU Count: 1)", "its list of processors"
    ),
    Program(
        "node",
        "node -e 'const os = require(\"os\"); console.log(os.cpus().length, os.totalmem() / 1048576)'",
        r"^(1 512)$",
        "`availableParallelism`: the affinity mask",
    ),
)
CALLS: Final = ("sysinfo", "sched_getaffinity", "statfs", "syslog", "sendto")
_TRACED: Final = ",".join(("openat", "open", *CALLS))
_OPENED: Final = re.compile(r'open(?:at)?\((?:[A-Z_]+, )?"(/(?:proc|sys)/[^"]*)".* = \d+$', re.MULTILINE)
_UNINTERESTING: Final = re.compile(
    r"/proc/(self/(maps|fd|coredump_filter)|filesystems|sys/|tty|net/if_inet6)|/sys/kernel/mm/"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a program said and read."""

    program: Program
    output: str | None
    sources: str


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Give a file system of this module's own."""
    with mounted(tmp_path_factory.mktemp("instance")) as instance:
        yield instance


@pytest.fixture(scope="module")
def container(instance: Instance) -> Iterator[Container]:
    """Give a container of 512 MiB and one CPU by quota, of all the machine's CPUs."""
    with running(instance, NAME, *LIMITS) as container:
        yield container


def on_screen(instance: Instance, program: Program, words: list[str]) -> str:
    """Run a full-screen program in a container of its own, for which it gets a terminal; return what it shows."""
    inside = instance.command("run", "--name", f"{NAME}-screen", *LIMITS, "--", "env", "HTOPRC=/dev/null", *words)
    return screen_of(inside, lambda screen: re.search(program.shows, screen) is not None)


def run(instance: Instance, container: Container, program: Program, tool: FindTool, trace: Path) -> Seen:
    """Run a program inside, traced."""
    name, _, arguments = program.command.partition(" ")
    found = tool(name) if name in TOOLS else None
    path = found.path if found else shutil.which(name)
    if path is None:
        return Seen(program, None, "")
    words = words_of(found) if found else [path]
    strace = [*words_of(tool("strace")), "-f", "-qq", "-e", f"trace={_TRACED}", "-o", str(trace)]
    if program.full_screen:
        return Seen(program, on_screen(instance, program, [*strace, *words]), _sources(trace.read_text()))
    command = f"{shlex.join(words)} {arguments}"
    if name == "sar":  # it starts its collector where that was built for: unpacked, somebody else has to
        (collector,), record = Path(path).parents[1].glob("lib*/sysstat/sadc"), f"{trace}.sa"
        command = f"sh -c 'rm -f {record}; {collector} 1 2 {record} && {shlex.join(words)} -f {record}'"
    output = container.sh(f"{shlex.join(strace)} {command} || true")
    return Seen(program, output, _sources(trace.read_text()))


def _sources(text: str) -> str:
    paths = {_general(path) for path in _OPENED.findall(text) if not _UNINTERESTING.match(path)}
    folders = {path for path in paths if any(other.startswith(f"{path}/") for other in paths)}
    calls = [call for call in CALLS if f"{call}(" in text and call != "sendto"]
    calls += ["netlink"] if "sendto(" in text and "nlmsg" in text else []
    return ", ".join((*(f"`{path}`" for path in sorted(paths - folders)), *(f"`{call}(2)`" for call in calls)))


def _general(path: str) -> str:
    path = re.sub(r"/proc/[0-9]+(?=/|$)", "/proc/PID", path)
    path = re.sub(r"/(cpu|node)[0-9]+(?=/|$)", r"/\1N", path)
    path = re.sub(r"/sys/block/[^/]+", "/sys/block/DISK", path)
    path = re.sub(r"/sys/class/net/[^/]+", "/sys/class/net/DEVICE", path)
    return re.sub(r"/sys/fs/cgroup/.*", "/sys/fs/cgroup/…", path).rstrip("/")


def test_programs_show_the_container(
    instance: Instance,
    container: Container,
    tool: FindTool,
    tmp_path: Path,
    update_golden: bool,  # noqa: FBT001
) -> None:
    """Each program says of the container what the page says that it does; the page has a row for each."""
    seen = [
        run(instance, container, program, tool, tmp_path / f"trace{number}") for number, program in enumerate(PROGRAMS)
    ]
    wrong = [
        (one.program.name, one.output)
        for one in seen
        if one.output is not None and not re.search(one.program.shows, one.output, re.MULTILINE)
    ]
    assert wrong == []
    if update_golden:
        PAGE.write_text(page(seen))
    text = PAGE.read_text()
    assert [program.name for program in PROGRAMS if f"| {program.name} |" not in text] == []


def page(seen: list[Seen]) -> str:
    """Write the page."""
    lines = [_HEAD.rstrip("\n")]
    for one in seen:
        found = re.search(one.program.shows, one.output or "", re.MULTILINE)
        shows = " ".join(found[1].split()) if found else NOT_MEASURED
        sources = one.sources or ("nothing of these" if found else "-")
        lines.append(f"| {one.program.name} | {sources} | {shows or 'as on the machine'} | {one.program.remains} |")
    return "\n".join(lines) + "\n"


_HEAD: Final = """\
# What programs show

Inside a container of `procfs-fuse run --memory 512M --cpus 1` on a machine with more of both. Each program was
traced. *Reads*: the files below `/proc` and `/sys` and the system calls in question that it really used. *Shows*: taken
from its output. `sysinfo(2)` is answered for the container by a seccomp notifier (not with `--no-sysinfo`).

This page is written by `tests/integration/test_tool_truth.py`, which checks the column *shows* in every run of the
suite on the machine itself; `tests/integration/test_tools.py` compares free, top and others with the control files,
also in guests.

| Program | Reads | Shows | Remains the machine's, and why |
|---|---|---|---|
"""
