"""What a container is to be: the record that all parts of the launcher share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cgroup_model.mounts import Mounts
from procfs_fuse.bindings import Binding

PARENT_CGROUP: Final = "/cgscope"
"""Every container of the launcher is a cgroup right below this one."""


@dataclass(frozen=True, slots=True)
class Container:
    """One container, before it is started."""

    id: str
    command: tuple[str, ...]
    mounts: Mounts  # the host's cgroup hierarchies
    files: tuple[Binding, ...] = ()  # virtual files over the kernel's
    rootfs: str | None = None  # None: the host's root
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # beside what rootfs and user imply
    hostname: str | None = None
    answered: tuple[str, ...] = ()  # system calls that the agent is to answer

    @property
    def cgroup(self) -> str:
        """Path of its cgroup in every hierarchy."""
        return f"{PARENT_CGROUP}/{self.id}"


def new_id() -> str:
    """A name that no other container has."""
    return os.urandom(6).hex()
