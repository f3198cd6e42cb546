"""``procfs-fuse mount|umount|status|show``: the commands as a user types them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), ANY_WORLD]

NAME = f"cgscope-test-cli-{os.getpid()}"


def one_line(found: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check that a command failed as commands are to fail."""
    assert found.returncode == code, found.stderr
    assert re.fullmatch(r"procfs-fuse[ a-z]*: [^\n]*\n", found.stderr)
    assert "Traceback" not in found.stderr
    for word in words:
        assert word in found.stderr


# -------------------------------------------------------------------------------------- mount, umount


def test_mounted_when_mount_returns(command: CommandLine, place: Path) -> None:
    """After `mount` both connections answer; after `umount` both are gone and so is the process."""
    assert command("mount", str(place)).returncode == 0
    assert "MemTotal:" in (place / "proc/meminfo").read_text()
    (instance,) = command.status()
    assert Path(instance["state_dir"], "containers").is_dir()
    assert (instance["mountpoint"], instance["state"]) == (str(place), "serving")
    assert command("umount", str(place)).returncode == 0
    assert os.listdir(place) == []
    assert eventually(lambda: not alive(instance["pid"]))
    assert command.clean()


def test_mount_point_may_be_named_by_a_link(command: CommandLine, place: Path, tmp_path: Path) -> None:
    """Whoever mounts through a symbolic link may go on using it, or the directory itself."""
    link = tmp_path / "link"
    link.symlink_to(place)
    for name in (link, place):
        assert command("mount", str(link)).returncode == 0
        report = json.loads(command("status", "--json", "--mount", str(name)).stdout)["instances"]
        assert [one["mountpoint"] for one in report] == [str(place)]
        assert command("umount", str(name)).returncode == 0
        assert not os.path.exists(report[0]["state_dir"])  # nothing is left of it
    assert command.clean()


def test_server_in_the_background_keeps_nothing_of_its_caller_open(command: CommandLine, place: Path) -> None:
    """Whoever reads a pipe that the caller had open gets its end while the server lives."""
    reader, writer = os.pipe()
    assert command("mount", str(place), pass_fds=[writer]).returncode == 0
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert command.status()[0]["state"] == "serving"


def test_second_mount_adopts_the_first(command: CommandLine, place: Path) -> None:
    """Mounting twice is no failure; other values are taken over by the same keeper, other files it says it cannot."""
    command("mount", str(place))
    pid = command.status()[0]["pid"]
    told = f"{place} is served already by process {pid}"
    for expected in (f"{told}, which goes on with the new --cpu-view, --ttl\n", f"{told}\n"):
        done = command("mount", "--cpu-view=cpuset", "--ttl=20", str(place))
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
    one_line(command("mount", "--no-files=vmstat", "--ttl=20", str(place)), 1, str(pid), "--no-files", "umount --keep")
    one_line(command("mount", "--foreground", str(place)), 1, str(place), str(pid), "umount")
    (after,) = command.status()
    assert (after["pid"], after["generation"], after["policy"]["cpu_view"]) == (pid, 1, "cpuset")


def test_watcher_ends_with_its_instance(command: CommandLine, place: Path) -> None:
    """Whoever attaches new containers by itself is gone after `umount`: the next one goes by its own options."""
    for engines in ("docker", "podman"):
        assert command("mount", "--attach", engines, str(place)).returncode == 0
        assert eventually(lambda: command.status()[0]["attach"])
        (instance,) = command.status()
        watcher = instance["attach"]["watcher"]
        assert f"--engines\0{engines}\0" in Path(f"/proc/{watcher}/cmdline").read_text()
        assert command("umount", str(place)).returncode == 0
        assert not alive(watcher)
        assert not os.path.exists(instance["state_dir"])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_foreground_ends_cleanly_on_a_signal(command: CommandLine, place: Path, signum: signal.Signals) -> None:
    """In the foreground a signal unmounts and ends the process with success."""
    server = command.start("mount", "--foreground", str(place), stderr=subprocess.PIPE)
    assert eventually((place / "proc").is_dir)
    server.send_signal(signum)
    _, log = server.communicate(timeout=PATIENCE_SECONDS)
    assert (server.returncode, os.listdir(place)) == (0, [])
    assert "serving" in log
    assert command.clean()


def test_busy_mount_is_served_until_its_last_user_is_gone(command: CommandLine, place: Path) -> None:
    """`umount` takes a busy mount out of the tree at once, and its user goes on reading until it is done."""
    command("mount", str(place))
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sys; input(); print(open('proc/uptime').read()); sys.stdout.flush()"],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert eventually(lambda: os.readlink(f"/proc/{reader.pid}/cwd") == str(place))
    umount = command.start("umount", "--timeout", "60", str(place))
    assert eventually(lambda: os.listdir(place) == [])
    assert re.fullmatch(r"\d+\.\d+ \d+\.\d+\n\n", reader.communicate("\n", timeout=PATIENCE_SECONDS)[0])
    assert "in use" in umount.communicate(timeout=PATIENCE_SECONDS)[0]
    assert umount.returncode == 0


