"""What is watched beside control files: logs of containers, the kernel's log, key processes, and that pages show it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cgroup_model.engines import Identity
from cgroup_model.hierarchy import Cgroup
from cgroup_model.processes import Wanted, tally
from exporters.alerts.board import Board
from exporters.alerts.overrides import Which
from exporters.alerts.patterns import Matches, Pattern, shipped_patterns
from exporters.alerts.samples import Sampler, families_of
from exporters.alerts.state import Alert, Outcome
from exporters.encoder import encode
from exporters.labels import names_of
from exporters.readers import disks
from exporters.readers.container_logs import MOST_BYTES, ContainerLogReader, Watched
from exporters.readers.kernel_log import KernelLogReader
from exporters.readers.key_processes import KeyProcess, read
from exporters.setup import Exporter

ID = "ab" * 32
IDENTITY = Identity("docker", ID, "web", ID[:12])
CGROUP = Cgroup(f"/docker/{ID}", 7, {})
PANIC = Pattern("panic", re.compile("^panic:"), "critical")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Docker's log of the container."""
    path = tmp_path / f"var/lib/docker/containers/{ID}/{ID}-json.log"
    path.parent.mkdir(parents=True)
    path.write_text('{"log":"panic: before we looked\\n"}\n')
    return path


def look(reader: ContainerLogReader) -> Watched:
    """Look at the container's log."""
    found = reader.read(CGROUP, IDENTITY, names_of(CGROUP.path, IDENTITY, "cadvisor"))
    assert found is not None
    return found


def add(log: Path, *lines: str) -> None:
    """Write lines as Docker does."""
    with log.open("a") as file:
        file.writelines(f'{{"log":"{line}\\n","stream":"stdout"}}\n' for line in lines)


def test_a_container_log_is_followed_from_its_end(tmp_path: Path, log: Path) -> None:
    """What was there before is no news; then each line counts once, however it comes in pieces."""
    reader = ContainerLogReader([PANIC], str(tmp_path))
    assert look(reader).matches[0].count == 0
    add(log, "panic: one", "no panic: here", "panic: two")
    assert look(reader).matches[0].count == 2
    assert look(reader).matches[0].last_line == "panic: two"
    with log.open("a") as file:
        file.write('{"log":"panic: thr')
        file.flush()
        assert look(reader).matches[0].count == 2
        file.write('ee\\n"}\n')
    assert look(reader).matches[0].count == 3


def test_a_rotated_and_a_truncated_log(tmp_path: Path, log: Path) -> None:
    """A new file under the name is read from its beginning, a shortened one too; a missing one is no error."""
    reader = ContainerLogReader([PANIC], str(tmp_path))
    look(reader)
    add(log, "panic: 1", "panic: 2")
    look(reader)
    log.rename(log.with_suffix(".1"))
    look_again = reader.read(CGROUP, IDENTITY, names_of(CGROUP.path, IDENTITY, "cadvisor"))
    assert look_again is None or look_again.matches[0].count == 2
    add(log, "panic: 3")
    reader.clock = lambda: 1e12  # a log that was not there is looked for again after a while
    assert look(reader).matches[0].count == 3
    log.write_text("")
    look(reader)
    add(log, "panic: 4")
    assert look(reader).matches[0].count == 4


def test_a_flood_is_skipped_and_counted(tmp_path: Path, log: Path) -> None:
    """Of one log no more than a bound is read at a time: the end of it."""
    reader = ContainerLogReader([PANIC], str(tmp_path))
    look(reader)
    add(log, "panic: first")
    with log.open("a") as file:
        file.write("x" * (2 * MOST_BYTES) + "\n")
    add(log, "panic: last")
    found = look(reader)
    assert (found.matches[0].count, found.matches[0].last_line) == (1, "panic: last")
    assert found.skipped_bytes > MOST_BYTES


def test_only_containers_that_a_pattern_is_for(tmp_path: Path, log: Path) -> None:
    """Others' logs are not even opened; what is gone is forgotten."""
    del log
    mine = Pattern("x", re.compile("x"), which=Which(name="db-*"))
    reader = ContainerLogReader([mine], str(tmp_path))
    assert reader.read(CGROUP, IDENTITY, names_of(CGROUP.path, IDENTITY, "thin")) is None
    reader.keep_only(set())
    assert reader._tails == {}


