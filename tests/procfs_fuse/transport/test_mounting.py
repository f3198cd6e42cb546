"""Finding mounts in mountinfo and descriptors in fdinfo, without a mount."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from procfs_fuse.transport import mounting

MOUNTINFO = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:40 / {dir}/odd\040na\134me rw,nosuid - fuse.procfs-fuse procfs-fuse rw,user_id=0
41 22 0:41 / {dir}/covered rw shared:7 master:1 - fuse.procfs-fuse a\040b rw
42 41 0:42 / {dir}/covered rw - tmpfs tmpfs rw
43 22 0:40 /proc/stat /container/proc/stat rw - fuse.procfs-fuse procfs-fuse rw
44 22 0:44 / {dir}/other rw - fuse.sshfs host: rw
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a made-up /proc with mountinfo."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(MOUNTINFO.format(dir=tmp_path))
    return tmp_path


def test_mount_at(proc: Path) -> None:
    """A mount point is found by its path, escapes undone, with what it shows of which file system."""
    found = mounting.mount_at(f"{proc}/odd na\\me/", str(proc))
    assert found == (40, "0:40", "/", f"{proc}/odd na\\me", mounting.FSTYPE, "procfs-fuse")
    assert found.is_ours
    assert found.connection == 40


def test_the_topmost_mount_counts(proc: Path) -> None:
    """Of several mounts on one path the last one is what a user meets there."""
    covered = mounting.mount_at(f"{proc}/covered", str(proc))
    assert covered is not None
    assert not covered.is_ours
    assert covered.fstype == "tmpfs"


def test_other_paths(proc: Path) -> None:
    """A path that is no mount point gives None; other FUSE file systems are not ours."""
    assert mounting.mount_at(f"{proc}/self", str(proc)) is None
    other = mounting.mount_at(f"{proc}/other", str(proc))
    assert other is not None
    assert not other.is_ours


def test_links_are_followed(proc: Path) -> None:
    """Symbolic links lead to the mount, the last component included; a loop of them is an error, not a hang."""
    (proc / "link").symlink_to("odd na\\me")
    (proc / "again").symlink_to(proc / "link")
    (proc / "up").symlink_to(proc)
    for path in ("again", "up/link", "self/../link"):
        found = mounting.mount_at(f"{proc}/{path}", str(proc))
        assert found is not None
        assert found.mount_id == 40
    (proc / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop") as caught:
        mounting.mount_at(f"{proc}/loop", str(proc))
    assert caught.value.errno == errno.ELOOP


def test_mounts_of_the_same_connection(proc: Path) -> None:
    """All binds of one file system are found by its device number."""
    assert [mount.mountpoint for mount in mounting.mounts(str(proc)) if mount.connection == 40] == [
        f"{proc}/odd na\\me",
        "/container/proc/stat",
    ]


def holder(proc: Path, pid: int, fdinfo: str) -> None:
    """Add a process that holds a /dev/fuse descriptor."""
    (proc / f"{pid}/fd").mkdir(parents=True)
    (proc / f"{pid}/fdinfo").mkdir()
    (proc / f"{pid}/fd/3").symlink_to("/dev/fuse")
    (proc / f"{pid}/fdinfo/3").write_text(fdinfo)


def test_live_connections(proc: Path) -> None:
    """Connections are alive whose descriptor is held; nobody holding any means that none is."""
    assert mounting.live_connections(str(proc)) == frozenset()
    holder(proc, 12, "pos:\t0\nflags:\t02100002\nfuse_connection:\t40\n")
    holder(proc, 13, "pos:\t0\nflags:\t02100002\n")
    assert mounting.live_connections(str(proc)) == frozenset({40})


def test_live_connections_on_an_older_kernel(proc: Path) -> None:
    """Where fdinfo does not name the connection, it is unknown, not "none"."""
    holder(proc, 13, "pos:\t0\nflags:\t02100002\n")
    assert mounting.live_connections(str(proc)) is None


def test_missing_device(tmp_path: Path) -> None:
    """Without /dev/fuse the error names the device and says what to do."""
    with pytest.raises(FileNotFoundError, match="modprobe fuse") as caught:
        mounting.open_device(str(tmp_path / "fuse"))
    assert caught.value.filename == str(tmp_path / "fuse")


def test_unmounting_what_is_not_mounted(tmp_path: Path) -> None:
    """Unmounting a plain directory says so, or that root is needed."""
    expected = "nothing is mounted" if os.geteuid() == 0 else "root"
    with pytest.raises(OSError, match=expected):
        mounting.unmount(str(tmp_path))
