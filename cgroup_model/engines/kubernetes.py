"""Kubernetes: containers in a pod's cgroup, whichever runtime made them, and the pods themselves.

    /kubepods[/burstable|/besteffort]/pod<uid>/<id>                                              cgroupfs driver
    /kubepods.slice[/…]/kubepods-burstable-pod<uid, _ for ->.slice/cri-containerd-<id>.scope     systemd driver

kind and other nested clusters put `kubelet` in front; static pods' uids are 32 hexadecimal digits without dashes.
A runtime that was given systemd's form without its driver makes one plain name of it: `<slice>:cri-containerd:<id>`.

Names: the kubelet's links `/var/log/containers/<pod>_<namespace>_<container>-<id>.log` and its directories
`/var/log/pods/<namespace>_<pod>_<uid>` (kubernetes, pkg/kubelet/kuberuntime), which anybody may list. The runtimes'
own modules add image and labels.
"""

from __future__ import annotations

import re
from typing import Final

from cgroup_model.engines._details import Details, text
from cgroup_model.engines._files import Files, User
from cgroup_model.engines._patterns import HEX_ID, Kind, Match, Pattern

_UID: Final = r"[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12}"
_POD: Final = rf"pod{_UID}"
_POD_SLICE: Final = rf"(?:[a-z0-9-]*-)?kubepods(?:-burstable|-besteffort)?-{_POD}\.slice"
_RUNTIME: Final = r"(?:cri-containerd|crio|docker)"

PATTERNS = (
    Pattern("kubernetes", rf"(?:{_RUNTIME}-)?{HEX_ID}(?:\.scope)?", parent=rf"{_POD}|{_POD_SLICE}"),
    Pattern("kubernetes", rf"{_POD_SLICE}:{_RUNTIME}:{HEX_ID}"),
    Pattern("kubernetes", rf"pod(?P<id>{_UID})", parent=r"kubepods|burstable|besteffort", kind=Kind.POD),
    Pattern("kubernetes", _POD_SLICE.replace(_POD, rf"pod(?P<id>{_UID})"), kind=Kind.POD),
)

_LOG: Final = re.compile(r"([^_]+)_([^_]+)_(.+)-([0-9a-f]{64})\.log", re.DOTALL)


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Find a container's pod, namespace and name, or a pod's. Raises `Unreadable`."""
    if user is not None:
        return None
    if match.kind is Kind.POD:
        return _pod(files, match.id.replace("_", "-"))
    for entry in files.names("/var/log/containers"):
        if match.id in entry and (fields := _LOG.fullmatch(entry)) and fields[4] == match.id:
            return Details(name=text(fields[3]), pod=text(fields[1]), namespace=text(fields[2]))
    return None


def _pod(files: Files, uid: str) -> Details | None:
    for entry in files.names("/var/log/pods"):
        fields = entry.split("_")
        if len(fields) == 3 and fields[2] == uid:
            return Details(name=text(fields[1]), pod=text(fields[1]), namespace=text(fields[0]))
    return None
