"""/proc/stat: CPU time, forks and running tasks of the container, on the CPUs that it is shown.

Kernel: fs/proc/stat.c; ticks of 1/100 s.

    cpu  1111 0 1664 196212 326 0 17 16 0 0
    cpu0 390 0 624 98623 6 0 3 5 0 0
    intr 132431
    ctxt 277392
    btime 1795239650
    processes 5690
    procs_running 2
    procs_blocked 0
    softirq 103060 0 0 0 0 0 0 0 0 0 0

The machine's: btime, since start times of processes count from the machine's boot and `ps` adds the two; ctxt and the
totals of intr and softirq, which the kernel counts for the machine only. Which device interrupted how often is none of
the container's business: intr keeps its total, softirq too with zeros for its kinds, as parsers insist on all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cgroup_model.snapshot import Need, Snapshot, Tasks
from procfs_fuse.views._cpu_time import CpuLines, Ticks, column_sums, cpu_lines

PATH = "proc/stat"
NEEDS = Need.CPU_TIMES | Need.CPUS | Need.TASKS | Need.HOST_STAT

_BOOT = re.compile(rb"^btime (\d{1,12})$", re.MULTILINE)
_CPU = re.compile(rb"^cpu(\d+) ([\d ]+)$", re.MULTILINE)


def running_tasks(tasks: Tasks) -> int:
    """Return how many threads run, as the kernel counts them: whoever reads, too, although it sleeps while we look.

    vmstat of procps 4.0.4 and newer takes itself off again.
    """
    return tasks.running + 1


def render(snapshot: Snapshot) -> bytes:
    """Return the file; CPU times, if unknown, are the machine's of the shown CPUs."""
    host = snapshot.host.stat or b""
    lines = _lines_of(snapshot, host)
    known = _boot_line(snapshot, host)
    if snapshot.tasks is not None:
        known |= _task_lines(snapshot.tasks)
    if lines is None:
        return b"".join(_others(host, known))
    cpus = [_line(b"cpu ", lines.total)]
    cpus += [_line(b"cpu%d" % number, ticks) for number, ticks in enumerate(lines.each)]
    behind_cpus = host.find(b"\n", host.rfind(b"\ncpu") + 1) + 1  # they come first: a large machine has hundreds
    return b"".join([*cpus, *_others(host[behind_cpus:], known)])


def _lines_of(snapshot: Snapshot, host: bytes) -> CpuLines | None:
    if snapshot.cpu_times is not None:
        return cpu_lines(snapshot.cpu_times)
    if snapshot.cpus is None or not host:
        return None
    rows: dict[int, Ticks] = {int(cpu): tuple(map(int, fields.split())) for cpu, fields in _CPU.findall(host)}
    each = tuple(rows[cpu] for cpu in snapshot.cpus.physical if cpu in rows)
    return CpuLines(column_sums(each), each) if each else None


def _line(label: bytes, ticks: Ticks) -> bytes:
    return b"%s %s\n" % (label, b" ".join(map(b"%d".__mod__, ticks)))


def _boot_line(snapshot: Snapshot, host: bytes) -> dict[bytes, int]:
    """Move btime with the container's time namespace, as the kernel does: start times are counted from there."""
    found = _BOOT.search(host) if snapshot.boot_offset_seconds else None
    if found is None or not snapshot.boot_offset_seconds:
        return {}
    return {b"btime": int(found[1]) + round(-snapshot.boot_offset_seconds)}


def _task_lines(tasks: Tasks) -> dict[bytes, int]:
    lines = {b"procs_running": running_tasks(tasks), b"procs_blocked": tasks.uninterruptible}
    if tasks.forks is not None:
        lines[b"processes"] = tasks.forks
    return lines


def _others(host: bytes, known: dict[bytes, int]) -> Iterator[bytes]:
    """Yield the machine's lines in their order, with what is known of the container; unknown lines unchanged."""
    if not host:
        yield from (b"%s %d\n" % line for line in known.items())
    for line in host.splitlines(keepends=True):
        name, _, rest = line.partition(b" ")
        if name in known:
            yield b"%s %d\n" % (name, known[name])
        elif name == b"intr":
            yield b"intr %s\n" % rest.partition(b" ")[0].rstrip()
        elif name == b"softirq":
            total, *kinds = rest.split() or [b"0"]
            yield b" ".join([name, total, *[b"0"] * len(kinds)]) + b"\n"
        else:
            yield line
