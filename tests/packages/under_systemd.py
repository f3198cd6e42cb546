"""What an operator relies on where systemd is the first process; test_systemd.py runs this in a guest.

The tests are one story, told in this order: from the quick start to `dpkg --purge`. A container reads all the time.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from exporters.privileges import READING
from tests.integration.command_line import REPOSITORY, eventually
from tests.integration.typed import sessions

PACKAGES: Final = Path(os.environ["CGSCOPE_PACKAGES"])
"""A folder with `dist`, where `make deb` left the package, and `next`, with the next version's."""

SERVER: Final = "procfs-fuse"
EXPORTER: Final = "cgroup-exporter"
ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""An operator's: the installed programs bring what they need."""

MOUNT_POINT: Final = "/var/lib/procfs-fuse"
MEMORY: Final = str(256 << 20)
FEW_READS: Final = 20

# No event of a program's start in User Mode Linux, which has no process connector.
EXPECTED: Final = "no events of programs (Protocol not supported)"
COMPLAINT: Final = re.compile("WARN|ERROR|Traceback|denied|not permitted", re.IGNORECASE)

WAITS: Final = 'until [ -e /told/begin ]; do sleep 0.1; done; exec python3 -c "$0"'
READER: Final = """\
import os, time

reads, wrong = 0, ""
while True:
    try:
        with open("/proc/meminfo") as file:
            total = int(file.readline().split()[1]) << 10
    except OSError as error:
        total = error
    if str(total) != os.environ["TOTAL"]:
        wrong += f" {total}"
    reads += 1
    with open("/told/new", "w") as file:
        file.write(f"{reads}{wrong}")
    os.rename("/told/new", "/told/now")
    time.sleep(0.02)
"""


