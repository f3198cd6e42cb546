"""CRI-O: `crio-<id>.scope` (systemd driver) or `crio-<id>` (cgroupfs), below a pod's cgroup or any other.

Names: the OCI configuration that CRI-O writes for each container,
`<runroot>/<driver>-containers/<id>/userdata/config.json`, whose `annotations` are `io.kubernetes.*` and
`io.kubernetes.cri-o.*` (cri-o, pkg/annotations). What is in containers/storage's own lists, podman.py reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgroup_model.engines._details import SANDBOX, Details, member, string_labels, text
from cgroup_model.engines._files import Files, User, parse_json
from cgroup_model.engines._patterns import HEX_ID, Kind, Match, Pattern

PATTERNS = (
    Pattern("crio", rf"crio-{HEX_ID}(?:\.scope)?"),
    Pattern("crio", rf"[^/]*\.slice:crio:{HEX_ID}"),
    Pattern("crio", rf"crio-conmon-{HEX_ID}(?:\.scope)?", kind=Kind.HELPER),
)

_RUN_ROOTS = ("/run/containers/storage", "/var/run/containers/storage", "/var/lib/containers/storage")
_OWN = "io.kubernetes.cri-o."
_POD_LABELS = "io.kubernetes."


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a container's name, pod, image and labels. Raises `Unreadable`."""
    if user is not None:
        return None  # CRI-O is root's
    for root in _RUN_ROOTS:
        for directory in files.names(root):
            if directory.endswith("-containers") and files.may_hold(f"{root}/{directory}", match.id):
                config = files.json(f"{root}/{directory}/{match.id}/userdata/config.json")
                annotations = member(config, "annotations")
                if isinstance(annotations, Mapping) and f"{_OWN}ContainerType" in annotations:
                    return _details(annotations)
    return None


def _details(annotations: Mapping[str, object]) -> Details:
    is_sandbox = annotations.get(f"{_OWN}ContainerType") == "sandbox"
    return Details(
        name=SANDBOX if is_sandbox else text(annotations.get("io.kubernetes.container.name")),
        image=text(annotations.get(f"{_OWN}ImageName")) or text(annotations.get(f"{_OWN}Image")),
        pod=text(annotations.get("io.kubernetes.pod.name")),
        namespace=text(annotations.get("io.kubernetes.pod.namespace")),
        labels=_labels(annotations),
        engine="crio",
    )


def _labels(annotations: Mapping[str, object]) -> Mapping[str, str]:
    """Take the labels of the pod's author: an object as JSON in a string, Kubernetes' own ones included."""
    encoded = annotations.get(f"{_OWN}Labels")
    labels = parse_json(encoded.encode(), f"{_OWN}Labels") if isinstance(encoded, str) else None
    return string_labels(labels, without=(_POD_LABELS,))
