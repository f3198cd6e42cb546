"""Who serves what: records, locks and the choice of an instance."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cgscope.errors import Failure, UsageError
from procfs_fuse.instances import (
    DEFAULT_MOUNTPOINT,
    FILE_SYSTEM,
    Claim,
    Instance,
    Registry,
    canonical,
    private_directory,
)
from procfs_fuse.transport import mounting


def served(registry: Registry, mountpoint: str, *, automatic: bool = False) -> Claim:
    """An instance of this process."""
    claim = Claim(registry.directory_for(mountpoint))
    claim.publish(Instance(claim.directory, mountpoint, os.getpid(), time.time(), automatic=automatic))
    return claim


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A state directory of its own."""
    registry = Registry(str(tmp_path / "state"))
    private_directory(registry.base)
    return registry


def test_file_system_is_known_by_its_type() -> None:
    """Two modules know the type of our mounts, so that the launcher need not import the server."""
    assert FILE_SYSTEM == mounting.FSTYPE


def test_default_instance_is_in_the_base(registry: Registry) -> None:
    """The documented paths are those of the default mount point; others get a folder each."""
    assert registry.directory_for(DEFAULT_MOUNTPOINT) == registry.base
    others = {registry.directory_for(place) for place in ("/a/b", "/a%2Fb", "/a_b", "/" + "x" * 300)}
    assert len(others) == 4
    assert {os.path.dirname(path) for path in others} == {f"{registry.base}/instances"}


def test_environment_names_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option wins over the environment, the environment over the default."""
    monkeypatch.setenv("CGSCOPE_STATE_DIR", str(tmp_path))
    assert Registry().base == str(tmp_path)
    assert Registry("/elsewhere").base == "/elsewhere"
    monkeypatch.delenv("CGSCOPE_STATE_DIR")
    assert Registry().base == "/run/procfs-fuse"


def test_only_instance_is_chosen(registry: Registry) -> None:
    """One instance needs no name, two do, and a name finds it whatever way it is written."""
    first = served(registry, "/mnt/one")
    assert registry.select(None).mountpoint == "/mnt/one"
    second = served(registry, "/mnt/two")
    with pytest.raises(UsageError, match="/mnt/one, /mnt/two"):
        registry.select(None)
    assert registry.select("/mnt/../mnt/two/").mountpoint == "/mnt/two"
    first.release()
    assert registry.select(None).mountpoint == "/mnt/two"
    second.release()
    with pytest.raises(Failure, match="procfs-fuse mount"):
        registry.select(None)


def test_mounted_instance_is_preferred_to_an_automatic_one(registry: Registry) -> None:
    """What `run` started by itself never makes a choice necessary."""
    automatic = served(registry, registry.automatic_mountpoint, automatic=True)
    assert registry.select(None).automatic
    mounted = served(registry, "/mnt/one")
    assert registry.select(None).mountpoint == "/mnt/one"
    mounted.release()
    automatic.release()


def test_one_server_for_a_mount_point(registry: Registry) -> None:
    """A second claim is refused with the name of the first."""
    claim = served(registry, "/mnt/one")
    with pytest.raises(Failure, match=f"/mnt/one is already served by procfs-fuse, process {os.getpid()}"):
        Claim(registry.directory_for("/mnt/one"))
    claim.release()
    Claim(registry.directory_for("/mnt/one")).release()


def test_record_of_a_killed_server_is_dead(registry: Registry) -> None:
    """The lock tells, not the process id: here the id of a process that lives."""
    script = (
        "import os, sys; from procfs_fuse.instances import Claim, Instance;"
        f"claim = Claim(sys.argv[1]); claim.publish(Instance(sys.argv[1], '/mnt/one', {os.getpid()}, 0.0)); os._exit(9)"
    )
    words = [sys.executable, "-c", script, registry.directory_for("/mnt/one")]
    assert subprocess.run(words, check=False).returncode == 9
    (dead,) = registry.recorded()
    assert not dead.alive
    assert registry.alive() == []
    assert registry.find("/mnt/one") == dead


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"pid": 1}', '{"surplus": 1}', "\ud800"])
def test_damaged_records_are_nobodys(registry: Registry, content: str) -> None:
    """A record that cannot be understood is as good as none."""
    path = Path(private_directory(registry.directory_for(DEFAULT_MOUNTPOINT)), "instance.json")
    path.write_text(content, encoding="utf-8", errors="surrogatepass")
    assert registry.recorded() == []


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """Neither are symbolic links followed, which somebody else may have made."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(Failure, match="state-dir"):
        private_directory(str(tmp_path / "open"))
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("mine")
    with pytest.raises(Failure, match="state-dir"):
        private_directory(str(tmp_path / "link"))


def test_canonical_follows_links(tmp_path: Path) -> None:
    """A mount point has one name, whichever way leads to it; a loop of links is no reason to hang."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert canonical(str(tmp_path / "link/mount")) == str(tmp_path / "real/mount")
    (tmp_path / "relative").symlink_to("link/../link")
    assert canonical(str(tmp_path / "link")) == canonical(str(tmp_path / "relative")) == str(tmp_path / "real")
    assert canonical(str(tmp_path / "link/missing")) == str(tmp_path / "real/missing")
    (tmp_path / "loop").symlink_to("loop")
    assert canonical(str(tmp_path / "loop")) == str(tmp_path / "loop")


def test_state_of_what_ended_is_removed(registry: Registry) -> None:
    """Nothing is left of an instance that was unmounted; the next one at that place finds room."""
    claim = served(registry, "/mnt/one")
    Path(claim.directory, "lives").touch()
    Path(claim.directory, "containers").mkdir()
    claim.release()
    assert not os.path.exists(claim.directory)
    again = served(registry, "/mnt/one")
    assert registry.select(None).mountpoint == "/mnt/one"
    again.release()
