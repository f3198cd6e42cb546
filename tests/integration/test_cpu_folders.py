"""Real tools that look at the topology, events and devices, inside a limited container, compared with what it has."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cgroup_model.mounts import discover_mounts
from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON
from tests.integration.containers import Container, Instance, mounted, running

pytestmark = pytest.mark.skipif(not NEEDS, reason=REASON)

_CPU = Path("/sys/devices/system/cpu")
_LIMIT_KIB = 96 * 1024


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """Mount once."""
    with mounted(tmp_path_factory.mktemp("folders")) as made:
        yield made


@pytest.fixture(scope="module")
def container(instance: Instance) -> Iterator[Container]:
    """Give a container of one CPU, the last one of the machine, and 96 MiB."""
    last = os.sysconf("SC_NPROCESSORS_ONLN") - 1
    with running(instance, "cgscope-test-folders", "--memory", "96M", "--cpuset", str(last)) as made:
        yield made


def test_all_ways_to_count_cpus_agree(container: Container) -> None:
    """Those that are configured, folders, lists, cpuinfo and stat."""
    assert container.sh("getconf _NPROCESSORS_CONF; getconf _NPROCESSORS_ONLN").split() == ["1", "1"]
    assert container.sh(f"ls -d {_CPU}/cpu[0-9]*") == f"{_CPU}/cpu0"
    lists = container.sh(f"cd {_CPU}; cat online possible present").split()
    assert lists == ["0", "0", "0"]
    assert container.sh("grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat").split() == ["1", "1"]


@pytest.mark.skipif(not (_CPU / "cpu0/topology/core_id").exists(), reason="this kernel describes no topology")
def test_lscpu_sees_one_core(container: Container) -> None:
    """One socket, one core, one thread; caches of one instance each; no CPU that is off line."""
    said = dict(re.findall(r"^([^:\n]+):\s+(.*)$", container.sh("LC_ALL=C lscpu"), re.MULTILINE))
    names = ("CPU(s)", "On-line CPU(s) list", "Thread(s) per core", "Core(s) per socket", "Socket(s)")
    assert [said[name] for name in names] == ["1", "0", "1", "1", "1"]
    assert "Off-line CPU(s) list" not in said
    assert all("(1 instance)" in size for name, size in said.items() if re.fullmatch(r"L\d.* cache", name))
    assert container.sh("LC_ALL=C lscpu -p=CPU,CORE,SOCKET,ONLINE").splitlines()[-1] in {"0,0,0,Y", "0,0,0,"}


@pytest.mark.skipif(not Path("/sys/devices/system/node/node0").exists(), reason="this kernel has no memory nodes")
def test_nodes_have_the_containers_memory(container: Container) -> None:
    """What numactl reads: sizes that add up to the limit, and the shown CPU on one of the nodes."""
    files = "/sys/devices/system/node/node[0-9]*"
    totals = re.findall(r"MemTotal:\s+(\d+) kB", container.sh(f"cat {files}/meminfo"))
    assert sum(map(int, totals)) == _LIMIT_KIB
    assert "".join(container.sh(f"cat {files}/cpulist").split()) == "0"


def test_vmstat_counts_the_containers_events(container: Container, tool: Callable[[str], Tool]) -> None:
    """Page faults of the container, not of the machine; pages that fit into its limit."""
    machine = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    before = dict(line.split() for line in container.sh("cat /proc/vmstat").splitlines())
    container.sh("for n in 1 2 3 4 5 6 7 8; do head -c 1000000 /dev/zero | tail -c 1 | od -An -c >/dev/null; done")
    after = dict(line.split() for line in container.sh("cat /proc/vmstat").splitlines())
    assert list(after) == list(machine)
    assert 0 < int(before["pgfault"]) < int(after["pgfault"]) < int(machine["pgfault"])
    page_kib = os.sysconf("SC_PAGE_SIZE") // 1024
    assert int(after["nr_free_pages"]) + int(after["nr_file_pages"]) <= _LIMIT_KIB // page_kib
    assert "procs" in container.tool(tool("vmstat"), "1 1")


def test_the_machines_slabs_are_out_of_reach(container: Container) -> None:
    """Root of a container cannot read what everybody allocates; the kernel has no list of its own to show."""
    hierarchy = discover_mounts().for_controller("memory")
    assert hierarchy is not None
    own = Path(hierarchy.directory(container.path)) / "memory.kmem.slabinfo"
    if own.exists() and own.read_bytes():
        pytest.skip("this kernel lists slabs for each cgroup")
    if Path("/proc/slabinfo").exists():
        assert "not supported" in container.sh("cat /proc/slabinfo 2>&1 || true")


def test_pressure_is_the_cgroups(container: Container) -> None:
    """The very text of the control file; where there is none the mount has no such file to bind."""
    core = discover_mounts().for_controller("")
    own = Path(core.directory(container.path)) / "cpu.pressure" if core is not None else None
    if own is None or not own.exists():
        assert "proc/pressure" not in container.sh("cat /proc/self/mountinfo")
        return
    container.sh("true")
    total = re.search(r"some .*total=(\d+)", container.sh("cat /proc/pressure/cpu"))
    assert total is not None
    now = re.search(r"some .*total=(\d+)", own.read_text())
    assert now is not None
    assert 0 <= int(total[1]) <= int(now[1])
