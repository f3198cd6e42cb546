"""runc and crun: containers attached while they run, by the hook, and by the runtime in front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from procfs_fuse.integrations import runtime_wrapper
from tests.integration.command_line import NEEDS, REASON, REPOSITORY, CommandLine, eventually
from tests.integration.engines import oci_runtime, shown_by, truth
from tests.integration.engines.oci_runtime import Container, Runtime, started
from tests.integration.reach import within

pytestmark = [pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]


def hook(instance: CommandLine, *options: str) -> dict[str, Any]:
    """The hook as the wrapper would add it, for the tests' instance."""
    return runtime_wrapper.hook([*shown_by.options(instance), *options])


def hooks(*entries: dict[str, Any]) -> dict[str, Any]:
    """The member of config.json."""
    return {"createContainer": list(entries)}


def ours(container: Container, instance: CommandLine) -> list[str]:
    """The roots of our mounts in a container."""
    lines = Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()
    return [line.split()[3] for line in lines if f" {shown_by.source(instance)} " in line]


def test_attach_and_detach(runtime: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A running container is shown its limits after attach, the machine's numbers after detach."""
    with started(runtime, root_file_system) as container:
        host = container.sh("grep MemTotal /proc/meminfo")
        done = instance("attach", "--json", container.cgroup)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["containers"][0]["pid"] == container.pid
        truth.shown(container.sh, path=container.cgroup)
        assert instance("detach", container.cgroup).returncode == 0
        assert container.sh("grep MemTotal /proc/meminfo") == host
        assert ours(container, instance) == []


def test_hook(runtime: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """With the hook the files are there from the first instruction on, those that runc refuses to bind included."""
    with started(runtime, root_file_system, hooks=hooks(hook(instance, "--strict"))) as container:
        truth.shown(container.sh, path=container.cgroup)
        assert any(root.endswith("/proc/vmstat") for root in ours(container, instance))


def test_hook_with_a_user_namespace(
    runtime: Runtime, root_file_system: Path, instance: CommandLine, tmp_path: Path
) -> None:
    """Root of a user namespace may not enter the instance's own folders: it gets the files that know their reader."""
    entry = hook(instance, "--strict")
    within_reach(runtime, entry, tmp_path)
    linux = oci_runtime.with_user_namespace(oci_runtime.linux(root_file_system, "user"))
    with started(runtime, root_file_system, "user", hooks=hooks(entry), linux=linux) as container:
        truth.shown(container.sh, path=container.cgroup)
        assert "/proc/meminfo" in ours(container, instance)


def within_reach(runtime: Runtime, entry: dict[str, Any], folder: Path) -> None:
    """Let a hook be executed by somebody who may enter neither /root nor a checkout."""
    reached = within(folder, REPOSITORY)
    runtime.binds.update(reached.binds)
    entry["path"] = reached.python
    others = [one for one in entry["env"] if not one.startswith("PYTHONPATH=")]
    entry["env"] = [*others, f"PYTHONPATH={reached.modules}"]


def test_hook_with_a_read_only_root(runtime: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A root file system that nobody may write to needs no place for the files to be made."""
    root = {"path": str(root_file_system), "readonly": True}
    with started(runtime, root_file_system, hooks=hooks(hook(instance, "--strict")), root=root) as container:
        truth.shown(container.sh)


def test_a_failing_hook_stops_nothing_but_when_strict(runtime: Runtime, root_file_system: Path, tmp_path: Path) -> None:
    """Without an instance the container starts with the machine's files; with --strict it does not start."""
    nowhere = [f"--mount={tmp_path}", f"--state-dir={tmp_path / 'none'}"]
    with started(runtime, root_file_system, hooks=hooks(runtime_wrapper.hook(nowhere))) as container:
        assert container.sh("grep MemTotal /proc/meminfo") == f"{Path('/proc/meminfo').read_text().splitlines()[0]}\n"
    strict = runtime_wrapper.hook([*nowhere, "--strict"])
    with (
        pytest.raises(AssertionError, match=r"nothing of ours is mounted|hook"),
        started(runtime, root_file_system, hooks=hooks(strict)),
    ):
        pass


def test_an_annotation_opts_out(runtime: Runtime, root_file_system: Path, instance: CommandLine) -> None:
    """A container with cgscope.attach=off is left alone by the hook."""
    off = {"cgscope.attach": "off"}
    with started(runtime, root_file_system, hooks=hooks(hook(instance)), annotations=off) as container:
        assert ours(container, instance) == []


def test_containers_can_be_made_in_a_container_with_the_hook(
    runtime: Runtime, root_file_system: Path, instance: CommandLine
) -> None:
    """Where nothing of /proc is masked, nested containers work with the hook as they do without."""
    linux = {**oci_runtime.linux(root_file_system, "one"), "maskedPaths": [], "readonlyPaths": []}
    nested = "unshare -Urpfm --mount-proc cat /proc/self/comm"
    with started(runtime, root_file_system, linux=linux) as container:
        assert container.sh(nested) == "cat\n"
    with started(runtime, root_file_system, hooks=hooks(hook(instance, "--strict")), linux=linux) as container:
        truth.shown(container.sh)
        assert container.sh(nested) == "cat\n"


def test_runtime_in_front(runtime: Runtime, root_file_system: Path, instance: CommandLine, tmp_path: Path) -> None:
    """`oci-runtime` adds the hook, passes everything else through, and becomes the real runtime."""
    words = ["oci-runtime", "--strict", "--runtime", runtime.program.path, *shown_by.options(instance)]
    runtime.wrapper = [str(shown_by.script(tmp_path / "front", instance, *words))]
    with started(runtime, root_file_system) as container:
        truth.shown(container.sh, path=container.cgroup)
        config = json.loads((tmp_path / "one" / "config.json").read_text())
        assert len(config["hooks"]["createContainer"]) == 1
        assert runtime("kill", container.id, "KILL").returncode == 0
        assert eventually(lambda: '"stopped"' in runtime("state", container.id).stdout)
    assert runtime("--version").stdout == runtime("--version").stdout != ""
    assert runtime("state", "nobody").returncode != 0
