"""Which file is bound where."""

from __future__ import annotations

from pathlib import Path

from procfs_fuse.bindings import READ_ONLY, WRITABLE, Binding, of_container


def test_every_file_of_a_tree_is_bound_over_its_path(tmp_path: Path) -> None:
    """Files and links to files are bound one by one, directories are not; only pressure files may be written."""
    for path in ("proc/pressure", "sys/devices/system/cpu"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "proc/meminfo").touch()
    (tmp_path / "proc/pressure/cpu").touch()
    (tmp_path / "sys/devices/system/cpu/online").symlink_to("/elsewhere/that/is/not/there")
    assert of_container(str(tmp_path)) == [
        Binding(f"{tmp_path}/proc/meminfo", "/proc/meminfo", READ_ONLY),
        Binding(f"{tmp_path}/proc/pressure/cpu", "/proc/pressure/cpu", WRITABLE),
        Binding(f"{tmp_path}/sys/devices/system/cpu/online", "/sys/devices/system/cpu/online", READ_ONLY),
    ]


def test_of_a_block_device_only_its_stat_is_bound(tmp_path: Path) -> None:
    """Our folder of devices lacks most of the machine's files, so it must not hide that one."""
    (tmp_path / "elsewhere/loop-none").mkdir(parents=True)
    (tmp_path / "elsewhere/loop-none/stat").touch()
    tree = tmp_path / "tree"
    (tree / "sys/class").mkdir(parents=True)
    (tree / "sys/class/block").symlink_to(tmp_path / "elsewhere")
    (binding,) = of_container(str(tree))
    assert binding == Binding(f"{tree}/sys/class/block/loop-none/stat", "/sys/class/block/loop-none/stat", READ_ONLY)


def test_links_are_bound_as_what_they_lead_to(tmp_path: Path) -> None:
    """Files of the other connection are named where they are: the kernel need not ask for each link."""
    tree, other = tmp_path / "tree", tmp_path / "other"
    (tree / "proc").mkdir(parents=True)
    (tree / "proc/meminfo").touch()
    for name in ("stat", "uptime"):
        (tree / "proc" / name).symlink_to(other / "proc" / name)
    assert [one.source for one in of_container(str(tree))] == [
        f"{tree}/proc/meminfo",
        f"{other}/proc/stat",
        f"{other}/proc/uptime",
    ]
