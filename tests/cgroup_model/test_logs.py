"""Where engines keep containers' logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cgroup_model.engines import Identity
from cgroup_model.logs import find_log

ID = "a1" * 32
WEB = Identity("docker", ID, "web", ID[:12])


@pytest.mark.parametrize(
    ("settings", "data_root"),
    [(None, "var/lib/docker"), ("{", "var/lib/docker"), (json.dumps({"data-root": "/data"}), "data")],
)
def test_docker_keeps_logs_below_its_data_root(tmp_path: Path, settings: str | None, data_root: str) -> None:
    """daemon.json says where that is; without it, or when it cannot be understood, it is the usual place."""
    if settings is not None:
        (tmp_path / "etc/docker").mkdir(parents=True)
        (tmp_path / "etc/docker/daemon.json").write_text(settings)
    assert find_log(WEB, str(tmp_path)) is None
    log = tmp_path / data_root / f"containers/{ID}/{ID}-json.log"
    log.parent.mkdir(parents=True)
    log.write_text("")
    assert find_log(WEB, str(tmp_path)) == str(log)


def test_links_are_followed_inside_of_the_root(tmp_path: Path) -> None:
    """A machine's /var/lib/docker is often a link to another disk; seen from a container it leads below its root."""
    log = tmp_path / f"mnt/docker/containers/{ID}/{ID}-json.log"
    log.parent.mkdir(parents=True)
    log.write_text("")
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "var/lib/docker").symlink_to("/mnt/docker")
    assert find_log(WEB, str(tmp_path)) == str(log)
    (tmp_path / "var/lib/docker").unlink()
    (tmp_path / "var/lib/docker").symlink_to("docker")
    assert find_log(WEB, str(tmp_path)) is None
