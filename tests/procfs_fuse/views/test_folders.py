"""The rules of sys/devices/system/cpu and sys/devices/system/node that docs/files.md states."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.parse import id_list
from cgroup_model.snapshot import Cpuset, Host, ShownCpus, Snapshot
from procfs_fuse.layout import Layout
from procfs_fuse.views import TREES, VIEWS
from procfs_fuse.views._cpu_numbers import as_list, as_mask, renumbered

CPU, NODE = TREES["sys/devices/system/cpu"], TREES["sys/devices/system/node"]

Scenes = dict[str, Callable[[], Snapshot]]


def files(snapshot: Snapshot, tree: str = CPU.PATH) -> dict[str, bytes]:
    """Render every file of a folder."""
    views = TREES[tree].leaves(TREES[tree].key(snapshot))
    return {view.PATH.removeprefix(f"{tree}/"): view.render(snapshot) for view in views}


def test_folders_are_the_cpus_of_cpuinfo(scenes: Scenes, scene: str) -> None:
    """Whoever counts folders counts what cpuinfo, stat and online say, and every id agrees with cpuinfo's."""
    snapshot = scenes[scene]()
    found = files(snapshot)
    folders = sorted({int(path[3:].partition("/")[0]) for path in found if re.match(r"cpu\d", path)})
    cpuinfo = VIEWS["proc/cpuinfo"].render(snapshot)
    for name, path in {"core id": "core_id", "physical id": "physical_package_id"}.items():
        ids = [int(number) for number in re.findall(rb"^%s\s*: (\d+)$" % name.encode(), cpuinfo, re.MULTILINE)]
        assert [int(found[f"cpu{number}/topology/{path}"]) for number in folders] == ids
    assert tuple(folders) == id_list(VIEWS["sys/devices/system/cpu/online"].render(snapshot))
    count = int(re.findall(rb"^cpu cores\s*: (\d+)$", cpuinfo, re.MULTILINE)[0])
    assert all(len(id_list(found[f"cpu{number}/topology/core_siblings_list"])) == count for number in folders)
    assert all(id_list(found[f"cpu{number}/topology/thread_siblings_list"]) == (number,) for number in folders)


def test_lists_and_masks_say_the_same(scenes: Scenes) -> None:
    """Every file that exists as a list and as a mask has the same CPUs in both, all of them shown."""
    found = files(scenes["cpuset-view"]())
    pairs = [(path, path.removesuffix("_list")) for path in found if path.endswith("_siblings_list")]
    pairs += [(path, path.replace("_list", "_map")) for path in found if path.endswith("index0/shared_cpu_list")]
    assert len(pairs) == 12
    for listed, masked in pairs:
        bits = int(found[masked].replace(b",", b""), 16)
        assert id_list(found[listed]) == tuple(cpu for cpu in range(4) if bits >> cpu & 1)


def test_caches_are_shared_among_shown_cpus(scenes: Scenes) -> None:
    """CPUs 62 and 63 share their first cache, 62 and 64 not even the last: they are in two sockets."""
    found = files(scenes["cpuset-view"]())
    assert found["cpu0/cache/index0/shared_cpu_list"] == b"0-1\n"
    assert found["cpu1/cache/index3/shared_cpu_list"] == b"0-1\n"
    assert found["cpu2/cache/index3/shared_cpu_list"] == b"2-3\n"


def test_nothing_of_the_machines_numbers_is_left(scenes: Scenes) -> None:
    """Which CPUs the machine keeps offline or isolated is in the machine's numbers: not shown."""
    found = files(scenes["half-quota"]())
    assert found["offline"] == found["isolated"] == b"\n"
    assert (found["smt/active"], found["smt/control"]) == (b"0\n", b"notsupported\n")
    assert found["kernel_max"] == b"8191\n"


def test_the_clock_is_cpuinfos(limited: Snapshot) -> None:
    """Psutil and lscpu read one, others the other file: kHz here, MHz there, of the CPU that is shown."""
    cpuinfo = b"processor\t: 0\ncpu MHz\t\t: 1000.000\n\nprocessor\t: 1\ncpu MHz\t\t: 2450.123\n\n"
    shown = replace(limited, host=replace(limited.host, cpuinfo=cpuinfo))
    assert files(shown)["cpu0/cpufreq/scaling_cur_freq"] == b"2450123\n"
    silent = replace(limited, host=replace(limited.host, cpuinfo=b"processor\t: 1\n\n"))
    assert files(silent)["cpu0/cpufreq/scaling_cur_freq"] == b"1234567\n"


