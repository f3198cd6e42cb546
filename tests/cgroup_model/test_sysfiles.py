"""Files of sysfs about CPUs and memory nodes."""

from __future__ import annotations

from pathlib import Path

from cgroup_model.sysfiles import cpu_tree, node_tree


def write(root: Path, **files: str) -> None:
    """Write files by path; ``__`` stands for a slash."""
    for name, content in files.items():
        path = root / "devices" / "system" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_known_files_are_read_raw(tmp_path: Path) -> None:
    """Folders of CPUs, caches and what is said of all; nothing of drivers and controls that nobody asked for."""
    write(tmp_path, cpu__cpu0__topology__core_id="0\n", cpu__cpu0__cache__index0__level="1\n", cpu__kernel_max="255\n")
    write(tmp_path, cpu__cpu0__cpuidle__state0__name="POLL\n", cpu__cpufreq__boost="1\n", cpu__cpu0__uevent="x\n")
    read = cpu_tree(str(tmp_path)).read(0)
    assert read is not None
    assert read.files == {"cpu0/topology/core_id": b"0\n", "cpu0/cache/index0/level": b"1\n", "kernel_max": b"255\n"}


def test_a_policy_is_read_through_its_link(tmp_path: Path) -> None:
    """CPUs with a common clock have a link to it; other links, which may lead anywhere, are left alone."""
    write(tmp_path, cpu__cpufreq__policy0__cpuinfo_max_freq="9\n", cpu__cpu1__topology__core_id="1\n")
    folder = tmp_path / "devices" / "system" / "cpu" / "cpu1"
    (folder / "cpufreq").symlink_to("../cpufreq/policy0")
    (folder / "topology" / "loop").symlink_to("..")
    read = cpu_tree(str(tmp_path)).read(0)
    assert read is not None
    assert read.files == {"cpu1/cpufreq/cpuinfo_max_freq": b"9\n", "cpu1/topology/core_id": b"1\n"}


def test_it_is_read_again_when_the_machine_changed(tmp_path: Path) -> None:
    """The very same object until the version is another: what is derived from it can be kept."""
    write(tmp_path, node__online="0\n", node__node0__cpulist="0\n", node__node0__compact="", node__power__control="x")
    tree = node_tree(str(tmp_path))
    first = tree.read(1)
    write(tmp_path, node__node0__cpulist="0-1\n")
    assert first is not None
    assert tree.read(1) is first
    again = tree.read(2)
    assert again is not None
    assert again.files == {"online": b"0\n", "node0/cpulist": b"0-1\n"}
    assert again != first


def test_a_machine_without_sysfs(tmp_path: Path) -> None:
    """Is one that says nothing."""
    assert cpu_tree(str(tmp_path)).read(0) is None
