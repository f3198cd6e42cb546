"""``cgscope doctor``: this machine, machines that lack something, and what the report says."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from cgscope.doctor.checks import cgroups, containers, files, fuse, kernel, limits, ports, privileges, proc, software
from cgscope.doctor.examine import examine
from cgscope.doctor.finding import Finding, Verdict, note, ok, problem, unknown
from cgscope.doctor.machine import Machine
from cgscope.doctor.report import as_json, as_text, is_well

FIELDS = ("subject", "verdict", "found", "advice")


def doctor(*options: str) -> subprocess.CompletedProcess[str]:
    """The command as users call it."""
    words = [sys.executable, "-m", "cgscope", "doctor", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    """The findings of one check."""
    return {one.subject: one for one in findings}


def write(root: Path, path: str, text: str) -> None:
    """A file of a made-up machine."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------ this machine


def test_this_machine() -> None:
    """Every check comes to its end here; the exit code says what the report says."""
    found = doctor("--json")
    report = json.loads(found.stdout)
    findings = [one for check in report["checks"] for one in check["findings"]]
    assert found.returncode == (0 if report["ok"] else 1)
    assert not [one for one in findings if "check itself failed" in one["found"]]
    world = next(one for one in findings if one["subject"] == "world")
    assert world["found"].startswith(f"{discover_mounts().world},")


def test_the_text_has_every_finding() -> None:
    """People read what programs do."""
    text = doctor().stdout
    for check in json.loads(doctor("--json").stdout)["checks"]:
        assert f"\n{check['title']}\n" in f"\n{text}"
        assert all(one["subject"] in text for one in check["findings"])


def test_wrong_usage() -> None:
    """A mistyped option is one line and exit code 2."""
    found = doctor("--jsno")
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)


# ------------------------------------------------------------------------- machines that lack something


def test_no_fuse(tmp_path: Path) -> None:
    """Root is told how to get the device; others do not need it."""
    write(tmp_path, "proc/self/mountinfo", "")
    (as_root,) = fuse.check(Machine(str(tmp_path), euid=0))
    assert (as_root.verdict, "modprobe" in as_root.advice) == (Verdict.PROBLEM, True)
    (as_user,) = fuse.check(Machine(str(tmp_path), euid=1000))
    assert as_user.verdict is Verdict.NOTE


def test_time_outs_of_whole_connections_are_noticed(tmp_path: Path) -> None:
    """Where the kernel ends a mount because one request takes long, that is told with the way out."""
    write(tmp_path, "proc/self/mountinfo", "")
    write(tmp_path, "proc/sys/fs/fuse/default_request_timeout", "0\n")
    write(tmp_path, "proc/sys/fs/fuse/max_request_timeout", "2\n")
    found = by_subject(fuse.check(Machine(str(tmp_path), euid=0)))
    assert found["fs.fuse.max_request_timeout"].verdict is Verdict.NOTE
    assert "fs.fuse.default_request_timeout" not in found


def test_lxcfs_is_noticed(tmp_path: Path) -> None:
    """Whoever runs lxcfs learns that both can stay."""
    write(tmp_path, "proc/self/mountinfo", "36 25 0:40 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw\n")
    assert by_subject(fuse.check(Machine(str(tmp_path), euid=0)))["lxcfs"].verdict is Verdict.NOTE


def test_an_old_kernel(tmp_path: Path) -> None:
    """Each feature that lacks is named with what is lost."""
    found = by_subject(kernel.check(Machine(str(tmp_path))))
    for subject in ("pressure (PSI)", "time namespaces", "system call notifications", "kernel log"):
        assert found[subject].verdict is Verdict.NOTE
        assert found[subject].advice


