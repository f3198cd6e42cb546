"""Names from the engines' files: caching, retries, hostile files, and who may speak for whom."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgroup_model.engines import NO_CHECK, Identity, Resolver
from cgroup_model.engines import _files as files_module
from cgroup_model.engines import _resolver as resolver_module

A = "a1" * 32
B = "0b" * 32
DOCKER = f"/docker/{A}"
PODMAN = f"/machine.slice/libpod-{A}.scope"
ALICE = os.getuid() or 1000  # files can be made to belong to her
USERS = f"root:x:0:0::/root:/bin/sh\nalice:x:{ALICE}:100::/home/alice:/bin/sh\n"
ALICES = f"/user.slice/user-{ALICE}.slice/user@{ALICE}.service/user.slice"
_NOBODY = 65534
LISTS = "/var/lib/containers/storage/overlay-containers"


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Give seconds."""
        return self.now


class Machine:
    """A file system of our own, and a resolver that looks at it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.resolver = Resolver(str(root), self.clock)
        self.put("/etc/passwd", USERS)

    def put(self, path: str, content: object) -> Path:
        """Write a file, as JSON unless it is text or bytes; in one step, as engines do."""
        file = Path(f"{self.root}{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        new = file.with_name(file.name + ".new")
        new.write_bytes(data.encode() if isinstance(data, str) else data)
        new.replace(file)
        return file

    def docker(
        self, container: str = A, name: object = "/web", data_root: str = "/var/lib/docker", **config: object
    ) -> Path:
        """Write what dockerd writes about a container."""
        return self.put(
            f"{data_root}/containers/{container}/config.v2.json", {"Name": name, "Config": {"Image": "web:1", **config}}
        )

    def podman(self, *names: str, file: str = "containers.json") -> Path:
        """Write containers/storage's list with the container A under these names."""
        return self.put(f"{LISTS}/{file}", [{"id": A, "names": list(names), "metadata": '{"image-name":"web:1"}'}])

    def who(self, path: str, inode: int = 1) -> Identity:
        """Ask."""
        return self.resolver.identify(path, inode)


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# ------------------------------------------------------------------------------------------------ caching


def test_an_answer_is_kept_per_path_and_inode(machine: Machine) -> None:
    """A found name stays for the life of the cgroup; another inode at the same path is another container."""
    machine.docker(name="/first")
    assert machine.who(DOCKER, 1).name == "first"
    machine.docker(name="/second")
    machine.clock.now += 3600
    assert machine.who(DOCKER, 1).name == "first"
    assert machine.who(DOCKER, 2).name == "second"


def test_a_missing_name_is_asked_again_soon_and_then_less_often(machine: Machine) -> None:
    """Files appear shortly after the cgroup: retries come after 2, 4, 8 … seconds, not on every call."""
    assert machine.who(DOCKER).name is None
    machine.docker()
    machine.clock.now += 1.9
    assert machine.who(DOCKER).name is None
    machine.clock.now += 0.2
    assert machine.who(DOCKER).name == "web"

    other = f"/docker/{B}"
    machine.who(other)
    machine.clock.now += 2
    machine.who(other)
    machine.docker(B, "/late")
    machine.clock.now += 3.9
    assert machine.who(other).name is None
    machine.clock.now += 0.2
    assert machine.who(other).name == "late"


def test_retries_never_stop(machine: Machine) -> None:
    """However long a name was unknown, a minute later it is asked for again."""
    for _ in range(20):
        assert machine.who(DOCKER).name is None
        machine.clock.now += resolver_module.LAST_RETRY_SECONDS
    machine.docker()
    machine.clock.now += resolver_module.LAST_RETRY_SECONDS
    assert machine.who(DOCKER).name == "web"


