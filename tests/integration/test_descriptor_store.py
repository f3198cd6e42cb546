"""Under a service manager even the keeper may die: a small one speaks LISTEN_FDS and NOTIFY_SOCKET as systemd does."""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from procfs_fuse.control_socket import ask
from procfs_fuse.instances import Instance, Registry
from procfs_fuse.transport import mounting
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, REPOSITORY, CommandLine, eventually
from tests.integration.survival import NATIVE_ONLY, changing_containers, hot_readers_of

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), NATIVE_ONLY]

_WITH_OWN_PID = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"'


class Supervisor:
    """Starts the service, keeps what it stores, and starts it again."""

    def __init__(self, command: CommandLine, place: Path, folder: Path) -> None:
        self._command = command
        self._words = command.words("mount", "--foreground", "--no-config", str(place))
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(PATIENCE_SECONDS)
        self._path = str(folder / "notify")
        self._place = place
        self._service: subprocess.Popen[bytes] | None = None
        self.store: dict[str, int] = {}
        self.told: list[str] = []

    def start(self) -> None:
        """Start it; return when it says that it is ready."""
        names = list(self.store)
        environment = {
            **self._command.environment,
            "NOTIFY_SOCKET": self._path,
            "WATCHDOG_USEC": "300000",
            "LISTEN_FDS": str(len(names)),
            "LISTEN_FDNAMES": ":".join(names),
        }
        stored = [self.store[name] for name in names]
        self._service = subprocess.Popen(
            ["sh", "-c", _WITH_OWN_PID, "sh", *self._words],
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _arrange(stored),  # noqa: PLW1509 - no threads that matter
            close_fds=False,
        )
        self.await_message("READY=1")

    def await_message(self, wanted: str) -> None:
        """Take messages until this one."""
        while True:
            data, ancillary, _flags, _address = self._notify.recvmsg(4096, socket.CMSG_SPACE(64))
            lines = data.decode().splitlines()
            self.told += lines
            name = next((line.partition("=")[2] for line in lines if line.startswith("FDNAME=")), "")
            if "FDSTORE=1" in lines:
                descriptors = array.array("i")
                descriptors.frombytes(ancillary[0][2])
                self._drop(name)
                self.store[name] = descriptors[0]
            if "FDSTOREREMOVE=1" in lines:
                self._drop(name)
            if wanted in lines:
                return

    def instance(self) -> Instance:
        """What is served."""
        return Registry(self._command.state_dir).select(str(self._place))

    def kill(self) -> None:
        """Kill the service with everything that belongs to it, as the kernel does for a whole cgroup."""
        assert self._service is not None
        self._command.kill_all(dict(ask(self.instance().control, "status", timeout_seconds=PATIENCE_SECONDS)))
        self._service.wait(PATIENCE_SECONDS)

    def await_end(self) -> int:
        """Wait until it has ended by itself; returns its exit code."""
        assert self._service is not None
        return self._service.wait(PATIENCE_SECONDS)

    def _drop(self, name: str) -> None:
        if name in self.store:
            os.close(self.store.pop(name))

    def close(self) -> None:
        """End the service, and forget its descriptors."""
        if self._service is not None and self._service.poll() is None:
            self.kill()
        for name in list(self.store):
            self._drop(name)
        self._notify.close()


def _arrange(stored: list[int]) -> None:
    """Put descriptors where the protocol has them: from 3 on."""
    high = [os.dup(fd) for fd in stored]
    high = [os.dup2(fd, 100 + number) for number, fd in enumerate(high)]
    for number, fd in enumerate(high):
        os.dup2(fd, 3 + number)


@pytest.fixture
def supervisor(command: CommandLine, place: Path, tmp_path: Path) -> Iterator[Supervisor]:
    """A service manager."""
    supervisor = Supervisor(command, place, tmp_path)
    yield supervisor
    supervisor.close()


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)], ids=["few", "many"])
def test_everybody_may_die(supervisor: Supervisor, command: CommandLine, place: Path, times: int) -> None:
    """Keeper and workers are killed together; the next start goes on on the same mounts, readers notice nothing."""
    supervisor.start()
    assert set(supervisor.store) == {"procfs-fuse-open", "procfs-fuse-cached", "procfs-fuse-journal"}
    device = mounting.mount_at(str(place))
    with changing_containers(3) as targets:
        instance = supervisor.instance()
        roots = (place / "containers", Path(instance.containers))
        with hot_readers_of(roots, targets) as reports:
            for _ in range(times):
                supervisor.kill()
                supervisor.start()
        assert all(one["calls"] for one in reports)
    assert mounting.mount_at(str(place)) == device
    assert command.status()[0]["state"] == "serving"


def test_manager_is_told(supervisor: Supervisor, command: CommandLine, place: Path) -> None:
    """It hears that we serve, that we live, that we stop; at the end it keeps nothing, and no mount is left."""
    supervisor.start()
    supervisor.await_message("WATCHDOG=1")
    umount = command.start("umount", str(place))
    supervisor.await_message("STOPPING=1")
    supervisor.await_message("FDNAME=procfs-fuse-journal")
    assert umount.wait(PATIENCE_SECONDS) == 0
    assert (supervisor.await_end(), supervisor.store) == (0, {})
    assert eventually(lambda: mounting.mount_at(str(place)) is None)


def test_mounts_are_left_at_a_restart(
    supervisor: Supervisor, command: CommandLine, place: Path, tmp_path: Path
) -> None:
    """`systemctl restart` stops the service, and starts it again on the same mounts."""
    supervisor.start()
    device = mounting.mount_at(str(place))
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    systemctl = bin_directory / "systemctl"
    systemctl.write_text("#!/bin/sh\necho 7 procfs-fuse.service restart running\n")
    systemctl.chmod(0o755)
    command.environment["PATH"] = f"{bin_directory}:{command.environment['PATH']}"
    found = command("umount", "--unless-restarting", "procfs-fuse.service", str(place))
    assert (found.returncode, found.stderr) == (0, "")
    assert supervisor.await_end() == 0
    supervisor.start()
    assert mounting.mount_at(str(place)) == device
    assert "MemTotal:" in (place / "proc/meminfo").read_text()


def test_descriptors_of_something_else_are_not_taken(supervisor: Supervisor, place: Path) -> None:
    """What the manager kept and we do not understand is closed, and mounted anew."""
    supervisor.store = {
        f"procfs-fuse-{name}": os.open("/dev/null", os.O_RDWR) for name in ("open", "cached", "journal")
    }
    supervisor.start()
    assert "MemTotal:" in (place / "proc/meminfo").read_text()


def test_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing wrong; nothing gives the service a mount namespace of its own."""
    unit = (REPOSITORY / "deploy/systemd/procfs-fuse.service").read_text()
    for word in (
        "ProtectSystem=",
        "ProtectHome=",
        "PrivateTmp=",
        "PrivateDevices=",
        "PrivateMounts=",
        "ReadOnlyPaths=",
    ):
        assert f"\n{word}" not in unit
    copy = tmp_path / "procfs-fuse.service"
    copy.write_text(unit.replace("/usr/bin/procfs-fuse", sys.executable).replace("Documentation=man", "#"))
    try:
        found = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no systemd-analyze here")
    assert (found.returncode, found.stderr) == (0, "")
