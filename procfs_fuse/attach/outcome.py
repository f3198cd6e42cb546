"""What became of each file of an attachment, in words that a person and a program can use."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Fate(enum.Enum):
    """What happened at one path of a container."""

    MOUNTED = "mounted"
    KEPT = "kept"  # ours was there already
    REPAIRED = "repaired"  # ours was there, dead or another container's, and was replaced
    MISSING = "missing"  # the container has no such path
    MASKED = "masked"  # its runtime hides it
    SKIPPED = "skipped"  # left alone, see the note
    DETACHED = "detached"
    FAILED = "failed"


class Reason(enum.Enum):
    """Why a container could not be attached, as metrics count it; the sentence beside it says more."""

    KERNEL = "kernel"  # it has no calls for that
    REFUSED = "refused"  # not a container's process, or not ours to look into
    FILES = "files"  # the instance has none for it, or they cannot be cloned
    HELPER = "helper"  # the process that is to mount them could not be made, or not enter
    HANGS = "hangs"  # it had to be killed
    MOUNT = "mount"  # one of them could not be mounted


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One path."""

    path: str  # as the container sees it
    fate: Fate
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All paths of one container. ``problem`` is set when nothing was changed, or all was taken back."""

    files: tuple[FileOutcome, ...] = ()
    spare: tuple[str, ...] = ()  # where pristine procfs or sysfs were mounted, for nested containers
    problem: str | None = None
    gone: bool = False  # the container ended meanwhile: nobody's fault
    reason: Reason | None = None  # of the problem

    @property
    def ok(self) -> bool:
        """Whether the container is as it was asked for, as far as it has the paths."""
        return self.problem is None

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of files by fate."""
        return Counter(one.fate.value for one in self.files)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return any(one.fate in {Fate.MOUNTED, Fate.REPAIRED, Fate.DETACHED} for one in self.files)

    def sentence(self) -> str:
        """The counts in words, or the problem."""
        if self.problem is not None:
            return self.problem
        return ", ".join(f"{count} {fate}" for fate, count in self.counts.items()) or "nothing to do"

    def to_json(self) -> dict[str, Any]:
        """JSON types, see `from_json`."""
        files = [{"path": one.path, "fate": one.fate.value, "note": one.note} for one in self.files]
        reason = self.reason.value if self.reason is not None else None
        return {
            "files": files,
            "spare": list(self.spare),
            "problem": self.problem,
            "gone": self.gone,
            "reason": reason,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Inverse of `to_json`."""
        files = (FileOutcome(one["path"], Fate(one["fate"]), one["note"]) for one in data["files"])
        reason = Reason(data["reason"]) if data["reason"] is not None else None
        return cls(tuple(files), tuple(data["spare"]), data["problem"], data["gone"], reason)


@dataclass(slots=True)
class Notes:
    """The outcome while it comes about."""

    files: list[FileOutcome] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)

    def add(self, path: str, fate: Fate, note: str = "") -> None:
        """Note what happened at a path."""
        self.files.append(FileOutcome(path, fate, note))

    def paths(self, fates: Iterable[Fate]) -> list[str]:
        """The paths with one of these fates."""
        wanted = set(fates)
        return [one.path for one in self.files if one.fate in wanted]

    def outcome(self) -> Outcome:
        """What it has become."""
        return Outcome(tuple(self.files), tuple(self.spare))
