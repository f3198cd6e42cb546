"""systemd-nspawn without a systemd that runs: in a scope of the test's own, as machined would make it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cgroup_model.control import Limits, add_process, apply, create
from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, PATIENCE_SECONDS, REASON, CommandLine, eventually
from tests.integration.engines import oci_runtime, rootfs, truth
from tests.integration.engines.watching import Watch, watching

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE, pytest.mark.long]

PARENT = f"/cgscope-nspawn-{os.getpid()}"
SCOPE = f"{PARENT}/machine.slice/machine-box.scope"
_ALONE = ("--register=no", "--keep-unit", "--quiet", "--private-network", "--console=pipe", "--as-pid2")
_WAITS = ("sh", "-c", 'mount -t tmpfs none /run && read line && exec "$@"', "sh")
"""Nothing of nspawn's is left in the machine's /run; and it is in its cgroup before it starts."""


@pytest.fixture
def scope() -> Iterator[str]:
    """A cgroup with limits; whoever is in there is killed at last."""
    mounts = discover_mounts()
    for path in (PARENT, os.path.dirname(SCOPE), SCOPE):
        create(mounts, path)
    apply(mounts, SCOPE, Limits(memory_bytes=truth.LIMITS.memory_bytes, cpus=truth.LIMITS.cpus, pids=truth.LIMITS.pids))
    yield SCOPE
    oci_runtime.discard(PARENT)


@pytest.fixture
def root(tmp_path: Path, tool: Callable[[str], Tool]) -> Path:
    """A root file system of the test's own: nspawn writes into it, and wants to know what it is."""
    root = rootfs.build(tmp_path / "root", tool)
    (root / "usr/lib").mkdir(exist_ok=True)
    (root / "usr/lib/os-release").write_text("ID=test\n")
    return root


@pytest.mark.parametrize("options", [(), ("--private-users=100000:65536",)], ids=["plain", "user-namespace"])
def test_a_machine_is_attached_by_itself(
    options: tuple[str, ...], scope: str, root: Path, tool: Callable[[str], Tool], instance: CommandLine
) -> None:
    """A machine of systemd-nspawn's is known by its scope, and shown its limits, also with a user namespace."""
    nspawn = tool("systemd-nspawn")
    words = [
        "unshare",
        "--mount",
        *_WAITS,
        nspawn.path,
        *_ALONE,
        *options,
        "--directory",
        str(root),
        "/bin/sleep",
        "3600",
    ]
    with watching(instance) as watch:
        machine = subprocess.Popen(words, env=dict(nspawn.env), stdin=subprocess.PIPE)
        try:
            add_process(discover_mounts(), scope, machine.pid)
            _let_go(machine)
            assert eventually(partial(watch.knows, scope))
            truth.shown(partial(_sh, _pid(watch, scope)), truth.Limits(cpuset=_all_cpus()), path=scope)
        finally:
            machine.send_signal(signal.SIGTERM)  # it ends its machine
            machine.wait(PATIENCE_SECONDS)


def _let_go(machine: subprocess.Popen[bytes]) -> None:
    assert machine.stdin is not None
    with machine.stdin as stdin:
        stdin.write(b"go\n")


def _all_cpus() -> str:
    return ",".join(map(str, range(os.cpu_count() or 1)))


def _pid(watch: Watch, scope: str) -> int:
    return next(int(one["pid"]) for one in watch.report["containers"] if one["cgroup"] == scope)


def _sh(pid: int, command: str) -> str:
    """Output of a shell command in the machine, which must succeed."""
    enter = ["nsenter", "-t", str(pid), "-m", "-p", "-r", "--", "/bin/sh", "-c", command]
    done = subprocess.run(
        enter, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env={"PATH": "/bin:/usr/bin"}
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
