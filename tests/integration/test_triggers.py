"""PSI triggers through the virtual pressure files: they fire for stalls in the container, and for no others."""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from tests.integration.command_line import NEEDS, REASON, eventually
from tests.integration.containers import MIB, Container, Instance, mounted, running

MEMORY = "proc/pressure/memory"
_HAS_PRESSURE = os.path.exists("/proc/pressure/memory") and discover_mounts().for_controller("") is not None

pytestmark = [
    pytest.mark.skipif(not NEEDS, reason=REASON),
    pytest.mark.skipif(not _HAS_PRESSURE, reason="this kernel accounts no pressure for cgroups"),
]

# Reads a file that does not fit into the container's memory, over and over: every page read was just evicted. It makes
# the file itself, as pages are charged to who brings them in. On v2 a low memory.high slows it down besides: a guest
# whose files are all in memory has nothing to evict.
_THRASH = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for _ in range(96):
    os.write(fd, os.urandom(1 << 20))
os.fsync(fd)
kept = []
while not os.path.exists(sys.argv[2]):
    for offset in range(0, os.fstat(fd).st_size, 1 << 20):
        os.pread(fd, 1 << 20, offset)
    if len(kept) < 24:
        kept.append(os.urandom(1 << 20))
"""

# Waits for a trigger inside a container, as a program would that knows nothing of ours.
_WAIT = """
import os, select
fd = os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK)
os.write(fd, b"some 50000 1000000\\0")
poll = select.poll()
poll.register(fd, select.POLLPRI)
print("waiting", flush=True)
print("fired", poll.poll()[0][1] & select.POLLPRI == select.POLLPRI, flush=True)
"""


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Mount once."""
    with mounted(tmp_path_factory.mktemp("triggers")) as made:
        yield made


def opened(instance: Instance, name: str) -> int:
    """Open the memory pressure of a container as a trigger would be."""
    key = next(path.name for path in instance.open.iterdir() if name in path.name)
    return os.open(instance.open / key / MEMORY, os.O_RDWR | os.O_NONBLOCK)


def slow_down(container: Container) -> None:
    """Throttle whoever has more than a few megabytes, where the kernel can."""
    hierarchy = discover_mounts().for_controller("memory")
    assert hierarchy is not None
    high = Path(hierarchy.directory(container.path)) / "memory.high"
    if high.exists():
        high.write_text(str(16 * MIB))


def news(fd: int, milliseconds: int) -> int:
    """Poll once."""
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    return sum(events for _, events in poll.poll(milliseconds))


def test_a_trigger_fires_for_its_own_container_only(instance: Instance, tmp_path: Path) -> None:
    """Real reclaim in one container wakes who waits there, inside and outside; nobody else is woken."""
    big, until, thrash, wait = (tmp_path / name for name in ("big", "until", "thrash.py", "wait.py"))
    thrash.write_text(_THRASH)
    wait.write_text(_WAIT)
    with (
        running(instance, "cgscope-test-busy", "--memory", "48M") as busy,
        running(instance, "cgscope-test-idle", "--memory", "48M") as idle,
    ):
        fds = {name: opened(instance, name) for name in ("cgscope-test-busy", "cgscope-test-idle")}
        for fd in fds.values():
            os.write(fd, b"some 50000 1000000")
        outputs = {one: tmp_path / one.path.rpartition("/")[2] for one in (busy, idle)}
        for container, output in outputs.items():
            output.touch()
            container.start(f"{sys.executable} {wait}", str(output))
        assert eventually(lambda: all("waiting" in output.read_text() for output in outputs.values()))
        assert news(fds["cgscope-test-busy"], 0) == 0
        slow_down(busy)
        busy.start(f"{sys.executable} {thrash} {big} {until}")
        try:
            assert news(fds["cgscope-test-busy"], 60_000) == select.POLLPRI
            assert eventually(lambda: "fired True" in outputs[busy].read_text())
        finally:
            until.touch()
        assert news(fds["cgscope-test-idle"], 0) == 0
        assert "fired" not in outputs[idle].read_text()
        for fd in fds.values():
            os.close(fd)
    assert instance.status["errors"] == {}


@pytest.mark.parametrize(
    "request_text",
    [
        b"",
        b"some",
        b"some 150000",
        b"none 150000 1000000",
        b"some 150000 499999",
        b"some 150000 10000001",
        b"some 2000000 1000000",
        b"some 0 1000000",
        b"some -1 1000000",
        b"some 150000 1000000 1",
        b"some 150000 1000000\nfull 1 1000000",
        b"some 4294967297 1000000",
        "some \u0661 1000000".encode(),  # a digit, but none of ASCII
        b"x" * 4000,
    ],
)
def test_a_wrong_trigger_is_refused(instance: Instance, request_text: bytes) -> None:
    """EINVAL, as the kernel does, whatever is written; and the file can still be given a right one."""
    with running(instance, "cgscope-test-wrong"):
        fd = opened(instance, "cgscope-test-wrong")
        try:
            if request_text:
                with pytest.raises(OSError, match="Invalid argument"):
                    os.write(fd, request_text)
            os.write(fd, b"full 150000 1000000\n")
            with pytest.raises(OSError, match="busy") as caught:
                os.write(fd, b"some 150000 1000000")
            assert caught.value.errno == errno.EBUSY
            assert os.pread(fd, 4096, 0).startswith(b"some avg10=")
        finally:
            os.close(fd)


def test_the_end_of_the_container_wakes(instance: Instance) -> None:
    """Who waits for a container that ends is told so instead of waiting for ever; the server is at rest afterwards."""
    with running(instance, "cgscope-test-ending"):
        fd = opened(instance, "cgscope-test-ending")
        os.write(fd, b"some 150000 1000000")
        assert news(fd, 0) == 0
    assert news(fd, 30_000) & select.POLLERR
    os.close(fd)
    descriptors = instance.status["descriptors"]
    assert isinstance(descriptors, int)
    assert eventually(lambda: instance.status["open_files"] == 0)


def test_other_files_take_no_writes(instance: Instance) -> None:
    """Read-only files refuse to be opened for writing."""
    with running(instance, "cgscope-test-closed") as container:
        key = next(path.name for path in instance.open.iterdir() if "cgscope-test-closed" in path.name)
        with pytest.raises(PermissionError):
            os.open(instance.open / key / "proc/uptime", os.O_RDWR)
        assert container.sh("echo x 2>/dev/null >/proc/pressure/cpu || echo refused") == "refused"