def shell(command: str) -> str:
    """Run a command that has to succeed; return its output."""
    done = run(command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout.strip()


def succeeds(command: str) -> bool:
    """Whether a command ends with 0."""
    return run(command).returncode == 0


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in the folder with the packages."""
    words = ["sh", "-ec", command]
    return subprocess.run(words, cwd=PACKAGES, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def of(unit: str, name: str) -> str:
    """What systemd says of a unit."""
    return shell(f"systemctl show --value --property={name} {unit}")


def processes(unit: str) -> list[int]:
    """All of a unit's."""
    listed = shell(f"systemctl status --no-pager --full --lines=0 {unit} | cat")
    return [int(pid) for pid in re.findall(r"[├└]─(\d+) ", listed)]


def memory_shown(read: Callable[[str], str]) -> str:
    """The total that `free` tells."""
    return read("free -b").splitlines()[1].split()[1]


class Machine:
    """A container of systemd-nspawn's with limits, whose only program is `READER`."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._told = folder / "told"
        root = folder / "root"
        for place in (self._told, root / "usr", root / "etc", root / "told"):
            place.mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (root / link).symlink_to(f"usr/{link}")
        (root / "etc/os-release").write_text("ID=test\n")
        words = ["systemd-run", f"--unit={name}-starts", "systemd-nspawn", "--quiet", "--as-pid2", f"--machine={name}"]
        words += [f"--directory={root}", "--bind-ro=/usr", f"--bind={self._told}:/told", f"--setenv=TOTAL={MEMORY}"]
        words += [f"--property={limit}" for limit in (f"MemoryMax={MEMORY}", "CPUQuota=100%", "TasksMax=400")]
        shell(
            shlex.join(
                [*words, "sh", "-c", 'until [ -e /told/begin ]; do sleep 0.1; done; exec python3 -c "$0"', READER]
            )
        )
        assert eventually(lambda: succeeds(f"machinectl show {name}"))
        self.leader = int(shell(f"machinectl show --value --property=Leader {name}"))

    def run(self, command: str) -> str:
        """Run a command in there."""
        return shell(f"nsenter --target {self.leader} --all -- sh -ec {shlex.quote(command)}")

    def begin(self) -> None:
        """Let it read."""
        (self._told / "begin").touch()
        assert eventually((self._told / "now").exists)

    def goes_on(self) -> None:
        """It reads, and never saw anything but its own limit."""
        until = self._reads() + FEW_READS
        assert eventually(lambda: self._reads() > until)

    def _reads(self) -> int:
        reads, *wrong = (self._told / "now").read_text().split(maxsplit=1)
        assert wrong == []
        return int(reads)

    def mounted(self) -> list[str]:
        """Files of ours in there."""
        mounts = Path(f"/proc/{self.leader}/mountinfo").read_text()
        return [line for line in mounts.splitlines() if "procfs-fuse" in line]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that is there all the time."""
    yield Machine("web", tmp_path_factory.mktemp("web"))
    shell("machinectl terminate web")


def metrics() -> str:
    """The exporter's page; empty while nobody answers."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:9753/metrics") as page:
            return str(page.read(), "utf-8")
    except OSError:
        return ""


def test_quick_start() -> None:
    """The commands of the page do what it says."""
    (typed,) = (
        typed for title, typed in sessions((REPOSITORY / "docs/quickstart.md").read_text()) if title == "systemd"
    )
    for one in typed:
        assert one.fits(shell(one.command) + "\n"), one


def test_the_system_runs() -> None:
    """No unit has failed, none is still being started."""
    assert shell("systemctl is-system-running --wait") == "running"
    assert shell(f"systemctl is-active {SERVER} {EXPORTER}") == "active\nactive"


def test_systemd_is_told() -> None:
    """The server says that it is ready and alive, and has its descriptors kept."""
    assert (of(SERVER, "Type"), of(SERVER, "StatusText"), of(SERVER, "NRestarts")) == ("notify", "serving", "0")
    assert int(of(SERVER, "NFileDescriptorStore")) > 0
    alive = of(SERVER, "WatchdogTimestampMonotonic")
    assert eventually(lambda: of(SERVER, "WatchdogTimestampMonotonic") != alive)


@pytest.mark.parametrize("unit", [SERVER, EXPORTER])
def test_hardened(unit: str) -> None:
    """Each process has its system calls filtered, and no way to more rights."""
    found = processes(unit)
    assert found
    for pid in found:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status
    refused = f"nsenter --target {of(unit, 'MainPID')} --mount sh -c 'echo 1 >/usr/new'"
    assert succeeds(refused) == (unit == SERVER), "only the exporter has mounts of its own, and nothing to write to"


def test_capabilities() -> None:
    """The exporter holds as many as reading takes."""
    status = Path(f"/proc/{of(EXPORTER, 'MainPID')}/status").read_text()
    (held,) = re.findall(r"^CapEff:\s+(\w+)$", status, re.MULTILINE)
    assert int(held, 16).bit_count() == len(READING)


def test_container_is_attached_by_itself(web: Machine) -> None:
    """`attach: all` finds a machine that systemd made, which sees the limits that systemd gave it."""
    assert eventually(lambda: memory_shown(web.run) == MEMORY)
    assert eventually(lambda: web.run("grep -c ^processor /proc/cpuinfo") == "1")
    assert web.run("cat /proc/sys/kernel/threads-max") == "400"
    web.begin()
    web.goes_on()


def test_service_with_mounts_of_its_own() -> None:
    """A service with limits can be given the files as well."""
    shell("systemd-run --unit=plain --service-type=exec -p MemoryMax=96M -p PrivateMounts=yes sleep infinity")
    shell("procfs-fuse attach /system.slice/plain.service")
    inside = f"nsenter --target {of('plain', 'MainPID')} --all"
    assert memory_shown(lambda command: shell(f"{inside} {command}")) == str(96 << 20)
    shell("systemctl stop plain")


def test_container_of_a_service() -> None:
    """`run` works below a service."""
    limited = "systemd-run --quiet --wait --pipe --property=MemoryMax=200M procfs-fuse run --memory 64M --"
    assert memory_shown(lambda command: shell(f"{limited} {command}")) == str(64 << 20)


def test_killed_service_is_counted() -> None:
    """The exporter tells of the OOM kill in a service with a limit, after it is gone as well."""
    shell("echo 'cgroups: units' >>/etc/cgscope/cgroup-exporter.yaml; systemctl restart cgroup-exporter")
    shell("""systemd-run --unit=hungry --property=MemoryMax=32M \
        sh -c 'until [ -e /run/eat ]; do sleep 0.1; done; exec tail /dev/zero'""")
    series = 'container_oom_kills_total{id="/system.slice/hungry.service"'
    assert eventually(lambda: series in metrics())
    Path("/run/eat").touch()
    assert eventually(lambda: of("hungry", "ActiveState") == "failed")
    assert eventually(lambda: re.search(re.escape(series) + r"[^}]*\} 1\n", metrics()))
    shell("systemctl reset-failed hungry")


def test_nothing_was_refused() -> None:
    """What the units take away is missed by nobody: the journal has no complaint."""
    lines = shell(f"journalctl --boot --no-pager --unit={SERVER} --unit={EXPORTER}").splitlines()
    assert [line for line in lines if COMPLAINT.search(line) and EXPECTED not in line] == []


def serves_again(web: Machine, *, other_than: str) -> None:
    """Wait for another main process; the container has noticed nothing."""
    assert eventually(lambda: of(SERVER, "SubState") == "running" and of(SERVER, "MainPID") != other_than)
    web.goes_on()
    assert memory_shown(web.run) == MEMORY


@pytest.mark.parametrize(
    "command",
    [
        f"systemctl restart {SERVER}",
        f"systemctl kill --kill-who=main --signal=KILL {SERVER}",
        f"systemctl kill --signal=KILL {SERVER}",
    ],
)
def test_container_does_not_notice(web: Machine, command: str) -> None:
    """The next process has the mounts from systemd: no read fails, none shows the machine's memory."""
    before = of(SERVER, "MainPID")
    shell(command)
    serves_again(web, other_than=before)


def test_worker_is_replaced(web: Machine) -> None:
    """Who serves may be killed without systemd's help."""
    main = of(SERVER, "MainPID")
    shell(f"kill -KILL {workers()[0]}")
    assert eventually(lambda: "replaced 1 times" in shell("procfs-fuse status"))
    web.goes_on()
    assert of(SERVER, "MainPID") == main


def test_reload(web: Machine) -> None:
    """Other processes serve, and systemd knows the main one as before."""
    before = of(SERVER, "MainPID"), of(SERVER, "NRestarts")
    served = workers()
    shell(f"systemctl reload {SERVER}")
    assert not set(served) & set(workers())
    web.goes_on()
    assert (of(SERVER, "MainPID"), of(SERVER, "NRestarts")) == before


def workers() -> list[str]:
    """Processes that serve or stand by."""
    (line,) = re.findall(r"^ +workers +([\d ]+)", shell("procfs-fuse status"), re.MULTILINE)
    return str(line).split()


def test_upgrade(web: Machine) -> None:
    """The next version takes over while the container reads; both services run it."""
    before = of(SERVER, "MainPID")
    shell("dpkg --install next/*.deb")
    serves_again(web, other_than=before)
    version = shell("dpkg-query --show --showformat='${Version}' cgscope")
    assert str(next((PACKAGES / "next").iterdir())).split("_")[1] == version
    assert f"{version}\n" in shell("procfs-fuse --version") + "\n"
    assert eventually(lambda: f'version="{version}"' in metrics())


def test_doctor_finds_nothing_wrong() -> None:
    """After all that, either."""
    assert "1 of 1 have them" in shell("cgscope doctor")


def test_stop_gives_the_files_back(web: Machine) -> None:
    """Who is stopped takes the files out; who is started puts them in again."""
    shell(f"systemctl stop {SERVER}")
    assert web.mounted() == []
    assert memory_shown(web.run) == memory_shown(shell)
    assert MOUNT_POINT not in Path("/proc/mounts").read_text()
    shell(f"systemctl start {SERVER}")
    assert eventually(lambda: memory_shown(web.run) == MEMORY)


def test_wrong_settings_are_told() -> None:
    """Settings that are wrong fail the unit at once, with the reason in the journal, and not again and again."""
    settings = Path("/etc/cgscope/procfs-fuse.yaml")
    right = settings.read_text()
    settings.write_text(f"{right}tttl: 1\n")
    assert not succeeds(f"systemctl restart {SERVER}")
    assert eventually(lambda: of(SERVER, "ActiveState") == "failed")
    assert "tttl" in shell(f"journalctl --boot --no-pager --unit={SERVER} --lines=20")
    settings.write_text(right)
    shell(f"systemctl restart {SERVER}")


def test_purge_leaves_nothing(web: Machine) -> None:
    """No unit, no process, no mount, no file."""
    shell("dpkg --purge cgscope")
    assert web.mounted() == []
    assert memory_shown(web.run) == memory_shown(shell)
    for unit in (SERVER, EXPORTER):
        assert of(unit, "LoadState") == "not-found"
    places = ("/etc/cgscope", "/usr/lib/cgscope", "/run/procfs-fuse", "/var/lib/cgscope", MOUNT_POINT)
    assert [place for place in places if Path(place).exists()] == []
    assert MOUNT_POINT not in Path("/proc/mounts").read_text()
    assert shell("systemctl is-system-running") == "running"