def test_a_user_without_rights(tmp_path: Path) -> None:
    """Not being root is no fault; what cannot be seen is named, with the capability that would show it."""
    write(tmp_path, "proc/self/status", "CapEff:\t0000000000000004\n")
    user, unseen = privileges.check(Machine(str(tmp_path), euid=1000))
    assert (user.verdict, unseen.verdict, "CAP_SYS_PTRACE" in unseen.found) == (Verdict.NOTE, Verdict.UNKNOWN, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_nobody() -> None:
    """The report comes to its end, says what it could not look at, and nothing in it is a fault."""
    become = "os.setgroups([]); os.setgid(65534); os.setuid(65534); "  # what is imported later may be out of reach
    script = "import encodings.idna, os, sys; from cgscope import cli; " + become
    words = [sys.executable, "-c", script + "sys.exit(cli.main(['doctor', '--json']))"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    findings = [one for check in json.loads(done.stdout)["checks"] for one in check["findings"]]
    unknown_ones = {one["subject"] for one in findings if one["verdict"] == "unknown"}
    assert "virtual /proc" in unknown_ones
    assert any("CAP_DAC_READ_SEARCH" in one["found"] for one in findings)
    assert not [one for one in findings if "check itself failed" in one["found"]]


# --------------------------------------------------------------------------- machines whose /proc is none


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /proc")
def test_proc_is_covered() -> None:
    """A tmpfs over /proc is the one thing that is said, as a fault: nothing else could be found out."""
    hidden = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        'mount -t tmpfs none /proc && exec "$0" "$@"',
    ]
    words = [*hidden, sys.executable, "-m", "cgscope", "doctor", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, checks[-1]["title"]) == (1, "/proc")
    assert checks[-1]["findings"][0]["verdict"] == "problem"


def whole_proc(root: Path, mounts: str = "") -> Machine:
    """A made-up machine with a procfs."""
    for name in ("self/status", "self/cgroup", "meminfo", "stat", "1/stat"):
        write(root, f"proc/{name}", "x\n")
    write(root, "proc/self/mountinfo", f"22 1 0:21 / /proc rw - proc proc rw\n{mounts}")
    return Machine(str(root))


def test_proc_of_a_container(tmp_path: Path) -> None:
    """Files of lxcfs or of ours over the kernel's are named: what they show is not the machine."""
    cover = "36 22 0:40 /proc/meminfo /proc/meminfo ro - fuse.lxcfs lxcfs ro\n"
    covered = by_subject(proc.check(whole_proc(tmp_path, cover)))["covered files"]
    assert (covered.verdict, covered.found) == (Verdict.NOTE, "/proc/meminfo: served by lxcfs")


def test_hidden_processes(tmp_path: Path) -> None:
    """With hidepid other users' processes are not there; a file that is masked makes /proc a problem."""
    machine = whole_proc(tmp_path)
    assert [one.verdict for one in proc.check(machine)] == [Verdict.OK]
    (tmp_path / "proc/1/stat").unlink()
    assert by_subject(proc.check(machine))["other processes"].verdict is Verdict.NOTE
    write(tmp_path, "proc/meminfo", "")  # as /dev/null over it
    assert by_subject(proc.check(machine))["procfs"].found == "cannot be read: meminfo"


def test_pid_namespace_of_a_container(tmp_path: Path) -> None:
    """Who asks in a container is told that most of the machine is not seen from there."""
    machine = whole_proc(tmp_path)
    write(tmp_path, "proc/self/ns/pid", "")
    assert by_subject(proc.check(machine))["pid namespace"].verdict is Verdict.NOTE


OURS = "36 22 {} / /proc/stat ro - fuse.procfs-fuse procfs-fuse:/mnt ro\n"


@pytest.mark.parametrize(
    ("devices", "verdicts"),
    [
        ({}, [Verdict.OK]),
        ({7: "0:40"}, [Verdict.OK]),
        ({7: "0:40", 8: None}, [Verdict.NOTE]),
        ({7: "0:39"}, [Verdict.PROBLEM, Verdict.NOTE]),
    ],
    ids=["no container", "served", "one without", "dead"],
)
def test_files_in_containers(tmp_path: Path, devices: dict[int, str | None], verdicts: list[Verdict]) -> None:
    """Containers without the files are counted; files of a file system that is mounted no more are a fault."""
    processes: dict[str, tuple[str | None, str]] = {"self": ("0:40", "/"), "1": (None, "/init.scope")}
    processes |= {str(pid): (device, f"/docker/{'ab' * 32}") for pid, device in devices.items()}
    for number, (pid, (device, cgroup)) in enumerate(processes.items()):
        line = OURS.format(device) if device else ""
        write(tmp_path, f"proc/{pid}/mountinfo", f"22 1 0:21 / /proc rw - proc proc rw\n{line}")
        write(tmp_path, f"proc/{pid}/cgroup", f"0::{cgroup}\n")
        (tmp_path / f"proc/{pid}/ns").mkdir()
        (tmp_path / f"proc/{pid}/ns/mnt").symlink_to(f"mnt:[{number}]")
    found = list(files.check(Machine(str(tmp_path), euid=0)))
    assert [one.verdict for one in found] == verdicts
    assert all("process 7" in one.found for one in found if one.verdict is Verdict.PROBLEM)


def test_root_without_capabilities(tmp_path: Path) -> None:
    """Root of a container is told which capabilities it needs and which would help."""
    write(tmp_path, "proc/self/status", "Name:\tx\nCapEff:\t0000000000000004\n")
    write(tmp_path, "proc/self/uid_map", "         0          0 4294967295\n")
    found = by_subject(privileges.check(Machine(str(tmp_path), euid=0)))
    assert found["user"].verdict is Verdict.OK
    assert found["CAP_SYS_ADMIN"].verdict is Verdict.PROBLEM
    assert found["CAP_SYS_RESOURCE"].verdict is Verdict.NOTE
    assert found["CAP_DAC_READ_SEARCH"].verdict is Verdict.OK


def test_root_of_a_user_namespace(tmp_path: Path) -> None:
    """Its capabilities are its namespace's, and who reads the report is told so."""
    write(tmp_path, "proc/self/status", "CapEff:\tffffffffffffffff\n")
    write(tmp_path, "proc/self/uid_map", "         0       1000          1\n")
    assert by_subject(privileges.check(Machine(str(tmp_path), euid=0)))["user"].verdict is Verdict.NOTE


def test_no_cgroups(tmp_path: Path) -> None:
    """Without a cgroup mount the report says what to mount, and the other checks still work."""
    write(tmp_path, "proc/self/mountinfo", "")
    write(tmp_path, "proc/self/cgroup", "")
    machine = Machine(str(tmp_path), euid=1000)
    (mounts,) = cgroups.check(machine)
    assert mounts.verdict is Verdict.PROBLEM
    assert by_subject(containers.check(machine))["engines"].verdict is Verdict.UNKNOWN
    assert by_subject(limits.check(machine))["inotify max_user_watches"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("counted", "verdict"), [("Total 0\n", Verdict.NOTE), ("8:0 Read 5\nTotal 5\n", None)])
def test_io_that_nobody_counts(tmp_path: Path, counted: str, verdict: Verdict | None) -> None:
    """Where cgroup v1 counts no disk that is told, with what switches it on."""
    top = tmp_path / "blkio"
    write(top, "blkio.throttle.io_service_bytes_recursive", counted)
    write(tmp_path, "proc/self/mountinfo", f"31 22 0:27 / {top} rw - cgroup cgroup rw,blkio\n")
    write(tmp_path, "proc/self/cgroup", "3:blkio:/\n")
    found = by_subject(cgroups.check(Machine(str(tmp_path)))).get("block I/O")
    assert (found and found.verdict) == verdict


def test_few_watches(tmp_path: Path) -> None:
    """The advice is a command that helps."""
    write(tmp_path, "proc/sys/fs/inotify/max_user_instances", "1\n")
    write(tmp_path, "proc/self/mountinfo", "")
    write(tmp_path, "proc/self/cgroup", "")
    found = by_subject(limits.check(Machine(str(tmp_path))))["inotify max_user_instances"]
    assert (found.verdict, "sysctl fs.inotify.max_user_instances=32" in found.advice) == (Verdict.NOTE, True)


@pytest.mark.parametrize(
    ("state", "verdict"), [("serving", Verdict.OK), ("dead", Verdict.PROBLEM), ("silent", Verdict.PROBLEM)]
)
def test_a_mounted_instance(state: str, verdict: Verdict) -> None:
    """What `procfs-fuse status` says becomes a verdict."""
    said = json.dumps({"instances": [{"mountpoint": "/mnt/a", "state": state, "containers": 3}]})
    found = by_subject(containers.check(Machine(euid=0, run=lambda *_: said)))["virtual /proc"]
    assert (found.verdict, "/mnt/a" in found.found) == (verdict, True)


@pytest.mark.parametrize("said", ["", "{}", "no JSON"])
def test_a_status_that_fails(said: str) -> None:
    """A broken `procfs-fuse` is a problem of its own."""
    found = by_subject(containers.check(Machine(euid=0, run=lambda *_: said)))["virtual /proc"]
    assert found.verdict is Verdict.PROBLEM


def test_a_missing_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too old and missing packages are named with the command that gets them."""
    versions = {"aiohttp": "3.8.6"}

    class Package:
        version = "9"
        requires = ("aiohttp>=3.9", "bcrypt>=4.0", 'pytest>=8 ; extra == "dev"')

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError
        return versions[name]

    monkeypatch.setattr(metadata, "distribution", lambda _name: Package)
    monkeypatch.setattr(metadata, "version", version)
    found = by_subject(software.check(Machine()))
    assert found["aiohttp"].found == "3.8.6 is too old"
    assert found["bcrypt"].advice == "pip install 'bcrypt>=4.0'"
    assert "pytest" not in found


# ------------------------------------------------------------------------------------------- ports


@pytest.fixture(params=["cgroup-exporter is healthy.\n", "hello"])
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A web server on loopback, and what it says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param.encode())

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield request.param, server.server_port
        server.shutdown()
        thread.join()


def test_who_listens(listener: tuple[str, int]) -> None:
    """Our own exporter is told from a stranger, and a stranger is no failure of the check."""
    said, port = listener
    assert ports.examine(port).verdict is (Verdict.OK if said.startswith("cgroup-exporter") else Verdict.NOTE)


# ------------------------------------------------------------------------------------------- report


REPORT = [
    ("one", [ok("a", "fine"), note("b", "meh", "do this")]),
    ("two", [problem("c", "bad\n\x1b[31m", "do that"), unknown("d", "who knows")]),
]


def test_text() -> None:
    """Marks, advice below its line, strangers' control characters made harmless, and a sum."""
    lines = as_text(REPORT, colour=False).splitlines()
    assert lines[:4] == ["one", "    ok  a  fine", "  note  b  meh", "           -> do this"]
    assert r"bad\n\x1b[31m" in lines[5]
    assert lines[-1] == "1 to be mended, 1 note, 1 could not be looked at."


def test_json() -> None:
    """Names and verdicts are stable; no advice is null."""
    found = json.loads(as_json(REPORT))
    assert (found["ok"], is_well(REPORT[:1])) == (False, True)
    assert found["checks"][0]["findings"][0] == dict(zip(FIELDS, ("a", "ok", "fine", None), strict=True))


def test_a_check_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are still made."""

    def broken(_machine: Machine) -> Iterator[Finding]:
        raise RuntimeError("oops")

    monkeypatch.setattr(fuse, "check", broken)
    report = dict(examine(Machine()))
    assert [one.verdict for one in report["FUSE"]] == [Verdict.UNKNOWN]
    assert report["ports"]
