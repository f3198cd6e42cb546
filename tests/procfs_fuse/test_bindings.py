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
