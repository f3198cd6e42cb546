"""`procfs-fuse install`: what is written for each engine, without any engine."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgscope.errors import Failure
from procfs_fuse.cli import main
from procfs_fuse.integrations.install import ENGINES, docker, edits
from procfs_fuse.integrations.install.edits import Installation, change

CTR = '#!/bin/sh\necho \'{"ociVersion": "1.0.2", "hooks": {}, "process": {"cwd": "/"}}\'\n'


@pytest.fixture(autouse=True)
def ctr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containerd's client, as far as it is asked: where there is a real one, that."""
    if shutil.which("ctr") is None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/ctr").write_text(CTR)
        (tmp_path / "bin/ctr").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def install(engine: str, root: Path, *options: str) -> int:
    """Call the command for a tree of the test's own."""
    return main(["install", "--engine", engine, "--root", str(root), *options])


def tree(root: Path) -> dict[str, str]:
    """All files and what is in them."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("engine", ENGINES)
def test_install_is_idempotent_and_reversible(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second install changes nothing, and uninstall leaves what was there before, which is nothing."""
    root = tmp_path / "root"
    root.mkdir()
    assert install(engine, root, "--dry-run") == 0
    assert tree(root) == {}
    assert "+++ " in capsys.readouterr().out
    assert install(engine, root) == 0
    written = tree(root)
    assert written
    assert install(engine, root) == 0
    assert tree(root) == written
    assert "nothing to do" in capsys.readouterr().out
    assert install(engine, root, "--uninstall") == 0
    assert tree(root) == {}


@pytest.mark.parametrize(
    ("engine", "path", "text"),
    [
        (
            "docker",
            "etc/docker/daemon.json",
            '{\n  "data-root": "/srv",\n  "runtimes": {\n    "x": {\n      "path": "/x"\n    }\n  }\n}\n',
        ),
        ("docker", "etc/docker/daemon.json", '{\n\t"log-driver": "journald"\n}'),
        ("docker", "etc/docker/daemon.json", '{"debug": true}\n'),
        (
            "containerd",
            "etc/containerd/config.toml",
            'version = 2\n# mine\n[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "p"\n',
        ),
        ("containerd", "etc/containerd/config.toml", "version = 3\n"),
    ],
)
def test_files_of_others_are_merged_and_given_back(engine: str, path: str, text: str, tmp_path: Path) -> None:
    """Settings that were there stay there; after uninstall the file is the same, byte by byte, mode included."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(0o640)
    assert install(engine, tmp_path) == 0
    parse = json.loads if engine == "docker" else tomllib.loads
    before, after = parse(text), parse(file.read_text())
    assert after != before
    assert {**after, **before, "runtimes": 0, "plugins": 0} == {**after, "runtimes": 0, "plugins": 0}
    assert file.stat().st_mode & 0o777 == 0o640
    assert install(engine, tmp_path, "--uninstall") == 0
    assert file.read_text() == text


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"runtimes": []}', b'{"runtimes": {"x": 1}}', b"// mine\n{}", b'"\xff"']
)
def test_a_file_that_is_not_understood_is_left_alone(
    text: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A broken daemon.json is told and not touched."""
    file = tmp_path / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    assert install("docker", tmp_path) == 1
    assert file.read_bytes() == text
    assert "daemon.json" in capfd.readouterr().err


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What a link leads to is changed; a link out of the tree is not followed."""
    file, target = tmp_path / "etc/docker/daemon.json", tmp_path / "srv/docker.json"
    for one in (file, target):
        one.parent.mkdir(parents=True)
    target.write_text('{"debug": true}\n')
    file.symlink_to("../../srv/docker.json")
    assert install("docker", tmp_path) == 0
    assert file.is_symlink()
    assert "procfs-fuse" in target.read_text()
    assert install("docker", tmp_path, "--uninstall") == 0
    assert target.read_text() == '{"debug": true}\n'
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.write_text("{}")
    file.unlink()
    file.symlink_to(outside)
    assert install("docker", tmp_path) == 1
    assert outside.read_text() == "{}"


@pytest.mark.parametrize("default", ["crun", "runc"])
def test_the_default_runtime_is_used_and_given_back(default: str, tmp_path: Path) -> None:
    """With --default ours is in front of what was the default, arguments included; uninstall makes that it again."""
    file = tmp_path / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    settings = {"default-runtime": default, "runtimes": {"crun": {"path": "/opt/crun", "runtimeArgs": ["--debug"]}}}
    file.write_text(json.dumps(settings, indent=2))
    before = file.read_text()
    for _ in range(2):
        assert install("docker", tmp_path, "--default") == 0
        document = json.loads(file.read_text())
        words = document["runtimes"]["procfs-fuse"]["runtimeArgs"]
        real = ["--runtime", "/opt/crun", "--", "--debug"] if default == "crun" else ["--runtime", "runc", "--"]
        assert words[words.index("--runtime") :] == real
        assert document["default-runtime"] == "procfs-fuse"
    assert install("docker", tmp_path, "--uninstall") == 0
    assert file.read_text() == before


def test_a_default_runtime_without_a_program_is_not_replaced(tmp_path: Path) -> None:
    """A shim of containerd's can be no runtime behind ours."""
    file = tmp_path / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"default-runtime": "io.containerd.kata.v2"}')
    assert install("docker", tmp_path, "--default") == 1
    assert install("docker", tmp_path) == 0
    assert json.loads(file.read_text())["default-runtime"] == "io.containerd.kata.v2"