def test_time_out_ends_a_busy_mount(command: CommandLine, place: Path) -> None:
    """When the time is over the server ends although a program still uses its files."""
    command("mount", str(place))
    with (place / "proc/uptime").open("rb") as file:
        assert command("umount", "--timeout", "200ms", str(place)).returncode == 0
        with pytest.raises(OSError, match="not connected"):
            os.pread(file.fileno(), 100, 0)
    assert command.clean()


def test_killed_server_is_noticed_and_cleaned_up(command: CommandLine, place: Path) -> None:
    """After SIGKILL `status` says dead, `umount` removes the dead mounts, and `mount` works again."""
    for recover in (["umount", "--all"], ["umount", str(place)], ["mount", str(place)]):
        command("mount", str(place))
        (instance,) = command.status()
        command.kill_all(instance)
        assert eventually(lambda: [one["state"] for one in command.status()] == ["dead"])
        assert str(place) in command("status").stdout
        assert command(*recover).returncode == 0
    assert "MemTotal:" in (place / "proc/meminfo").read_text()


def test_two_instances_are_told_apart(command: CommandLine, place: Path, tmp_path: Path) -> None:
    """Commands without a mount point list the instances and end with 2; with one they take it."""
    other = tmp_path / "other"
    other.mkdir()
    command("mount", str(place))
    command("mount", str(other))
    one_line(command("umount"), 2, str(place), str(other))
    one_line(command("run", "--", "true"), 2, str(place), str(other))
    assert command("run", "--mount", str(other), "--", "true").returncode == 0
    report = json.loads(command("status", "--json", "--mount", str(other)).stdout)
    assert [one["mountpoint"] for one in report["instances"]] == [str(other)]
    assert command("umount", str(other)).returncode == 0
    assert command("umount").returncode == 0
    assert command.clean()


