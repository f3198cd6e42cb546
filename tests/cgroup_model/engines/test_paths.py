"""What a cgroup's path says: which engine, which id, and which cgroup on a path is the container."""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.engines import ENGINES, Kind, container_path, match, short_id

A = "a1" * 32
B = "0b" * 32
UID = "1dbe5e0c-6d1c-4c5e-9a57-0c8f8e7f9d11"
UID_ = UID.replace("-", "_")
STATIC = "36b6d6be73b1065af369b3985edafa09"
USER = "/user.slice/user-1000.slice/user@1000.service"
POD_SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice"


class Row(NamedTuple):
    """A path that is a container's."""

    path: str
    engine: str
    id: str


CONTAINERS = [
    # Docker
    Row(f"/docker/{A}", "docker", A),
    Row(f"/system.slice/docker-{A}.scope", "docker", A),
    Row(f"/shop/web/{A}", "docker", A),
    Row(f"/system.slice/containerd.service/cpuset/{A}", "docker", A),
    Row(f"/ecs/{STATIC}/{A}", "docker", A),
    Row(f"/system.slice:docker:{A}", "docker", A),
    Row(f"{USER}/user.slice/docker-{A}.scope", "docker", A),
    # Podman
    Row(f"/machine.slice/libpod-{A}.scope", "podman", A),
    Row(f"/libpod_parent/libpod-{A}", "podman", A),
    Row(f"{USER}/user.slice/libpod-{A}.scope", "podman", A),
    Row(f"{USER}/user.slice/user-libpod_pod_{B}.slice/libpod-{A}.scope", "podman", A),
    Row(f"/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope", "podman", A),
    Row(f"/libpod_parent/{B}/libpod-{A}", "podman", A),
    Row(f"/system.slice/web.service/libpod-payload-{A}", "podman", A),
    # containerd
    Row(f"/system.slice/nerdctl-{A}.scope", "containerd", A),
    Row(f"{USER}/user.slice/nerdctl-{A}.scope", "containerd", A),
    Row(f"/default/{A}", "containerd", A),
    Row("/default/ctr1", "containerd", "ctr1"),
    Row(f"/k8s.io/{A}", "containerd", A),
    Row(f"/system.slice/system-getty.slice/cri-containerd-{A}.scope", "containerd", A),
    # Kubernetes, cgroupfs driver
    Row(f"/kubepods/pod{UID}/{A}", "kubernetes", A),
    Row(f"/kubepods/burstable/pod{UID}/{A}", "kubernetes", A),
    Row(f"/kubepods/besteffort/pod{STATIC}/{A}", "kubernetes", A),
    Row(f"/kubepods/burstable/pod{UID}/crio-{A}", "kubernetes", A),
    # Kubernetes, systemd driver
    Row(f"{POD_SLICE}/cri-containerd-{A}.scope", "kubernetes", A),
    Row(f"{POD_SLICE}/crio-{A}.scope", "kubernetes", A),
    Row(f"{POD_SLICE}/docker-{A}.scope", "kubernetes", A),
    Row(f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{A}.scope", "kubernetes", A),
    Row(
        f"/system.slice/containerd.service/kubepods-burstable-pod{STATIC}.slice:cri-containerd:{A}",
        "kubernetes",
        A,
    ),
    # kind: a cluster inside of a Docker container
    Row(f"/docker/{B}/kubelet/kubepods/burstable/pod{UID}/{A}", "kubernetes", A),
    Row(
        f"/system.slice/docker-{B}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
        f"kubelet-kubepods-besteffort-pod{UID_}.slice/cri-containerd-{A}.scope",
        "kubernetes",
        A,
    ),
    # Docker in Docker
    Row(f"/docker/{B}/docker/{A}", "docker", A),
    Row(f"/system.slice/docker-{B}.scope/docker/{A}", "docker", A),
    # LXC, LXD, Incus
    Row("/lxc.payload.web", "lxc", "web"),
    Row("/lxc.payload.shop_web", "lxc", "shop_web"),
    Row("/lxc.payload.data.mount", "lxc", "data.mount"),
    Row("/lxc/web", "lxc", "web"),
    Row("/lxc/web.service", "lxc", "web.service"),
    Row("/lxc.payload/web", "lxc", "web"),
    Row("/user.slice/user-1000.slice/session-1.scope/lxc.payload.web", "lxc", "web"),
    Row("/lxc.payload.outer/lxc.payload.inner", "lxc", "inner"),
    Row(f"/lxc.payload.outer/system.slice/docker-{A}.scope", "docker", A),
    # low-level runtimes
    Row("/system.slice/runc-web.scope", "runc", "web"),
    Row("/system.slice/crun-web.scope", "crun", "web"),
    # CRI-O outside of pods
    Row(f"/system.slice/crio-{A}.scope", "crio", A),
    Row(f"/machine/crio-{A}", "crio", A),
    # systemd-nspawn, machined
    Row("/machine.slice/systemd-nspawn@web.service", "nspawn", "web"),
    Row(r"/machine.slice/machine-web\x2d1.scope", "nspawn", r"web\x2d1"),
    # libvirt
    Row(r"/machine.slice/machine-qemu\x2d2\x2ddb.scope", "libvirt", r"qemu\x2d2\x2ddb"),
    Row("/machine/qemu-2-db.libvirt-qemu", "libvirt", "qemu-2-db"),
    Row("/machine/lxc-7-web.libvirt-lxc", "libvirt", "lxc-7-web"),
    Row("/libvirt/qemu/db", "libvirt", "db"),
    # Proxmox
    Row("/lxc/101", "lxc", "101"),
    Row("/qemu.slice/100.scope", "proxmox", "100"),
    # Flatpak
    Row(f"{USER}/app.slice/app-flatpak-org.mozilla.firefox-4711.scope", "flatpak", "org.mozilla.firefox-4711"),
    # those of which nothing but the path is known
    Row("/machine.slice/101", "openvz", "101"),
    Row(f"/machine.slice/{UID}", "openvz", UID),
    Row(f"/mesos/{UID}", "mesos", UID),
    Row(f"/mesos/{UID}/mesos/{UID}", "mesos", UID),
    Row(
        "/system.slice/garden.service/garden/good/70eb4ce5-a065-4401-6990-88ed",
        "garden",
        "70eb4ce5-a065-4401-6990-88ed",
    ),
    Row("/garden/handle-1", "garden", "handle-1"),
    Row("/instance-17a1b2c3d4e", "warden", "17a1b2c3d4e"),
    Row(rf"/machine.slice/machine-rkt\x2d{UID}.scope", "rkt", UID),
    Row("/lmctfy/task", "lmctfy", "task"),
    Row("/osctl/pool.tank/group.default/user.u1/ct.web", "vpsadminos", "web"),
    # our own
    Row("/cgscope/web-1", "cgscope", "web-1"),
    Row(f"/docker/{A}/cgscope/web", "cgscope", "web"),
    # seen from a cgroup namespace beside or below
    Row(f"/../../docker/{A}", "docker", A),
    Row(f"/../{A}", "docker", A),
]

BELOW = [
    ("", ""),
    ("/container", ""),
    ("/init.scope", ""),
    ("/system.slice/foo.service", ""),
    ("/.lxc", ""),
    ("/supervisor/a/b/c", ""),
    (f"/libpod-conmon-{B}.scope", ""),
    (f"/system.slice/var-lib-docker-overlay2-{B}-merged.mount", ""),
    (f"/docker/{'c' * 64}/init", f"/docker/{'c' * 64}"),
]

NO_CONTAINERS = [
    "/",
    "",
    "docker",
    "/docker",
    "/docker/",
    "/lxc",
    "/cgscope",
    "/default",
    "/..",
    "/../..",
    "/lxc/..",
    "/lxc.payload...",
    "/lxc.payload.",
    "/cgscope/.hidden",
    "/default/..",
    "/system.slice/ssh.service",
    "/init.scope",
    "/user.slice/user-1000.slice/session-3.scope",
    f"/machine.slice/libpod-conmon-{A}.scope",
    "/libpod_parent/conmon",
    f"/libpod_parent/{B}/conmon",
    f"/libpod_parent/{B}",
    f"{POD_SLICE}/crio-conmon-{A}.scope",
    f"/kubepods/burstable/pod{UID}/crio-conmon-{A}",
    f"/kubepods/burstable/pod{UID}",
    POD_SLICE,
    "/kubepods/burstable",
    "/lxc.monitor.web",
    "/lxc.monitor/web",
    "/lxc.pivot",
    "/lxc.pivot-1",
    f"/system.slice/var-lib-docker-overlay2-{A}-merged.mount",
    f"/system.slice/docker-{A}.mount",
    f"/docker/{A[:-1]}",
    f"/docker/{A}0",
    f"/docker/{A.upper()}",
    f"/docker/{A}\n",
    f"/system.slice/docker-{A}.scope\n",
    f"/system.slice/xdocker-{A}.scope",
    "/garden/good",
    "/machine.slice/systemd-nspawn@.service",
    "/qemu.slice/qemu.scope",
    "/snap.lxd/x",
    f"{USER}/app.slice/snap.firefox.firefox-{UID}.scope",
    "/process/6a434f706a2a2517b5654ce41686e124",
]


@pytest.mark.parametrize("row", CONTAINERS, ids=lambda row: row.path.replace(A, "A").replace(B, "B"))
def test_a_container_is_known_by_its_path(row: Row) -> None:
    """The last name on the path, with its parent's, tells engine and id, at any depth and by either driver."""
    found = match(row.path)
    assert found is not None
    assert (found.engine, found.id, found.path, found.kind) == (row.engine, row.id, row.path, Kind.CONTAINER)
    assert not found.helper
    assert container_path(row.path) == row.path


@pytest.mark.parametrize("row", CONTAINERS, ids=lambda row: row.path.replace(A, "A").replace(B, "B"))
@pytest.mark.parametrize(("below", "nested"), BELOW)
def test_the_innermost_container_on_a_path_wins(row: Row, below: str, nested: str) -> None:
    """What a container does with its own subtree does not hide it; another container in there does."""
    assert container_path(row.path + below) == row.path + nested


@pytest.mark.parametrize("path", NO_CONTAINERS)
def test_what_only_looks_like_a_container_is_none(path: str) -> None:
    """Helpers, pods, units, mounts and ids of a wrong form are no containers."""
    assert container_path(path) is None


@pytest.mark.parametrize(
    ("path", "engine", "kind"),
    [
        (f"/machine.slice/libpod-conmon-{A}.scope", "podman", Kind.HELPER),
        ("/libpod_parent/conmon", "podman", Kind.HELPER),
        (f"{POD_SLICE}/crio-conmon-{A}.scope", "crio", Kind.HELPER),
        ("/machine.slice/systemd-nspawn@web.service/supervisor", "nspawn", Kind.HELPER),
        (r"/machine.slice/machine-qemu\x2d2\x2ddb.scope/libvirt/vcpu0", "libvirt", Kind.HELPER),
        ("/machine/qemu-2-db.libvirt-qemu/emulator", "libvirt", Kind.HELPER),
        ("/osctl/pool.tank/group.default/user.u1/monitor", "vpsadminos", Kind.HELPER),
        (f"{USER}/app.slice/snap.firefox.firefox-{UID}.scope", "snap", Kind.UNIT),
        ("/system.slice/snap.lxd.daemon.service", "snap", Kind.UNIT),
        ("/lxc.monitor.web", "lxc", Kind.HELPER),
        ("/lxc.pivot", "lxc", Kind.HELPER),
        ("/lxc.payload", "lxc", Kind.HELPER),
        (f"/system.slice/run-{A}.mount", "systemd", Kind.HELPER),
        (f"/libpod_parent/{A}", "podman", Kind.POD),
        (f"/machine.slice/machine-libpod_pod_{A}.slice", "podman", Kind.POD),
        (f"/kubepods/besteffort/pod{UID}", "kubernetes", Kind.POD),
        (POD_SLICE, "kubernetes", Kind.POD),
        ("/system.slice/ssh.service", "systemd", Kind.UNIT),
        ("/user.slice", "systemd", Kind.UNIT),
        ("/init.scope", "systemd", Kind.UNIT),
        (f"{USER}/app.slice/dbus-:1.4-org.example@0.service", "systemd", Kind.UNIT),
    ],
)
def test_what_else_is_in_the_tree_has_a_kind(path: str, engine: str, kind: Kind) -> None:
    """Helpers, pods and units are recognised, each as what it is."""
    found = match(path)
    assert found is not None
    assert (found.engine, found.kind) == (engine, kind)
    assert found.helper is (kind is Kind.HELPER)


def test_units_count_only_when_asked_for() -> None:
    """A service inside of a container is its own place only with include_units; helpers never are."""
    inside = f"/docker/{A}/system.slice/foo.service"
    assert container_path(inside) == f"/docker/{A}"
    assert container_path(inside, include_units=True) == inside
    assert container_path("/system.slice/foo.service/sub", include_units=True) == "/system.slice/foo.service"
    assert container_path("/system.slice/run-1.mount", include_units=True) == "/system.slice"
    assert container_path(f"{POD_SLICE}/x", include_units=True) == POD_SLICE


def test_systemds_escape_of_kernel_names_is_dropped_once() -> None:
    """`_cgroup.service` is the unit cgroup.service, `__x.service` is `_x.service`."""
    for path, unit in (("/_cgroup.service", "cgroup.service"), ("/__x.service", "_x.service")):
        found = match(path)
        assert found is not None
        assert found.id == unit


def test_only_random_ids_are_shortened() -> None:
    """12 digits of 64 hexadecimal ones; a chosen name stays whole, however long."""
    assert short_id(A) == A[:12]
    assert short_id("web") == "web"
    assert short_id("g" * 64) == "g" * 64


def test_every_engine_of_the_first_release_is_discovered() -> None:
    """Modules are found by their presence; each brings rows."""
    names = {engine.module for engine in ENGINES}
    assert names >= {"docker", "podman", "containerd", "kubernetes", "lxc", "systemd", "cgscope", "oci"}
    assert all(engine.patterns for engine in ENGINES)


PARTS = st.sampled_from(
    [
        *("", "..", ".", "docker", "lxc", "default", "cgscope", "libpod_parent", "lxc.payload.", f"pod{UID}", A, B),
        *(f"docker-{A}.scope", f"libpod-{A}.scope", f"libpod-conmon-{A}.scope", "a.service", "x" * 255, "\n", "\udcff"),
    ]
)
NAMES = st.one_of(PARTS, st.binary(max_size=255).map(os.fsdecode), st.text(max_size=300))
PATHS = st.one_of(st.lists(NAMES, max_size=12).map(lambda names: "/" + "/".join(names)), st.text())


@given(PATHS, st.booleans())
def test_any_string_is_an_answer(path: str, include_units: bool) -> None:  # noqa: FBT001
    """Whatever strangers call their cgroups: no exception, and what is found lies on the path and matches."""
    found = container_path(path, include_units=include_units)
    if found is not None:
        assert (path + "/").startswith(found + "/")
        itself = match(found)
        assert itself is not None
        assert itself.id not in {"", ".", ".."}
        assert "/" not in itself.id
        assert itself.kind is Kind.CONTAINER or (include_units and not itself.helper)


@given(PATHS)
def test_an_answer_is_the_same_from_the_container_itself(path: str) -> None:
    """container_path of a container is that container."""
    found = container_path(path)
    if found is not None:
        assert container_path(found) == found