def test_many_unknown_containers_cost_one_listing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an old directory one listing answers for all names; what is made in it afterwards is found all the same."""
    machine.docker(B)
    containers = machine.root / "var/lib/docker/containers"
    os.utime(containers, (1, 1))  # nothing was made or removed in it for long
    listed: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> Any:  # noqa: ANN401 - as os.scandir
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    for number in range(100):
        assert machine.who(f"/docker/{number:064x}", number).name is None
    assert listed.count(str(containers)) == 1
    machine.docker()
    assert machine.who(DOCKER).name == "web"


def test_a_shared_list_is_read_again_when_it_was_replaced(machine: Machine) -> None:
    """containers.json is looked at again after 2 seconds, not before."""
    machine.podman("first")
    assert machine.who(PODMAN, 1).name == "first"
    machine.podman("second")
    assert machine.who(PODMAN, 2).name == "first"
    machine.clock.now += 2
    assert machine.who(PODMAN, 3).name == "second"


def test_an_unchanged_list_is_not_parsed_again(machine: Machine) -> None:
    """Same inode, time and size: the bytes are not even read."""
    file = machine.podman("first")
    before = file.stat()
    assert machine.who(PODMAN, 1).name == "first"
    file.write_text(file.read_text().replace("first", "other"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    machine.clock.now += 60
    assert machine.who(PODMAN, 2).name == "first"


def test_caches_are_bounded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cgroups that come and go leave nothing behind; what was asked for last stays."""
    monkeypatch.setattr(machine.resolver, "_most", 10)
    monkeypatch.setattr(files_module, "MOST_KEPT", 3)
    for inode in range(100):
        machine.who(f"/user.slice/user-{2000 + inode}.slice/docker-{A}.scope", inode)
    assert len(machine.resolver._answers) == 10
    assert len(machine.resolver._files._kept) <= 3
    assert next(reversed(machine.resolver._answers))[1] == 99


# ----------------------------------------------------------------------------------- where files are found


def test_docker_data_root_is_configurable(machine: Machine) -> None:
    """daemon.json's data-root counts, and `graph` of old versions; a broken daemon.json is a problem, told."""
    machine.docker(data_root="/srv/docker")
    machine.put("/etc/docker/daemon.json", {"data-root": "/srv/docker"})
    assert machine.who(DOCKER).name == "web"
    machine.put("/etc/docker/daemon.json", {"graph": "/srv/docker"})
    machine.clock.now += 2
    assert machine.who(DOCKER, 2).name == "web"
    machine.put("/etc/docker/daemon.json", "{")
    machine.clock.now += 2
    assert machine.who(DOCKER, 3).problem == "cannot read /etc/docker/daemon.json: not valid JSON"


@pytest.mark.parametrize(
    ("written", "restarts"), [(3, 3), (0, 0), (-1, None), ("3", None), (True, None), (1 << 60, None)]
)
def test_docker_tells_how_often_it_restarted_a_container(
    machine: Machine, written: object, restarts: int | None
) -> None:
    """A number, or unknown."""
    machine.put(
        f"/var/lib/docker/containers/{A}/config.v2.json", {"Name": "/web", "RestartCount": written, "Config": {}}
    )
    assert machine.who(DOCKER).restarts == restarts


def test_docker_tells_when_a_container_was_made_and_last_ended(machine: Machine) -> None:
    """Go's zero time means never; a file that says nothing or nonsense says nothing."""
    document = {"Name": "/web", "Config": {"Image": "web:1"}}
    times = {"Created": "2026-11-21T06:05:48.905462429Z", "State": {"FinishedAt": "2026-11-21T08:15:53.5+02:00"}}
    path = f"/var/lib/docker/containers/{A}/config.v2.json"
    machine.put(path, document | times)
    found = machine.who(DOCKER, 1)
    assert (found.created_epoch, found.ended_epoch) == (1795241148.905462, 1795241753.5)
    machine.put(path, document | {"Created": "yesterday", "State": {"FinishedAt": "0001-01-01T00:00:00Z"}})
    found = machine.who(DOCKER, 2)
    assert (found.created_epoch, found.ended_epoch) == (None, None)


def test_docker_tells_what_a_health_check_says(machine: Machine) -> None:
    """As of now, though a container is named once; a container of another engine has none to be asked."""
    path = f"/var/lib/docker/containers/{A}/config.v2.json"
    document = {"Name": "/web", "Config": {"Image": "web:1"}}
    started = {"StartedAt": stamp(-1)}
    machine.put(path, document | {"State": started | {"Health": {"Status": "starting"}}})
    assert machine.resolver.identify(DOCKER, 1).name == "web"
    assert machine.resolver.health(DOCKER, 1) == "starting"
    machine.put(path, document | {"State": started | {"Health": {"Status": "healthy"}}})
    assert machine.resolver.health(DOCKER, 1) == "healthy"
    machine.put(path, document | {"State": {"Health": None}})
    assert machine.resolver.health(DOCKER, 1) == NO_CHECK
    machine.put(path, document | {"State": 5})
    assert machine.resolver.health(DOCKER, 1) == NO_CHECK
    assert machine.resolver.health(f"/docker/{B}", 2) is None
    assert machine.resolver.health(f"/machine.slice/libpod-{A}.scope", 3) is None
    assert machine.resolver.health("/", 4) is None