def test_a_pattern_waits_until_it_matched_often_enough() -> None:
    """Three times within a minute; a thousand lines are one moment."""
    matches = Matches(Pattern("x", re.compile("x"), at_least=3, within_seconds=60.0))
    due = []
    for epoch in (0, 50, 100, 120, 149, 300, 301, 302):
        matches.look("x", float(epoch))
        due.append(matches.due_epoch)
    assert due == [None, None, None, None, 149.0, 149.0, 149.0, 302.0]
    assert matches.count == 8


KERNEL_LINES = [
    ("hung-task", "INFO: task jbd2/vda1-8:221 blocked for more than 120 seconds."),
    ("soft-lockup", "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:77]"),
    ("rcu-stall", "rcu: INFO: rcu_sched self-detected stall on CPU"),
    ("kernel-bug", "BUG: kernel NULL pointer dereference, address: 0000000000000008"),
    ("kernel-bug", "kernel BUG at mm/slub.c:306!"),
    ("kernel-bug", "Oops: 0000 [#1] PREEMPT SMP NOPTI"),
    ("hardware-error", "{1}[Hardware Error]: event severity: corrected"),
    ("filesystem-error", "EXT4-fs error (device vda1): ext4_lookup:1785: inode #2: comm ls: deleted inode referenced"),
    ("filesystem-error", "XFS (dm-0): Corruption of in-memory data detected.  Shutting down filesystem"),
    ("remounted-read-only", "EXT4-fs (vda1): Remounting filesystem read-only"),
    ("disk-error", "blk_update_request: I/O error, dev sda, sector 2048 op 0x0:(READ)"),
    ("disk-error", "Buffer I/O error on dev dm-0, logical block 0, async page read"),
    ("conntrack-full", "nf_conntrack: nf_conntrack: table full, dropping packet"),
    ("neighbour-table-full", "neighbour: arp_cache: neighbor table overflow!"),
    ("tcp-memory", "TCP: out of memory -- consider tuning tcp_mem"),
    ("allocation-failed", "kworker/0:1: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP)"),
    ("fork-rejected", "cgroup: fork rejected by pids controller in /docker/abc"),
    ("unregister-netdevice", "unregister_netdevice: waiting for lo to become free. Usage count = 1"),
    ("segfault", "python3[4711]: segfault at 0 ip 00007f err 4 in libc.so.6"),
    (None, "EXT4-fs (vda1): mounted filesystem with ordered data mode"),
    (None, "eth0: link up"),
    (None, "systemd[1]: Started a debug session."),
]


@pytest.mark.parametrize(("name", "line"), KERNEL_LINES)
def test_lines_of_the_kernel(name: str | None, line: str) -> None:
    """Each line of a real kernel is found by its pattern, and harmless ones by none."""
    found = {one.name for one in shipped_patterns() if one.regex.search(line)}
    assert (name in found) if name is not None else not found