def test_mount_points_that_cannot_be_used(command: CommandLine, tmp_path: Path) -> None:
    """Missing, not empty, no directory, somebody else's mount: one line each, with what to do."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    one_line(command("mount", str(tmp_path / "missing")), 1, "does not exist", "mkdir")
    one_line(command("mount", str(tmp_path / "full")), 1, "not empty")
    one_line(command("mount", str(tmp_path / "full/file")), 1, "not a directory")
    one_line(command("mount", "/proc"), 1, "already a mount point", "proc")
    assert command.clean()


def test_a_volume_can_be_mounted_on(command: CommandLine, tmp_path: Path) -> None:
    """A folder that a container was given, which is a mount point already, takes ours and is left as it was."""
    for name in ("folder", "volume"):
        (tmp_path / name).mkdir()
    place = shlex.quote(str(tmp_path / "volume"))
    mount, umount = (shlex.join(command.words(name, str(tmp_path / "volume"))) for name in ("mount", "umount"))
    script = f"mount --bind {place}/../folder {place}; {mount}; ls {place}; {umount}; mountpoint -q {place}; ls {place}"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script]
    done = subprocess.run(words, env=command.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["containers", "proc", "sys"]), done.stderr


def test_umount_leaves_others_mounts_alone(command: CommandLine, tmp_path: Path) -> None:
    """What is not ours is not unmounted."""
    one_line(command("umount", "/proc"), 1, "/proc")
    one_line(command("umount", str(tmp_path)), 1, "nothing is mounted")
    one_line(command("umount"), 1, "procfs-fuse mount")


def test_mount_of_another_state_directory_is_not_stolen(command: CommandLine, place: Path, tmp_path: Path) -> None:
    """A live server is only stopped through its own state directory."""
    command("mount", str(place))
    stranger = CommandLine(tmp_path / "another state")
    one_line(stranger("umount", str(place)), 1, "--state-dir")
    one_line(stranger("mount", str(place)), 1, "already a mount point")
    assert "MemTotal:" in (place / "proc/meminfo").read_text()


def test_state_directory_of_a_stranger_is_refused(command: CommandLine, place: Path, tmp_path: Path) -> None:
    """Whoever can write to the state directory could pose as the server."""
    (tmp_path / "state").mkdir(mode=0o777)
    (tmp_path / "state").chmod(0o777)
    one_line(command("mount", str(place)), 1, "state")


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        ([], 2, "which command"),
        (["moutn"], 2, "mount"),
        (["mount", "--frobnicate"], 2, "--frobnicate"),
        (["mount", "--foregroun"], 2, "--foreground"),
        (["mount", "--ttl", "soon"], 2, "soon"),
        (["mount", "--cpu-view", "quoat"], 2, "quota"),
        (["umount", "--timeout", "x"], 2, "duration"),
        (["status", "surplus"], 2, "surplus"),
        (["show"], 2, "TARGET"),
    ],
)
def test_wrong_usage(command: CommandLine, words: list[str], code: int, expected: str) -> None:
    """Wrong words get exit code 2 and one line with the nearest right ones."""
    one_line(command(*words), code, expected)


@pytest.mark.parametrize("words", [[], ["mount"], ["umount"], ["status"], ["show"], ["run"]])
def test_help_has_examples(command: CommandLine, words: list[str]) -> None:
    """Every --help says what the command does and shows how."""
    found = command(*words, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert "examples:\n" in found.stdout


def test_full_or_closed_output_is_no_traceback(command: CommandLine) -> None:
    """A reader that has enough, and a full disk, are no reason for a traceback."""
    command.environment.pop("PYTHONUNBUFFERED", None)  # with it nothing is left to be written at the end
    script = f"{' '.join(command.words('--help'))} | true"
    found = subprocess.run(["sh", "-c", script], env=command.environment, capture_output=True, text=True, check=False)
    assert found.stderr == ""
    with open("/dev/full", "w") as full:
        words = command.words("status", "--json")
        full_disk = subprocess.run(
            words, env=command.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert full_disk.returncode == 1
    assert re.fullmatch(r"procfs-fuse status: [^\n]*No space left[^\n]*\n", full_disk.stderr)


# ------------------------------------------------------------------------------------------- status


def test_status_without_instances(command: CommandLine) -> None:
    """Nothing mounted is an answer, not a failure."""
    found = command("status")
    assert found.returncode == 0
    assert "procfs-fuse mount" in found.stdout
    assert json.loads(command("status", "--json").stdout)["instances"] == []


def test_status_counts(command: CommandLine, place: Path) -> None:
    """The report has what an operator looks for, and its numbers move."""
    command("mount", str(place))
    before = command.status()[0]["requests"]
    (place / "proc/stat").read_bytes()
    (after,) = command.status()
    assert after["requests"]["open"] > before["open"]
    assert after["world"] in {"v1", "hybrid", "v2"}
    assert (after["errors"], after["fallbacks"], after["containers"] >= 0) == ({}, [], True)
    table = command("status").stdout
    assert all(word in table for word in (str(place), "serving", str(after["pid"]), after["world"]))
    assert "\033" not in table


# --------------------------------------------------------------------------------------------- show


@pytest.fixture
def container(command: CommandLine) -> Iterator[str]:
    """A running container of 64 MiB and half a CPU, by name."""
    script = "echo ready; exec sleep 600"
    launcher = command.start("run", "--name", NAME, "--memory", "64M", "--cpus", "0.5", "--", "sh", "-c", script)
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == "ready\n"
    yield NAME
    launcher.terminate()
    launcher.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("file", ["meminfo", "proc/meminfo", "/proc/meminfo", "//proc/./meminfo"])
def test_show_takes_files_as_people_write_them(command: CommandLine, container: str, file: str) -> None:
    """The name, the path in the tree and the path in the container all mean one file."""
    assert command("show", container, file).stdout.splitlines()[0].split() == ["MemTotal:", "65536", "kB"]


def test_show_takes_targets_as_people_write_them(command: CommandLine, container: str) -> None:
    """By name, engine:name, beginning, cgroup path, and by a process in it."""
    runs = [f"cgscope:{container}", container[:-1], f"/cgscope/{container}"]
    outputs = {command("show", target, "cpu/online").stdout for target in runs}
    assert outputs == {"0\n"}
    table = Path(cgroups_of(container)[0], "cgroup.procs").read_text()
    shown = [command("show", f"pid:{pid}", "meminfo").stdout.partition("\n")[0] for pid in table.split()]
    assert any(line.split()[1:] == ["65536", "kB"] for line in shown)


def test_show_finds_files_of_folders(command: CommandLine, container: str) -> None:
    """Those that this very container has: its first CPU, none beyond its limit; by whole and short path."""
    for file in ("/sys/devices/system/cpu/cpu0/topology/core_id", "cpu/cpu0/topology/core_id"):
        done = command("show", container, file)
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    one_line(command("show", container, "cpu/cpu4095/topology/core_id"), 1, "cpu4095", "such as")
    one_line(command("show", container, "sys/devices/system/cpu/cpu0"), 1, "cpu0", "such as")


def test_show_says_what_it_does_not_know(command: CommandLine, container: str) -> None:
    """Unknown files and targets get suggestions; a container that is gone is said to be gone."""
    one_line(command("show", container, "memifno"), 2, "meminfo")
    one_line(command("show", container[:-2] + "_x", "meminfo"), 1, container)
    one_line(command("show", "pid:4194303", "meminfo"), 1, "4194303")
    one_line(command("show", "/no/such/cgroup", "meminfo"), 1, "/no/such/cgroup")
    one_line(command("show", "bad\nname\033[31m", "meminfo"), 1, "bad")