@pytest.mark.parametrize(
    ("check", "started", "ended", "told"),
    [
        ({}, -65, None, "healthy"),
        ({}, -75, None, None),
        ({}, -1000, -65, "healthy"),
        ({}, -1000, -75, None),
        ({"Interval": 10**9, "Timeout": 2 * 10**9}, -1000, -8, "healthy"),
        ({"Interval": 10**9, "Timeout": 2 * 10**9}, -1000, -18, None),
        ({"Interval": "often"}, None, None, None),
    ],
)
def test_what_a_health_check_said_long_ago(
    machine: Machine, check: object, started: float | None, ended: float | None, told: str | None
) -> None:
    """Docker 26 and newer do not write what each check says: what it said before the last one due is no answer."""
    health = {"Status": "healthy", "Log": [] if ended is None else [{"End": "?"}, {"End": stamp(ended)}]}
    state = {"Health": health, "StartedAt": None if started is None else stamp(started)}
    path = f"/var/lib/docker/containers/{A}/config.v2.json"
    machine.put(path, {"Name": "/web", "Config": {"Healthcheck": check}, "State": state})
    assert machine.resolver.health(DOCKER, 1) == told


def stamp(seconds: float) -> str:
    """A moment from now as dockerd writes it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_podman_storage_is_configurable(machine: Machine) -> None:
    """The graphroot of storage.conf, any storage driver, and the volatile list of `podman run --rm`."""
    machine.put("/etc/containers/storage.conf", '[storage]\ndriver = "vfs"\ngraphroot = "/srv/storage"\n')
    machine.put("/srv/storage/vfs-containers/volatile-containers.json", [{"id": A, "names": ["web"]}])
    assert machine.who(PODMAN).name == "web"


def test_podmans_transient_store_is_below_the_runroot(machine: Machine) -> None:
    """With a transient store the list is in /run."""
    machine.put("/run/containers/storage/overlay-containers/volatile-containers.json", [{"id": A, "names": ["web"]}])
    assert machine.who(PODMAN).name == "web"


def test_containerd_state_is_configurable(machine: Machine) -> None:
    """`state` of containerd's config.toml counts, and a broken config.toml does not hide the default."""
    tasks = "io.containerd.runtime.v2.task/k8s.io"
    config = {"annotations": {"io.kubernetes.cri.container-name": "web", "io.kubernetes.cri.sandbox-name": "shop"}}
    machine.put("/etc/containerd/config.toml", 'state = "/srv/ctd"\n')
    machine.put(f"/srv/ctd/{tasks}/{A}/config.json", config)
    assert machine.who(f"/k8s.io/{A}").name == "web"
    machine.put("/etc/containerd/config.toml", "= broken")
    machine.put(f"/run/containerd/{tasks}/{B}/config.json", config)
    machine.clock.now += 2
    assert machine.who(f"/k8s.io/{B}").pod == "shop"


def test_a_pods_container_is_named_by_its_log_when_the_runtime_is_silent(machine: Machine) -> None:
    """The kubelet's links name container, pod and namespace for every runtime; the link's target is not needed."""
    link = machine.root / f"var/log/containers/shop-0_prod_web-1-{A}.log"
    link.parent.mkdir(parents=True)
    link.symlink_to("/var/log/pods/gone/0.log")
    identity = machine.who(f"/kubepods/burstable/pod1dbe5e0c-6d1c-4c5e-9a57-0c8f8e7f9d11/{A}")
    assert (identity.name, identity.pod, identity.namespace) == ("web-1", "shop-0", "prod")
    assert identity.problem is None


def test_dockers_kubernetes_labels_name_the_pod(machine: Machine) -> None:
    """Both dockershim and cri-dockerd write pod and container as labels."""
    labels = {
        "io.kubernetes.container.name": "web",
        "io.kubernetes.pod.name": "shop-0",
        "io.kubernetes.pod.namespace": "prod",
    }
    machine.docker(name="/k8s_web_shop-0_prod_x_0", Labels=labels)
    identity = machine.who(f"/kubepods/burstable/pod{'1' * 32}/{A}")
    assert (identity.engine, identity.name, identity.pod, identity.namespace) == ("kubernetes", "web", "shop-0", "prod")
    assert identity.image == "web:1"


# ------------------------------------------------------------------------------------- who speaks for whom


