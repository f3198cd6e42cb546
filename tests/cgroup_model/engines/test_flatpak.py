"""Flatpak's files are its user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cgroup_model.engines import Resolver

SCOPE = "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.example.App-4711.scope"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
@pytest.mark.parametrize(("owner", "runtime"), [(1000, "org.gnome.Platform/x86_64/46"), (1001, None)])
def test_the_runtime_is_read_from_the_users_own_files(tmp_path: Path, owner: int, runtime: str | None) -> None:
    """The instance whose process the scope is named after tells; a file of somebody else tells nothing."""
    etc = tmp_path / "etc"
    etc.mkdir()
    etc.joinpath("passwd").write_text("alice:x:1000:1000::/home/alice:/bin/sh\n")
    for instance, pid, version in (("1", "4710", 45), ("2", "4711", 46)):
        folder = tmp_path / f"run/user/1000/.flatpak/{instance}"
        folder.mkdir(parents=True)
        folder.joinpath("pid").write_text(pid)
        folder.joinpath("info").write_text(f"[Application]\nruntime=runtime/org.gnome.Platform/x86_64/{version}\n")
        for file in folder.iterdir():
            os.chown(file, owner, owner)
    identity = Resolver(str(tmp_path)).identify(SCOPE, 1)
    assert (identity.engine, identity.name, identity.image) == ("flatpak", "org.example.App", runtime)
