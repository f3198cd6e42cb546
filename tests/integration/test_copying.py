"""Programs that ask for a file's size, or have the kernel copy it: no file is empty, cut or filled up for them."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from procfs_fuse.views import VIEWS
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON
from tests.integration.containers import Container, Instance, mounted, running

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

FILES = ("proc/stat", "proc/cpuinfo", "proc/vmstat", "proc/uptime", "proc/meminfo", "sys/devices/system/cpu/online")
PROGRAMS = (
    "cat {file}",
    "cat {file} | cat",
    "{busybox} cat {file}",
    "{busybox} cat {file} | cat",
    "cp {file} {copy} && cat {copy}",
    "{busybox} cp {file} {copy} && cat {copy}",
    "dd if={file} bs=7 status=none",
    "head -n 100000 {file}",
    "tail -n 100000 {file}",
    "tail -c 100000 {file}",
    "{busybox} tail -n 100000 {file}",
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Mount once."""
    with mounted(tmp_path_factory.mktemp("copying")) as instance:
        yield instance


@pytest.fixture(scope="module")
def container(instance: Instance) -> Iterator[Container]:
    """Give a limited container."""
    with running(instance, f"cgscope-test-copying-{os.getpid()}", "--memory", "96M", "--cpus", "1") as container:
        yield container


def shape(content: str | bytes) -> str:
    """Everything but the numbers and their width, which change between two readings."""
    text = content if isinstance(content, str) else content.decode()
    return re.sub(r" *[\d.]+", " 0", text)


def read(path: Path) -> bytes:
    """The content, by a single read where it is not huge."""
    with path.open("rb", buffering=0) as file:
        return file.read(1 << 20)


@pytest.mark.parametrize("program", PROGRAMS)
def test_copies_are_whole(container: Container, tool: Callable[[str], Tool], tmp_path: Path, program: str) -> None:
    """Whatever copies a file to a pipe or a file, with read(2), sendfile(2) or from the end, copies what is read."""
    busybox = shlex.quote(tool("busybox").path)
    for file in FILES:
        words = {"busybox": busybox, "file": f"/{file}", "copy": tmp_path / "copy"}
        copied = container.sh(program.format(**words))
        assert copied
        assert shape(copied).rstrip() == shape(container.sh(f"dd if=/{file} bs=1M status=none")).rstrip(), file


def test_the_end_of_files(container: Container) -> None:
    """What counts bytes or looks for the last lines goes by the content, not by the announced size."""
    for file in FILES:
        assert container.sh(f"wc -l < /{file}") == container.sh(f"dd if=/{file} bs=1M status=none | wc -l"), file
        assert shape(container.sh(f"tail -n 1 /{file}")) == shape(container.sh(f"cat /{file} | tail -n 1")), file
        assert abs(int(container.sh(f"wc -c < /{file}")) - len(container.sh(f"cat /{file}"))) < 40, file


def test_the_end_of_long_files_beside_short_ones(instance: Instance, container: Container) -> None:
    """A file that is long for one caller and short for another, as lxcfs' mounts have them, has each one's end."""
    files = [path for path, view in VIEWS.items() if path.startswith("proc/") and not view.CACHEABLE]
    longest = max(files, key=lambda path: len(read(instance.mountpoint / path)) if exists(instance, path) else 0)
    file = instance.mountpoint / longest
    for _ in range(5):
        container.sh(f"stat {shlex.quote(str(file))} || true")
        last = subprocess.run(["tail", "-n", "1", file], check=True, capture_output=True).stdout
        assert shape(last) == shape(read(file).splitlines(keepends=True)[-1]), longest
        assert file.stat().st_size >= len(read(file)) - 40


def exists(instance: Instance, path: str) -> bool:
    """Whether the machine has the file and can read it: some kernels have no pressure."""
    try:
        return bool(read(instance.mountpoint / path))
    except OSError:
        return False


def test_the_kernel_copies_all_or_refuses(instance: Instance, container: Container, tmp_path: Path) -> None:
    """sendfile(2) gives the whole content, or fails before the first byte, and nothing is kept for others."""
    assert container.path
    for file in FILES:
        path = instance.open / container.path.rpartition("/")[2] / file
        problem = sent(path, tmp_path / "sent")
        assert problem in {0, errno.EINVAL, errno.EIO}
        assert shape(read(tmp_path / "sent")) == ("" if problem else shape(read(path))), file
        shutil.copyfile(path, tmp_path / "copy")
        assert shape(read(tmp_path / "copy")) == shape(read(path)), file


def sent(path: Path, copy: Path) -> int:
    """Copy with sendfile(2) to the end of the file; return the error number, or 0."""
    with path.open("rb") as source, copy.open("wb") as target:
        try:
            while os.sendfile(target.fileno(), source.fileno(), None, 1 << 20):
                pass
        except OSError as refused:
            return refused.errno or errno.EIO
    return 0
