"""The container image: built as its recipe says, asked, and run with the rights that the manifests give it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.debian_tools import Tool
from tests.integration.command_line import NEEDS, REASON, REPOSITORY, eventually
from tests.integration.engines import rootfs, truth
from tests.integration.engines.podman import IMAGE, Podman
from tests.packages.debian import NETWORK, made_once, passed_on
from tests.packages.sources import copy_sources

pytestmark = [pytest.mark.long, pytest.mark.skipif(not NEEDS, reason=REASON), truth.NATIVE]

OURS = "localhost/cgscope"
MANIFESTS = REPOSITORY / "deploy/kubernetes/base"
MOUNT = "/var/lib/procfs-fuse/mount"


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], Tool]) -> Iterator[Podman]:
    """A Podman with our image, built from the sources of a fresh clone on a Debian: there is no registry here."""
    folder = tmp_path_factory.mktemp("image")
    base = made_once(tool, ["git", "make", "python3", "python3-venv"])
    podman = Podman.prepare(tool, folder, rootfs.archive(base, folder / "root.tar"))
    podman.image = OURS
    sources = copy_sources(folder / "sources")
    _tell_loader(podman, folder)
    try:
        recipe = ["--file", str(sources / "deploy/kubernetes/Dockerfile"), "--build-arg", f"BASE={IMAGE}"]
        podman.must("build", "--tag", OURS, "--isolation", "chroot", *_network(), *recipe, str(sources))
        yield podman
    finally:
        podman.close()


def _tell_loader(podman: Podman, folder: Path) -> None:
    """Have unpacked libraries found where Podman runs: building, it starts itself without this environment."""
    if not (libraries := podman.program.env.get("LD_LIBRARY_PATH")):
        return
    (folder / "ld.so.conf").write_text("\n".join(["include /etc/ld.so.conf", *libraries.split(":"), ""]))
    script = 'ldconfig -X -f "$1" -C "$2" && mount --bind "$2" /etc/ld.so.cache'
    words = ["sh", "-ec", script, "sh", str(folder / "ld.so.conf"), str(folder / "ld.so.cache")]
    subprocess.run(podman.namespace.words(*words), check=True)


def _network() -> list[str]:
    """How this machine reaches the package registries."""
    options = [word for name, value in passed_on().items() for word in ("--env", f"{name}={value}")]
    for place in NETWORK:
        if (directory := Path("/", place)).is_dir():
            options += ["--volume", f"{directory}:{directory}:ro"]
    return options


def asked(podman: Podman, *words: str, options: list[str] | None = None) -> str:
    """Output of a command in a container of its own."""
    given = ["--rm", "--network", "none", "--cgroup-parent", podman.parent, *(options or [])]
    done = podman("run", *given, OURS, *words)
    assert done.returncode in {0, 1}, done.stdout
    return done.stdout


def rights(name: str) -> list[str]:
    """Podman's words for what a manifest gives the container of its pods."""
    (document,) = yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text("utf-8"))
    (container,) = document["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert document["spec"]["template"]["spec"]["hostPID"]
    assert context["readOnlyRootFilesystem"]
    options = ["--pid", "host", "--read-only", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro"]
    if context.get("privileged"):
        return [*options, "--privileged"]
    added = [word for capability in context["capabilities"]["add"] for word in ("--cap-add", capability)]
    return [*options, "--cap-drop", *context["capabilities"]["drop"], *added]


def findings(report: str) -> dict[str, dict[str, Any]]:
    """What the doctor found, by subject."""
    return {one["subject"]: one for check in json.loads(report)["checks"] for one in check["findings"]}


def test_without_rights(podman: Podman) -> None:
    """In a container like any other the commands end well, show that container, and the doctor says what it lacks."""
    found = findings(asked(podman, "cgscope", "doctor", "--json"))
    assert not [one for one in found.values() if "check itself failed" in one["found"]]
    assert found["pid namespace"]["verdict"] == "note"
    assert found["CAP_SYS_ADMIN"]["verdict"] == "problem"
    assert podman.parent in asked(podman, "cgroup-exporter", "--once")
    assert json.loads(asked(podman, "ctop", "--once", "--json"))["cgroups"]


def test_as_an_ordinary_user(podman: Podman) -> None:
    """For a user without any right nothing is a fault of the machine, and what stays unseen is said."""
    report = asked(podman, "cgscope", "doctor", "--json", options=["--user", "1000"])
    assert json.loads(report)["ok"]
    assert findings(report)["virtual /proc"]["verdict"] == "unknown"


def test_exporter_with_the_rights_of_its_manifest(podman: Podman) -> None:
    """It sees the machine and all of its containers."""
    podman.run("seen")
    options = rights("cgroup-exporter")
    page = asked(podman, "cgroup-exporter", "--once", options=options)
    assert podman.cgroup("seen") in page
    assert f"machine_memory_bytes {_memory_bytes()}" in page
    podman.must("rm", "--force", "--time", "0", "seen")


def test_holder_with_the_rights_of_its_manifest(podman: Podman, tmp_path: Path) -> None:
    """It mounts, the doctor finds no fault, and a container that runs already is shown its limits from in there."""
    options = rights("procfs-fuse")
    for place in ("/var/lib/procfs-fuse", "/run/procfs-fuse"):
        folder = tmp_path / place.replace("/", "-")
        folder.mkdir()
        options += ["--volume", f"{folder}:{place}"]
    started = ["--detach", "--name", "holder", "--network", "host", "--cgroup-parent", podman.parent, *options]
    podman.must("run", *started, OURS, "procfs-fuse", "hold", "--mount", MOUNT, "--", "--attach", "none")
    assert eventually(lambda: podman("exec", "holder", "procfs-fuse", "status", "--healthy").returncode == 0)
    podman.run("web")
    podman.must("exec", "holder", "procfs-fuse", "attach", f"pid:{podman.pid('web')}")
    assert podman.sh("web", "grep MemTotal /proc/meminfo").split()[1] == str(truth.LIMITS.memory_bytes >> 10)
    report = podman.must("exec", "holder", "cgscope", "doctor", "--json")
    assert json.loads(report)["ok"], report
    podman.must("rm", "--force", "--time", "60", "web", "holder")


def _memory_bytes() -> int:
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return int(total.split()[1]) * 1024