def test_a_cgroup_inside_of_a_container_does_not_get_anothers_name(machine: Machine) -> None:
    """Whoever is root in a container can make a cgroup with another's id: it keeps its short id, nothing more."""
    machine.docker()
    forged = machine.who(f"/docker/{B}/docker/{A}")
    assert (forged.name, forged.image, forged.short_id) == (None, None, A[:12])


def test_inside_of_a_container_its_own_files_count(machine: Machine) -> None:
    """A resolver that itself runs in the outer container (v1, no cgroup namespace) reads that container's files."""
    machine.docker()
    inside = Resolver(str(machine.root), machine.clock, own_path=f"/docker/{B}/init")
    assert inside.identify(f"/docker/{B}/docker/{A}", 1).name == "web"
    beside = Resolver(str(machine.root), machine.clock, own_path=f"/docker/{B}x")
    assert beside.identify(f"/docker/{B}/docker/{A}", 1).name is None


def test_a_user_cannot_borrow_the_name_of_the_machines_container(machine: Machine) -> None:
    """Cgroups in a user's slice are looked up in that user's files only."""
    machine.docker()
    assert machine.who(f"{ALICES}/docker-{A}.scope").name is None


def test_a_rootless_engines_files_are_in_the_home_directory(machine: Machine) -> None:
    """Docker and Podman of a user, each where it keeps its files without root."""
    storage = "/home/alice/.local/share/containers/storage/overlay-containers"
    _give_to_alice(machine.docker(data_root="/home/alice/.local/share/docker", name="/mine"))
    _give_to_alice(machine.put(f"{storage}/containers.json", [{"id": B, "names": ["ours"]}]))
    assert machine.who(f"{ALICES}/docker-{A}.scope").name == "mine"
    assert machine.who(f"{ALICES}/libpod-{B}.scope").name == "ours"


def test_a_rootless_engines_configuration_is_in_the_home_directory(machine: Machine) -> None:
    """A user's daemon.json and storage.conf count for that user's containers."""
    home = "/home/alice"
    _give_to_alice(machine.put(f"{home}/.config/docker/daemon.json", {"data-root": f"{home}/d"}))
    _give_to_alice(machine.put(f"{home}/.config/containers/storage.conf", f'[storage]\ngraphroot = "{home}/p"\n'))
    _give_to_alice(machine.docker(data_root=f"{home}/d"))
    _give_to_alice(machine.put(f"{home}/p/vfs-containers/containers.json", [{"id": B, "names": ["ours"]}]))
    assert machine.who(f"{ALICES}/docker-{A}.scope").name == "web"
    assert machine.who(f"{ALICES}/libpod-{B}.scope").name == "ours"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of two users")
def test_a_users_file_that_belongs_to_somebody_else_is_refused(machine: Machine) -> None:
    """A link from a home directory to another's file tells nothing."""
    machine.docker(data_root="/home/alice/.local/share/docker")
    identity = machine.who(f"{ALICES}/docker-{A}.scope")
    assert identity.name is None
    assert identity.problem is not None
    assert identity.problem.endswith("config.v2.json: it does not belong to alice")


def _give_to_alice(file: Path) -> None:
    os.chown(file, ALICE, -1)


# ------------------------------------------------------------------------------------------ hostile files


def test_links_are_followed_inside_of_the_root_only(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """/var/lib/docker may be a link, absolute or climbing; neither leaves fs_root."""
    outside = tmp_path_factory.mktemp("outside")
    Machine(outside).docker(name="/outside", data_root="/data")
    machine.docker(name="/inside", data_root="/data")
    library = machine.root / "var/lib"
    library.mkdir(parents=True)
    for inode, target in enumerate(["/data", "../../../../../../data"]):
        (library / "docker").unlink(missing_ok=True)
        (library / "docker").symlink_to(target)
        assert machine.who(DOCKER, inode).name == "inside"
    (library / "docker").unlink()
    (library / "docker").symlink_to(outside / "data")
    assert machine.who(DOCKER, 9).name is None


def test_a_loop_of_links_is_a_problem_not_a_hang(machine: Machine) -> None:
    """Links that point at each other end as ELOOP, in the problem's text."""
    library = machine.root / "var/lib"
    library.mkdir(parents=True)
    (library / "docker").symlink_to("docker")
    assert machine.who(DOCKER).problem == (
        f"cannot read /var/lib/docker/containers/{A}/config.v2.json: Too many levels of symbolic links"
    )


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _huge(file: Path) -> None:
    os.truncate(file, files_module.MOST_BYTES + 1)


def _deep(file: Path) -> None:
    file.write_text("[" * 100_000)


def _binary(file: Path) -> None:
    file.write_bytes(bytes(range(256)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_fifo, "not a regular file"),
        (_directory, "not a regular file"),
        (_huge, "larger than 8 MiB"),
        (_deep, "not valid JSON"),
        (_binary, "not valid JSON"),
    ],
)
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_spoilt_file_is_a_problem_and_nothing_worse(
    machine: Machine, engine: str, spoil: Callable[[Path], None], reason: str
) -> None:
    """Pipes, directories, huge, deeply nested and binary files: the short id, and which file could not be read."""
    file = machine.docker() if engine == "docker" else machine.podman("web")
    spoil(file)
    identity = machine.who(DOCKER if engine == "docker" else PODMAN)
    assert (identity.name, identity.title) == (None, A[:12])
    assert identity.problem == f"cannot read {str(file).removeprefix(str(machine.root))}: {reason}"