def test_taking_back_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where containerd is gone, or its configuration broken since, our files and lines can be removed all the same."""
    root = tmp_path / "root"
    assert install("containerd", root) == 0
    file = root / "etc/containerd/config.toml"
    file.write_text("[[" + file.read_text())
    monkeypatch.setenv("PATH", "")
    assert install("containerd", root, "--uninstall") == 0
    assert tree(root) == {"etc/containerd/config.toml": "[[version = 2\n"}


@pytest.mark.parametrize(
    ("settings", "runtimes"),
    [
        ("", {"runc", "procfs-fuse"}),
        ("runtimes.runc.runtime_type = 'mine'", {"runc", "procfs-fuse"}),
        ("default_runtime_name = 'crun'\nruntimes.crun.runtime_type = 'mine'", {"crun", "procfs-fuse"}),
    ],
)
def test_containerds_default_runtime_stays(settings: str, runtimes: set[str], tmp_path: Path) -> None:
    """With any runtime configured containerd forgets the one that it has by itself, and CRI would be no more."""
    file = tmp_path / "etc/containerd/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n{settings}\n')
    for _ in range(2):
        assert install("containerd", tmp_path) == 0
        containerd = tomllib.loads(file.read_text())["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]
        assert containerd["runtimes"].keys() == runtimes


def test_old_containerd_configuration_is_refused(tmp_path: Path) -> None:
    """Version 1 has other names for everything: containerd itself converts it."""
    file = tmp_path / "etc/containerd/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("oom_score = 0\n")
    assert install("containerd", tmp_path) == 1
    assert file.read_text() == "oom_score = 0\n"


def test_hook_has_an_environment_of_its_own(tmp_path: Path) -> None:
    """A hook without one gets the image's, with it what its author wants to be loaded into our process."""
    assert install("podman", tmp_path) == 0
    document = json.loads((tmp_path / "usr/share/containers/oci/hooks.d/50-procfs-fuse.json").read_text())
    assert document["stages"] == ["createContainer"]
    assert any(one.startswith("PATH=/") for one in document["hook"]["env"])
    assert document["hook"]["path"].startswith("/")


json_settings = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key not in {"runtimes", "default-runtime"}),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
)


@given(json_settings)
def test_any_daemon_json_keeps_its_settings(settings: dict[str, object]) -> None:
    """Whatever is set, install adds one runtime to it and uninstall takes exactly that away."""
    (edit,) = docker.edits(Installation(("/usr/bin/procfs-fuse",), default=True))
    added = edit.add(json.dumps(settings))
    assert added is not None
    document = json.loads(added)
    assert document.pop("default-runtime") == docker.RUNTIME
    assert document.pop("runtimes").keys() == {docker.RUNTIME}
    assert document == settings
    removed = edit.remove(added)
    assert (json.loads(removed) if removed is not None else {}) == settings


def test_a_block_is_replaced_where_it_is(tmp_path: Path) -> None:
    """A newer version's text takes the place of the older one's; lines of others around it stay."""
    path = tmp_path / "file"
    first, second = (edits.block(str(path), partial(str, text)) for text in ("old", "new"))
    path.write_text("a\n")
    change(first, "", uninstall=False).make()
    path.write_text(path.read_text() + "b\n")
    change(second, "", uninstall=False).make()
    assert "old" not in path.read_text()
    change(second, "", uninstall=True).make()
    assert path.read_text() == "a\nb\n"


def test_failure_of_the_check_keeps_the_file(tmp_path: Path) -> None:
    """A text that the engine would not take is never written."""

    def refuse(_text: str) -> None:
        raise Failure("no")

    with pytest.raises(Failure):
        change(edits.block(str(tmp_path / "file"), lambda: "x", check=refuse), "", uninstall=False)
    assert not (tmp_path / "file").exists()
