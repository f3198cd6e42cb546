"""containerd: `nerdctl-<id>.scope`, `cri-containerd-<id>.scope`, `/<namespace>/<id>` of ctr and nerdctl (cgroupfs).

Names: the OCI configuration of each task, `<state>/io.containerd.runtime.v2.task/<namespace>/<id>/config.json`, whose
`annotations` hold what the client added: CRI's `io.kubernetes.cri.*` (containerd, internal/cri/annotations), nerdctl's
`nerdctl/*` and labels (nerdctl, pkg/labels). `moby` is Docker's namespace: no names there, see docker.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cgroup_model.engines._details import SANDBOX, Details, member, string_labels, text
from cgroup_model.engines._files import Files, Unreadable, User, parse_toml
from cgroup_model.engines._patterns import HEX_ID, OCI_ID, Match, Pattern, Rank

PATTERNS = (
    Pattern("containerd", rf"(?:nerdctl|cri-containerd)-{HEX_ID}\.scope"),
    Pattern("containerd", rf"[^/]*\.slice:(?:nerdctl|cri-containerd):{HEX_ID}", rank=Rank.GENERAL),
    # The namespaces that containerd, nerdctl and the kubelet use by default; `claim` finds others.
    Pattern("containerd", OCI_ID, parent=r"default|k8s\.io"),
)

_TASKS: Final = "io.containerd.runtime.v2.task"
_STATES: Final = ("/run/containerd", "/run/k3s/containerd", "/var/snap/microk8s/common/run/containerd")
_DOCKER: Final = "moby"
_CRI: Final = "io.kubernetes.cri."
_CLIENT_PREFIXES: Final = ("io.kubernetes.", "nerdctl/", "io.containerd.")


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a container's name and, of CRI, pod and image. Raises `Unreadable`."""
    if user is not None:
        return None  # rootless containerd keeps its tasks in a mount namespace of its own
    for tasks in _task_directories(files):
        config = files.json(f"{tasks}/{match.id}/config.json") if files.may_hold(tasks, match.id) else None
        if config is not None:
            return _details(string_labels(member(config, "annotations")))
    return None


def claim(files: Files, path: str) -> Match | None:
    """Recognise `/<namespace>/<id>` of a namespace that only the task directories know. Raises `Unreadable`."""
    names = path.split("/")
    if len(names) != 3 or names[0] or not {"", ".", ".."}.isdisjoint(names[1:]):
        return None
    known = f"{_TASKS}/{names[1]}/{names[2]}/config.json"
    if any(files.exists(f"{state}/{known}") for state in _states(files)):
        return Match("containerd", names[2], path)
    return None


def _details(annotations: Mapping[str, str]) -> Details:
    is_sandbox = annotations.get(f"{_CRI}container-type") == "sandbox"
    name = SANDBOX if is_sandbox else annotations.get(f"{_CRI}container-name") or annotations.get("nerdctl/name")
    return Details(
        name=text(name),
        image=annotations.get(f"{_CRI}image-name"),
        pod=annotations.get(f"{_CRI}sandbox-name"),
        namespace=annotations.get(f"{_CRI}sandbox-namespace"),
        labels=string_labels(annotations, without=_CLIENT_PREFIXES),
        engine="containerd",
    )


def _task_directories(files: Files) -> Iterator[str]:
    for state in _states(files):
        for namespace in files.names(f"{state}/{_TASKS}"):
            if namespace != _DOCKER:
                yield f"{state}/{_TASKS}/{namespace}"


def _states(files: Files) -> tuple[str, ...]:
    """Find containerd's run-time directories: `state` of its config.toml, and those of well-known bundles."""
    try:
        configured = text(member(files.shared("/etc/containerd/config.toml", parse_toml), "state"))
    except Unreadable:  # the default is a better guess than none
        configured = None
    return tuple(dict.fromkeys(filter(None, (configured, *_STATES))))
