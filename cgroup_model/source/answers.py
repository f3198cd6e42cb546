"""Answers that are no bytes."""

from __future__ import annotations


class Missing(Exception):
    """The cgroup is there, but this kernel or controller gives it no such file."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class CgroupGone(Exception):
    """The cgroup was removed."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.directory = directory
