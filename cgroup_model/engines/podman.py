"""Podman: `libpod-<id>.scope` (systemd), `libpod_parent/libpod-<id>` (cgroupfs), `libpod-payload-<id>` (cgroups=split).

Names: `<graphroot>/<driver>-containers/{containers,volatile-containers}.json` of containers/storage (containers.go),
which CRI-O uses too. A list of `{"id": …, "names": ["web"], "metadata": "<JSON in a string>"}`, where the metadata
is Podman's `{"image-name", "name"}` or CRI-O's `{"image-name", "pod-name", "pod-id", "metadata-name", "namespace"}`
(internal/storage/runtime.go; the namespace only of pods, the pod's name with the rest of its metadata in it), and
`"created"`, a time. When a container last ended, and how, is in Podman's database only.
Volatile are `podman run --rm` and all of CRI-O's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cgroup_model.engines._details import SANDBOX, Details, epoch, member, text
from cgroup_model.engines._files import Files, Unreadable, User, parse_json, parse_toml
from cgroup_model.engines._patterns import HEX_ID, Kind, Match, Pattern

PATTERNS = (
    Pattern("podman", rf"libpod-(?:payload-)?{HEX_ID}(?:\.scope)?"),
    Pattern("podman", rf"libpod-conmon-{HEX_ID}\.scope", kind=Kind.HELPER),
    Pattern("podman", r"(?P<id>conmon)", parent=r"libpod_parent|[0-9a-f]{64}", kind=Kind.HELPER),
    # Pods, by the systemd and the cgroupfs driver.
    Pattern("podman", rf"(?:[^/]*-)?libpod_pod_{HEX_ID}\.slice", kind=Kind.POD),
    Pattern("podman", HEX_ID, parent="libpod_parent", kind=Kind.POD),
)

_Row = Mapping[str, Any]


def look_up(files: Files, match: Match, user: User | None) -> Details | None:
    """Read a container's name, image and, of CRI-O, pod. Raises `Unreadable` when no file knows it and one is shut."""
    problem: Unreadable | None = None
    for path in _lists(files, user):
        try:
            row = (files.shared(path, _parse_list, user) or {}).get(match.id)
        except Unreadable as error:
            problem = problem or error
            continue
        if row is not None:
            return _details(row)
    if problem is not None:
        raise problem
    return None


def _details(row: _Row) -> Details:
    metadata = _metadata(row)
    names = row.get("names")
    name = text(names[0]) if isinstance(names, list) and names else text(member(metadata, "name"))
    image = text(member(metadata, "image-name"))
    pod_name = text(member(metadata, "pod-name"))
    created = epoch(row.get("created"))
    if pod_name is None:
        return Details(name=name, image=image, engine="podman", created_epoch=created)
    is_sandbox = member(metadata, "pod-id") == row.get("id")
    pod, namespace = _split_pod_name(pod_name)
    return Details(
        name=SANDBOX if is_sandbox else text(member(metadata, "metadata-name")) or name,
        image=image,
        pod=pod,
        namespace=namespace or text(member(metadata, "namespace")),
        engine="crio",
        created_epoch=created,
    )


def _split_pod_name(name: str) -> tuple[str, str | None]:
    """Take pod and namespace out of CRI-O's `k8s_<pod>_<namespace>_<uid>_<attempt>` (neither may hold a `_`)."""
    parts = name.split("_")
    return (parts[1], parts[2]) if len(parts) == 5 and parts[0] == "k8s" else (name, None)


def _metadata(row: _Row) -> Any:  # noqa: ANN401 - a document may be anything
    encoded = row.get("metadata")
    try:
        return parse_json(encoded.encode(), "metadata") if isinstance(encoded, str) else None
    except (Unreadable, ValueError):
        return None  # the row's own fields still name the container


def _parse_list(data: bytes, path: str) -> Mapping[str, _Row]:
    rows = parse_json(data, path)
    if not isinstance(rows, list):
        raise Unreadable(path, "not a list")
    return {row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}


def _lists(files: Files, user: User | None) -> Iterator[str]:
    """Yield the lists of containers: of every storage driver, in the lasting and in the run-time directory."""
    for root in _storage_roots(files, user):
        for directory in files.names(root):
            if directory.endswith("-containers"):
                yield f"{root}/{directory}/containers.json"
                yield f"{root}/{directory}/volatile-containers.json"


def _storage_roots(files: Files, user: User | None) -> tuple[str, ...]:
    """Find containers/storage's graphroot and runroot: configured (containers-storage.conf(5)) or default."""
    if user:
        storage = _parse_storage(files, f"{user.home}/.config/containers/storage.conf", user)
        default = (f"{user.home}/.local/share/containers/storage", f"/run/user/{user.uid}/containers")
    else:
        storage = _parse_storage(files, "/etc/containers/storage.conf", None)
        storage = storage or _parse_storage(files, "/usr/share/containers/storage.conf", None)
        default = ("/var/lib/containers/storage", "/run/containers/storage")
    return (text(storage.get("graphroot")) or default[0], text(storage.get("runroot")) or default[1])


def _parse_storage(files: Files, path: str, user: User | None) -> Mapping[str, Any]:
    storage = member(files.shared(path, parse_toml, user), "storage")
    return storage if isinstance(storage, dict) else {}