def test_a_kernel_log_that_is_not_ours_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without permission, or without a log, there is a line, and no alert."""
    reader = KernelLogReader(shipped_patterns(), str(tmp_path / "kmsg"))
    assert (reader.readable, reader.read()) == (False, [])
    assert "the kernel's log is not watched" in caplog.text


def test_key_processes_are_found_and_added_up() -> None:
    """By name, command line and cgroup; threads and descriptors are those of the processes; one that ended is none."""
    script = (
        "import sys, threading; [threading.Thread(target=sys.stdin.read).start() for _ in range(3)]; print(flush=True)"
    )
    marker = f"cgscope-key-{os.getpid()}"
    command = [sys.executable, "-c", script, marker]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wanted = Wanted(cmdline=re.compile(f"{marker}$"))
    try:
        assert process.stdout is not None
        process.stdout.readline()
        (found,) = tally([wanted])
        assert (found.count, found.threads) == (1, 4)
        assert found.descriptors is not None
        assert found.descriptors >= 3
        assert found.rss_bytes is not None
        assert found.rss_bytes > 1 << 20
        paths = {line.split(":", 2)[2] for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()}
        path = max(paths)
        by_cgroup, by_name, by_other = tally(
            [
                Wanted(cmdline=wanted.cmdline, cgroup=path),
                Wanted(name="python*", cmdline=wanted.cmdline),
                Wanted(name="nginx", cmdline=wanted.cmdline),
            ]
        )
        assert (by_cgroup.count, by_name.count, by_other.count) == (1, 1, 0)
    finally:
        process.communicate()
    assert tally([wanted])[0].count == 0


def test_the_page_shows_alerts_and_what_is_watched(exporter: Callable[..., Exporter]) -> None:
    """Families are there with a board, and say nothing without one; samples of rules are the page's values."""
    made = exporter("v2-docker", collectors={"exporter": False})
    assert b"cgroup_exporter_alert" not in b"".join(encode(made.scraper.scrape(), "text"))
    alert = Alert("firing", {"alertname": "A", "severity": "info", "id": "/x", "device": "/dev/sda"}, {}, 1.0, 0.0)
    expected = [KeyProcess("me", Wanted(cmdline=re.compile("nothing is called so")), count_max=3)]
    made.world.proc_root = "/proc"  # the scene has no processes
    made.world.alerts = Board(processes=expected, outcome=Outcome(5.0, active=(alert,)), rules=2)
    page = b"".join(encode(made.scraper.scrape(), "text")).decode()
    line = f'{{alertname="A",severity="info",alertstate="firing",fingerprint="{alert.fingerprint}",id="/x"}} 1\n'
    assert f"cgroup_exporter_alert{line}" in page
    assert "cgroup_exporter_alert_rules 2\n" in page
    assert 'machine_key_process_count{process="me",level="critical"} 0\n' in page
    assert 'machine_key_process_count_max{process="me",level="critical"} 3\n' in page
    assert 'machine_key_process_threads_max{process="me"' not in page
    names = {"container_threads", "machine_key_process_count_min", "container_memory_events_total"}
    samples = Sampler().samples(made.scraper.scrape(families_of(names)), names)
    assert samples["machine_key_process_count_min"] == {frozenset({("process", "me"), ("level", "critical")}): 1.0}
    (labels,) = [one for one in samples["container_threads"] if ("name", "web") in one]
    assert samples["container_threads"][labels] == 7.0
    assert samples["container_memory_events_total"][labels | {("event", "oom_kill")}] == 1.0


def test_thin_names_leave_alerts_their_labels(exporter: Callable[..., Exporter]) -> None:
    """Overrides by engine work whatever the page shows."""
    made = exporter("v2-docker", naming="thin")
    samples = Sampler().samples(made.scraper.scrape({"pids"}), {"container_threads"})
    assert any(("engine", "docker") in labels for labels in samples["container_threads"])


def test_nothing_is_expected_of_nobody() -> None:
    """Without key processes no process is looked at."""
    assert read([], "/nowhere") == []


def test_disks_of_the_machine(tmp_path: Path) -> None:
    """Each local file system that may be written once, with the numbers that df has; escapes in names are undone."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/mounts").write_text(
        "proc /proc proc rw 0 0\n"
        "/dev/vda1 / ext4 rw,relatime 0 0\n"
        "/dev/vda1 /var/lib/docker ext4 rw 0 0\n"
        "/dev/loop1 /snap/core squashfs ro 0 0\n"
        "server:/export /mnt nfs rw 0 0\n"
        "/dev/vdb /no\\040where xfs rw 0 0\n"
        "short\n"
    )
    (disk,) = disks.read(str(tmp_path))
    df = subprocess.run(["df", "-B1", "--output=used,avail", "/"], capture_output=True, text=True, check=True).stdout
    used, available = map(int, df.splitlines()[1].split())
    assert (disk.device, disk.mountpoint, disk.filesystem) == ("/dev/vda1", "/", "ext4")
    # Others write at this moment: within 1 %.
    assert abs(disk.size_bytes - used - available) <= 0.01 * disk.size_bytes
    assert abs(disk.free_bytes - available) <= 0.01 * disk.size_bytes
    (tmp_path / "no where").mkdir()
    found = disks.read(str(tmp_path), str(tmp_path))
    assert [one.mountpoint for one in found] == ["/", "/no where"]