def test_one_spoilt_list_does_not_hide_the_other(machine: Machine) -> None:
    """What the volatile list knows counts even when the lasting one is broken."""
    machine.put(f"{LISTS}/containers.json", "broken")
    machine.podman("web", file="volatile-containers.json")
    identity = machine.who(PODMAN)
    assert (identity.name, identity.problem) == ("web", None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_read_is_named() -> None:
    """An unprivileged user gets the short id, and is told which file root could read."""
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)  # noqa: S103 - somebody else must get in as far as Docker lets them
        machine = Machine(Path(root))
        machine.docker()
        library = f"{root}/var/lib/docker/containers"
        os.chmod(library, 0o700)
        os.seteuid(_NOBODY)
        try:
            identity = machine.who(DOCKER)
        finally:
            os.seteuid(0)
    assert (identity.name, identity.title) == (None, A[:12])
    assert identity.problem == f"cannot read /var/lib/docker/containers/{A}/config.v2.json: Permission denied"


def test_labels_are_strings_of_bounded_size_and_number(machine: Machine) -> None:
    """Other types are dropped, values cut, and there are at most 128."""
    labels: dict[str, Any] = {"a": "x" * 10_000, "b": 7, "c": None, "d": ["x"], "k" * 10_000: "v"}
    machine.docker(Labels={**labels, **{f"n{number}": "v" for number in range(1000)}})
    found = machine.who(DOCKER).labels
    assert len(found) == 128
    assert found["a"] == "x" * 512
    assert not {"b", "c", "d", "k" * 10_000} & found.keys()


def test_a_lone_surrogate_in_a_name_can_be_printed(machine: Machine) -> None:
    """JSON can spell what UTF-8 cannot."""
    machine.put(f"/var/lib/docker/containers/{A}/config.v2.json", b'{"Name": "/we\\ud800b"}')
    assert machine.who(DOCKER).name == "we?b"


def test_an_unknown_cgroup_is_itself() -> None:
    """No engine, no name; the title is the last part of the path."""
    identity = Resolver("/nonexistent", Clock()).identify("/some/where", 1)
    assert (identity.engine, identity.kind, identity.name, identity.title) == ("", None, None, "where")
    assert Resolver("/nonexistent", Clock()).identify("/", 1).title == "/"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text()
            | st.sampled_from(
                ["Name", "Config", "Labels", "Image", "id", "names", "metadata", "annotations", "cgroup_paths"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
FILES = [
    (f"/var/lib/docker/containers/{A}/config.v2.json", DOCKER),
    (f"{LISTS}/containers.json", PODMAN),
    ("/etc/docker/daemon.json", DOCKER),
    (f"/run/containerd/io.containerd.runtime.v2.task/default/{A}/config.json", f"/default/{A}"),
    ("/run/runc/web/state.json", "/any/where"),
    ("/run/crun/web/status", "/system.slice/crun-web.scope"),
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(FILES), JSON, st.booleans())
def test_any_document_gives_an_identity(
    machine: Machine,
    place: tuple[str, str],
    document: Any,  # noqa: ANN401
    in_list: bool,  # noqa: FBT001
) -> None:
    """Whatever JSON an engine's file holds: no exception, and only printable strings come out."""
    file, path = place
    if in_list:
        document = [{"id": A, "names": document, "metadata": json.dumps(document), "x": document}]
    machine.put(file, document)
    identity = Resolver(str(machine.root), machine.clock).identify(path, 1)
    for value in (identity.name, identity.image, identity.pod, *identity.labels, *identity.labels.values()):
        assert value is None or value.encode() is not None
    (machine.root / file.lstrip("/")).unlink()