def test_a_machine_without_the_folder(limited: Snapshot) -> None:
    """Without sysfs there is nothing to renumber, and nothing that fails."""
    bare = replace(limited, host=Host())
    assert files(bare) == files(bare, NODE.PATH) == {}


@pytest.mark.parametrize(
    ("cpus", "count", "expected"),
    [
        ((0,), 1, b"1\n"),
        ((0, 1), 2, b"3\n"),
        ((4,), 5, b"10\n"),
        ((0, 31), 32, b"80000001\n"),
        ((32,), 33, b"1,00000000\n"),
        ((0, 127), 128, b"80000000,00000000,00000000,00000001\n"),
        ((), 8, b"00\n"),
    ],
)
def test_masks_are_the_kernels(cpus: tuple[int, ...], count: int, expected: bytes) -> None:
    """Groups of 32 bits, the first as short as the number of CPUs allows."""
    assert as_mask(cpus, count) == expected


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300), min_size=1))
def test_renumbering_keeps_who_is_shown(listed: set[int], shown: set[int]) -> None:
    """The i-th shown CPU is i; whoever is not shown disappears."""
    physical = tuple(sorted(shown))
    numbers = renumbered(as_list(sorted(listed)), physical)
    assert {physical[number] for number in numbers} == listed & shown


def test_a_garbled_list_is_nobody(limited: Snapshot) -> None:
    """A list that is none names no CPU; a cache is then its own CPU's alone."""
    assert limited.cpus is not None
    assert renumbered(b"3-1,x\n", (1, 2)) == ()


# ------------------------------------------------------------------------------------------------ nodes


def test_nodes_are_those_of_the_cpuset(scenes: Scenes) -> None:
    """With the machine's numbers, their shown CPUs in the container's, and distances among themselves."""
    found = files(scenes["cpuset-view"](), NODE.PATH)
    assert found["online"] == found["possible"] == found["has_memory"] == b"1\n"
    assert {path.partition("/")[0] for path in found if "/" in path} == {"node1"}
    assert found["node1/cpulist"] == b"2-3\n"
    assert found["node1/cpumap"] == b"c\n"
    assert found["node1/distance"] == b"10\n"


def test_without_a_cpuset_all_nodes_are_there(scenes: Scenes) -> None:
    """A node without shown CPUs has memory all the same; a cpuset that names no node says nothing."""
    for cpuset in (None, Cpuset(mems_effective=()), Cpuset(mems_effective=None)):
        found = files(replace(scenes["half-quota"](), cpuset=cpuset), NODE.PATH)
        assert found["online"] == b"0-1\n"
        assert (found["node0/cpulist"], found["node1/cpulist"]) == (b"0\n", b"\n")
        assert found["has_cpu"] == b"0\n"


def test_the_nodes_memory_adds_up(scenes: Scenes, scene: str) -> None:
    """Every line of all nodes together is that line of meminfo; used is what is not free."""
    snapshot = scenes[scene]()
    whole = dict(re.findall(rb"^(\S+): +(\d+)", VIEWS["proc/meminfo"].render(snapshot), re.MULTILINE))
    sums: dict[bytes, int] = {}
    for path, content in files(snapshot, NODE.PATH).items():
        if path.endswith("/meminfo"):
            for name, value in re.findall(rb"^Node \d+ (\S+): +(\d+)", content, re.MULTILINE):
                sums[name] = sums.get(name, 0) + int(value)
    for name in (b"MemTotal", b"MemFree", b"AnonPages", b"Active(file)", b"SwapCached"):
        assert sums[name] == int(whole[name])
    assert sums[b"MemUsed"] == sums[b"MemTotal"] - sums[b"MemFree"]
    assert sums[b"FilePages"] == sum(int(whole[part]) for part in (b"Cached", b"Buffers", b"SwapCached"))


# ----------------------------------------------------------------------------------------------- layout


def test_node_ids_of_a_large_machine_are_stable_and_distinct(scenes: Scenes) -> None:
    """A CPU more does not move the files of the others, and no two files of 128 CPUs share an index."""
    snapshot = scenes["half-quota"]()
    layout = Layout(VIEWS.values(), TREES.values())

    def paths(count: int) -> dict[str, int]:
        cpus = ShownCpus(tuple(range(count)), tuple(range(count)), None)
        items = layout.grown(CPU, CPU.key(replace(snapshot, cpus=cpus)))
        assert all(index == item.index for index, item in items.items())
        return {item.path: index for index, item in items.items()}

    many, few = paths(128), paths(127)
    assert len(many) > 2000
    assert {path: many[path] for path in few} == few
    assert many["sys/devices/system/cpu/online"] in layout.items
