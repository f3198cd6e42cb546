"""Profiles, messages of runtimes, metadata."""

from __future__ import annotations

import json

import pytest

from procfs_fuse.seccomp import profile, reception, words
from procfs_fuse.seccomp.abi import SCHED_GETAFFINITY, SYSINFO, abis
from procfs_fuse.seccomp.filter import program

CALLS = [SYSINFO, SCHED_GETAFFINITY]


def test_merging_takes_our_calls_out_of_every_other_rule() -> None:
    """Two rules for one call are an error to runtimes; what else a rule says stays; the base is left alone."""
    base = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64"}],
        "syscalls": [
            {"names": ["read", SYSINFO], "action": "SCMP_ACT_ALLOW", "comment": "kept"},
            {"names": [SCHED_GETAFFINITY], "action": "SCMP_ACT_ALLOW"},
            {"name": "write", "action": "SCMP_ACT_ALLOW"},
        ],
    }
    before = json.dumps(base)
    whole = profile.merged(base, CALLS, "/s", "affinity")
    assert json.dumps(base) == before
    assert whole["syscalls"] == [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "kept"},
        {"name": "write", "action": "SCMP_ACT_ALLOW"},
        {"names": CALLS, "action": "SCMP_ACT_NOTIFY"},
    ]
    assert (whole["listenerPath"], whole["listenerMetadata"]) == ("/s", "affinity")
    assert profile.merged(whole, CALLS, "/s", "affinity")["syscalls"] == whole["syscalls"], "merging again is fine"


@pytest.mark.parametrize(
    "base",
    [
        [],
        {},
        {"defaultAction": 1},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 3},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": 3, "action": "SCMP_ACT_ALLOW"}]},
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/other",
            "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}],
        },
    ],
)
def test_what_cannot_be_merged_into_is_refused(base: object) -> None:
    """No profile, a damaged one, or one that has another agent: the kernel allows one."""
    with pytest.raises(profile.NotAProfile):
        profile.merged(base, CALLS, "/s", "")


@pytest.mark.parametrize("affinity", [True, False])
@pytest.mark.parametrize("service", [None, "/run/a b/service.sock"])
def test_metadata_comes_back(affinity: bool, service: str | None) -> None:  # noqa: FBT001 - a parameter of the test
    """Words in, words out; whatever else somebody writes there means nothing."""
    text = words.metadata(affinity=affinity, service=service)
    assert words.parse_metadata(text) == (affinity, service)
    assert words.parse_metadata("something else") == (False, None)


def test_messages_of_runtimes() -> None:
    """The name is the container's id; the listener is where the list of descriptors says."""
    ours = json.loads(reception.message("box", 7, "affinity"))
    assert reception.understood(ours) == ("box", "affinity", 0)
    state = {"fds": ["other", "seccompFd"], "pid": 7, "state": {"id": "c1"}}
    assert reception.understood(state) == ("c1", "", 1)
    assert reception.understood({"fds": ["seccompFd"], "pid": 7}) == ("process 7", "", 0)
    with pytest.raises((KeyError, ValueError)):
        reception.understood({"fds": []})


def test_filter_has_an_end_for_every_architecture() -> None:
    """Each jump of the program stays inside, and its last instruction allows."""
    code = program(CALLS, abis("x86_64"))
    instructions = [code[i : i + 8] for i in range(0, len(code), 8)]
    for position, instruction in enumerate(instructions):
        if instruction[0] == 0x15:
            assert position + 1 + max(instruction[2], instruction[3]) < len(instructions)
    assert instructions[-1] == bytes.fromhex("06000000 0000ff7f")
    assert len(instructions) == 2 + 2 * (1 + 1 + 4 + 1)


def test_policies_of_lxc() -> None:
    """Alone it allows everything else; merged, our call is taken out of every other rule, comments or not."""
    assert profile.lxc_policy([SYSINFO]) == "2\ndenylist\n[all]\nsysinfo notify\n"
    base = "2\nallowlist\n[x86_64]\nread\nsysinfo # harmless\n[all]\n  sysinfo errno 1\nwrite  # kept\n"
    whole = profile.lxc_merged(base, [SYSINFO])
    assert whole == "2\nallowlist\n[x86_64]\nread\n[all]\nwrite  # kept\n[all]\nsysinfo notify\n"


@pytest.mark.parametrize("base", ["", "1\nallowlist\n0\n1\n", "2\n", "2\n\n", "/bin/sh\n/bin/bash\n"])
def test_policies_of_lxc_without_actions_are_refused(base: str) -> None:
    """Version 1 has numbers only; other files have nothing to do with it."""
    with pytest.raises(profile.NotAProfile):
        profile.lxc_merged(base, [SYSINFO])
