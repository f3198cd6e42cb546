"""deploy/kubernetes: what kustomize makes of it is valid, complete, and asks for no more than it needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
CUSTOM = frozenset({"ServiceMonitor", "PodMonitor"})  # of the Prometheus Operator; Kubernetes has no schema for them
VERSION = "1.31"


def documents(overlay: str) -> list[dict[str, Any]]:
    """What an overlay comes to; built by kubectl where there is one, else by reading what it lists."""
    if shutil.which("kubectl") is None:
        return list(_listed(FOLDER / "overlays" / overlay))
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)], capture_output=True, text=True, check=True
    )
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def _listed(folder: Path) -> Iterator[dict[str, Any]]:
    settings = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for name in [*settings.get("resources", []), *settings.get("components", [])]:
        path = (folder / name).resolve()
        if path.is_dir():
            yield from _listed(path)
        else:
            yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


def pods(overlay: str) -> Iterator[dict[str, Any]]:
    """The specifications of pods."""
    for document in documents(overlay):
        if document["kind"] == "DaemonSet":
            yield document["spec"]["template"]["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_is_valid(overlay: str) -> None:
    """Each document fits Kubernetes' own schema, in which an unknown field is an error."""
    found = documents(overlay)
    assert {"Namespace", "ServiceAccount", "DaemonSet", "Service"} <= {one["kind"] for one in found}
    for document in found:
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_wrong_document_is_noticed() -> None:
    """The validation above can fail: a misspelt field does not pass."""
    (daemon, *_others) = [one for one in documents("default") if one["kind"] == "DaemonSet"]
    daemon["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(daemon, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_has_probes_and_limits(overlay: str) -> None:
    """A pod that hangs is restarted, one that leaks is ended, and none writes to its own root."""
    found = list(pods(overlay))
    assert len(found) == 2
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert {"livenessProbe", "readinessProbe", "resources", "securityContext"} <= container.keys()
            assert container["resources"]["limits"]["memory"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_only_the_pod_that_mounts_is_privileged() -> None:
    """The exporter has two capabilities and no way to more; the other is privileged because it mounts for all."""
    privileged = {
        container["name"]: container["securityContext"].get("privileged", False)
        for pod in pods("default")
        for container in pod["containers"]
    }
    assert privileged == {"procfs-fuse": True, "cgroup-exporter": False}


def test_a_rolling_update_overlaps() -> None:
    """The new pod of the server starts beside the old one, which is what the handover of mounts needs."""
    (server,) = [
        one for one in documents("default") if one["kind"] == "DaemonSet" and one["metadata"]["name"] == "procfs-fuse"
    ]
    assert server["spec"]["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = server["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["procfs-fuse", "hold"]
    shared = {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("mountPropagation")}
    assert shared == {"/var/lib/procfs-fuse", "/run/procfs-fuse"}


def test_no_volume_is_a_mount_point() -> None:
    """Where all of a pod was killed its mount is dead, and a runtime makes no container with a volume that is so.

    So the mount point is below a volume that others see, and all that asks of the server names it.
    """
    (container,) = next(pod for pod in pods("default") if pod["containers"][0]["name"] == "procfs-fuse")["containers"]
    place = container["args"][container["args"].index("--mount") + 1]
    volumes = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert place not in volumes
    assert volumes[str(Path(place).parent)]["mountPropagation"] == "Bidirectional"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"][-2:] == ["--mount", place]


def test_the_exporter_remembers() -> None:
    """What it writes down about kills outlives the pod; nothing else of the machine can be written to."""
    exporter = next(pod for pod in pods("default") if pod["containers"][0]["name"] == "cgroup-exporter")
    machines = {volume["name"] for volume in exporter["volumes"] if "hostPath" in volume}
    mounts = [mount for mount in exporter["containers"][0]["volumeMounts"] if mount["name"] in machines]
    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/var/lib/cgscope"]


def test_monitors_find_the_exporter() -> None:
    """Service and monitors of the Prometheus Operator select the pods by labels that these have."""
    labels = next(
        one["spec"]["template"]["metadata"]["labels"]
        for one in documents("monitoring")
        if one["metadata"]["name"] == "cgroup-exporter" and one["kind"] == "DaemonSet"
    )
    monitors = FOLDER / "components/monitoring"
    for path in (monitors / "servicemonitor.yaml", monitors / "podmonitor.yaml", FOLDER / "base/service.yaml"):
        selector = yaml.safe_load(path.read_text())["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels.items()
