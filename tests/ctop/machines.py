"""Recorded machines as ctop sees them: two looks, a second apart, through the readers that it has on a real one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from cgroup_model.snapshot import Need
from ctop.live import Live
from ctop.scene import Scene
from tests.ctop.scenes import NOON
from tests.scenes import unpack

_NUMBER: Final = re.compile(rb"[0-9]+")


class Recorded:
    """A recorded machine in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        unpack(name, folder)
        self.folder = folder
        self._uptime = float(folder.joinpath("proc/uptime").read_text("ascii").split()[0])
        self._passed = 0.0

    def live(self) -> Live:
        """Return what looks at it."""
        root = self.folder
        return Live(
            proc_root=str(root / "proc"),
            sys_root=str(root / "sys"),
            fs_root=str(root / "root"),
            clock=lambda: self._uptime + self._passed,
            wall=lambda: NOON + self._passed,
        )

    def a_second_passes(self, work: float = 1.0) -> None:
        """Let cgroups use the CPU, some more than others, and read and write; ``work`` times as much as usual."""
        self._passed += 1.0
        for number, path in enumerate(sorted(self.folder.glob("sys/fs/cgroup/**/*"))):
            step = _STEPS.get(path.name)
            if step is not None:
                path.write_bytes(step(path.read_bytes(), work * (1 + number % 7)))

    def scene(self, needs: Need = ~Need.NOTHING) -> Scene:
        """Return what the second look at everything shows."""
        live = self.live()
        try:
            first = live.survey(frozenset({"cpu"}), Need.NOTHING)
            live.look(first, list(first.entries), needs, network=True)
            self.a_second_passes()
            second = live.survey(frozenset({"cpu"}), Need.NOTHING)
            second = live.look(second, list(second.entries), needs, network=True)
        finally:
            live.close()
        return replace(second, hostname="host")

    def name_pods(self) -> None:
        """Add what the kubelet leaves in /var/log, for the ids and UUIDs that the recorded cgroups have."""
        logs = self.folder / "root/var/log"
        uuid = "{0}{0}{0}{0}-{0}{0}-{0}{0}-{0}{0}-{0}{0}{0}{0}{0}{0}"
        for pod, number in (("nightly_batch", "01"), ("shop-0_prod", "03")):
            name, namespace = pod.split("_")
            (logs / f"pods/{namespace}_{name}_{uuid.format(number)}").mkdir(parents=True)
        (logs / "containers").mkdir(exist_ok=True)
        for name, number in (("nightly_batch_job", "02"), ("shop-0_prod_database", "04"), ("shop-0_prod_web", "05")):
            (logs / f"containers/{name}-{number * 32}.log").touch()

    def multiply(self, cgroup: str, count: int) -> None:
        """Copy a leaf cgroup of the unified hierarchy; what the default columns need."""
        source = self.folder / "sys/fs/cgroup" / cgroup
        for number in range(count):
            copy = source.with_name(f"{number:064x}")
            copy.mkdir()
            for name in _COPIED:
                shutil.copyfile(source / name, copy / name)
            (copy / "memory.current").write_text(f"{(number + 1) << 20}\n", "ascii")


def _plus(steps: dict[bytes, int]) -> Callable[[bytes, float], bytes]:
    """Add to the number of each line that begins with a word; "" is the beginning of any."""

    def add(content: bytes, times: float) -> bytes:
        def line(text: bytes) -> bytes:
            more = next((int(step * times) for word, step in steps.items() if text.startswith(word)), 0)
            return _NUMBER.sub(lambda found: str(int(found[0]) + more).encode(), text, count=1)

        return b"".join(line(text) for text in content.splitlines(keepends=True))

    return add


def _device_bytes(content: bytes, times: float) -> bytes:
    more = int(4096 * times)
    return re.sub(rb"\b([rw]bytes|[rw]ios)=([0-9]+)", lambda f: b"%s=%d" % (f[1], int(f[2]) + more), content)


_STEPS: Final[dict[str, Callable[[bytes, float], bytes]]] = {
    "cpu.stat": _plus({b"usage_usec": 50_000, b"user_usec": 35_000, b"system_usec": 15_000}),
    "cpuacct.usage": _plus({b"": 50_000_000}),
    "cpuacct.stat": _plus({b"user": 3, b"system": 2}),
    "io.stat": _device_bytes,
}
_COPIED: Final = (
    "cgroup.events", "cgroup.procs", "cgroup.stat", "cgroup.freeze", "cgroup.threads", "cgroup.controllers",
    "cpu.stat", "cpu.max", "cpu.pressure", "cpuset.cpus.effective", "io.stat", "io.pressure",
    "memory.current", "memory.max", "memory.high", "memory.stat", "memory.events", "memory.pressure",
    "memory.swap.current", "memory.swap.max", "pids.current", "pids.max",
)  # fmt: skip
