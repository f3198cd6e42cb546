"""TARGET strings: which container they mean, and what is said when they mean none or several."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.engines import Identity, Kind, short_id
from cgroup_model.mounts import OutOfSight
from cgroup_model.source import CgroupGone
from cgroup_model.targets import TargetError, find, find_all

A = "a1" * 32
A2 = "a1" * 31 + "ff"
B = "0b" * 32
C = "0c" * 32
D = "de" * 32


def _identity(
    engine: str, container_id: str, name: str | None, pod: str | None = None, namespace: str | None = None
) -> Identity:
    return Identity(
        engine, container_id, name, short_id(container_id), pod=pod, namespace=namespace, kind=Kind.CONTAINER
    )


CONTAINERS = [
    (f"/docker/{A}", _identity("docker", A, "web")),
    (f"/docker/{A2}", _identity("docker", A2, "db")),
    (f"/machine.slice/libpod-{B}.scope", _identity("podman", B, "web")),
    (f"/kubepods/pod1/{C}", _identity("kubernetes", C, "app", pod="shop-0", namespace="prod")),
    (f"/kubepods/pod2/{D}", _identity("kubernetes", D, "app", pod="shop-0", namespace="test")),
    ("/lxc.payload.0b", _identity("lxc", "0b", "0b")),
    ("/lxc.monitor.0b", Identity("lxc", "0b", "0b", "0b", kind=Kind.HELPER)),
    ("/cgscope/job", _identity("cgscope", "job", "job")),
]
PIDS = {7: f"/docker/{A}/init.scope", 8: "/system.slice/ssh.service"}
CGROUPS = {"/", "/system.slice/ssh.service", "/docker", *(path for path, _identity in CONTAINERS)}


def _find(target: str) -> str:
    return find(target, CONTAINERS, PIDS.__getitem__, CGROUPS.__contains__, ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"])


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (A, f"/docker/{A}"),
        (A[:62] + "a", f"/docker/{A}"),
        ("0c", f"/kubepods/pod1/{C}"),
        ("db", f"/docker/{A2}"),
        ("docker:web", f"/docker/{A}"),
        ("podman:web", f"/machine.slice/libpod-{B}.scope"),
        ("podman:0b", f"/machine.slice/libpod-{B}.scope"),
        (f"docker:{A2}", f"/docker/{A2}"),
        ("0b", "/lxc.payload.0b"),  # a name goes before the beginning of an id
        ("0b0b", f"/machine.slice/libpod-{B}.scope"),
        ("prod/shop-0/app", f"/kubepods/pod1/{C}"),
        ("kubernetes:test/shop-0/app", f"/kubepods/pod2/{D}"),
        ("cgscope:job", "/cgscope/job"),
        ("pid:7", f"/docker/{A}"),
        ("pid:8", "/system.slice/ssh.service"),
        ("pid:0000007", f"/docker/{A}"),
        ("/cgscope/job", "/cgscope/job"),
        ("/system.slice/ssh.service", "/system.slice/ssh.service"),
        ("system.slice/ssh.service", "/system.slice/ssh.service"),
        ("/system.slice//ssh.service/", "/system.slice/ssh.service"),
        ("/sys/fs/cgroup/system.slice/ssh.service", "/system.slice/ssh.service"),
        ("/sys/fs/cgroup/memory/docker", "/docker"),
        ("/sys/fs/cgroup/memory", "/"),
        ("/", "/"),
    ],
)
def test_a_target_means_one_cgroup(target: str, path: str) -> None:
    """Ids, unique beginnings, names, engine:name, pids and paths; the most certain reading wins."""
    assert _find(target) == path


@pytest.mark.parametrize(
    ("target", "message", "candidates"),
    [
        (
            "web",
            "web could be any of 2 containers: docker:web (a1a1a1a1a1a1), podman:web (0b0b0b0b0b0b)",
            {f"/docker/{A}", f"/machine.slice/libpod-{B}.scope"},
        ),
        (
            "a1a1",
            "a1a1 could be any of 2 containers: docker:db (a1a1a1a1a1a1), docker:web (a1a1a1a1a1a1)",
            {f"/docker/{A}", f"/docker/{A2}"},
        ),
        (
            "docker:a",
            "docker:a could be any of 2 containers: docker:db (a1a1a1a1a1a1), docker:web (a1a1a1a1a1a1)",
            {f"/docker/{A}", f"/docker/{A2}"},
        ),
        (
            "app",
            "app could be any of 2 containers: kubernetes:prod/shop-0/app (0c0c0c0c0c0c), "  # noqa: ISC004 - one line
            "kubernetes:test/shop-0/app (dededededede)",
            {f"/kubepods/pod1/{C}", f"/kubepods/pod2/{D}"},
        ),
    ],
)
def test_an_ambiguous_target_lists_what_it_could_mean(target: str, message: str, candidates: set[str]) -> None:
    """Never a guess: the candidates in one line, told apart by engine and id."""
    with pytest.raises(TargetError) as caught:
        _find(target)
    assert str(caught.value) == f"{message}; give more of the id"
    assert set(caught.value.candidates) == candidates


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("wep", "no container wep: did you mean web?"),
        ("docker:wep", "no container docker:wep: did you mean web?"),
        ("zzzzzz", "no container zzzzzz: 7 containers are running"),
        ("", "no container named: give an id, a name, engine:name, pid:N or a cgroup path"),
        ("pid:9", "there is no process 9"),
        ("pid:", "pid: is no process id: give a positive number"),
        ("pid:0", "pid:0 is no process id: give a positive number"),
        ("pid:-7", "pid:-7 is no process id: give a positive number"),
        ("pid:\u0667", "pid:\u0667 is no process id: give a positive number"),
        ("pid:7 ", "pid:7  is no process id: give a positive number"),
        ("pid:" + "9" * 30, f"pid:{'9' * 30} is no process id: give a positive number"),
        ("/docker/../docker", "no container /docker/../docker: 7 containers are running"),
        ("/nothing/here", "no container /nothing/here: 7 containers are running"),
        ("we\nb\x1b[2J", "no container we\\nb\\x1b[2J: 7 containers are running"),
    ],
)
def test_an_unknown_target_is_explained(target: str, message: str) -> None:
    """One printable line: what was asked for, and what looks like it."""
    with pytest.raises(TargetError) as caught:
        _find(target)
    assert str(caught.value) == message


@pytest.mark.parametrize("error", [KeyError(7), ProcessLookupError(), FileNotFoundError(), CgroupGone("/x")])
def test_a_process_that_ended_is_no_traceback(error: Exception) -> None:
    """However the look-up of a pid says that it is gone, it is one line."""
    with pytest.raises(TargetError, match=r"^there is no process 7$"):
        find("pid:7", [], _raising(error), CGROUPS.__contains__)


def test_a_process_outside_of_the_mounts_is_told_apart() -> None:
    """A process may be there while its cgroup is not visible here."""
    with pytest.raises(TargetError, match="no mount of this machine shows"):
        find("pid:7", [], _raising(OutOfSight("/x")), CGROUPS.__contains__)


def test_without_containers_the_message_says_so() -> None:
    """The commonest reason for an unknown name."""
    with pytest.raises(TargetError, match=r"^no container web: no container is running$"):
        find("web", [], PIDS.__getitem__, CGROUPS.__contains__)


def test_several_targets_give_each_cgroup_once() -> None:
    """The order is the user's; the same container by two names is one."""
    targets = ["job", "db", f"docker:{A2}", "/cgscope/job"]
    found = find_all(targets, iter(CONTAINERS), PIDS.__getitem__, CGROUPS.__contains__)
    assert found == ["/cgscope/job", f"/docker/{A2}"]


def test_helpers_are_never_meant() -> None:
    """A monitor has its container's name but is not it."""
    monitor = [("/lxc.monitor.x", Identity("lxc", "x", "x", "x", kind=Kind.HELPER))]
    with pytest.raises(TargetError):
        find("x", monitor, PIDS.__getitem__, CGROUPS.__contains__)


@given(
    st.one_of(st.text(), st.sampled_from(["pid:", "docker:", "/"]).flatmap(lambda head: st.text().map(head.__add__)))
)
def test_any_target_is_a_path_or_one_printable_line(target: str) -> None:
    """Whatever is typed, and whatever containers are called."""
    odd = [("/odd", _identity("odd", "\udcff\n", "\x1b]0;\n"))]
    try:
        answer = find(target, CONTAINERS + odd, PIDS.__getitem__, CGROUPS.__contains__)
    except TargetError as error:
        answer = "/" + str(error)
    assert answer.startswith("/")
    assert answer.isprintable()


def _raising(error: Exception) -> Callable[[int], str]:
    def path_of_pid(_pid: int) -> str:
        raise error

    return path_of_pid
