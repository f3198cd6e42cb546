"""Putting an instance's files into running containers, and taking them out again, with no restart.

A mount of the file is cloned here, a short-lived process enters the container's namespaces and moves the clone there.
`attach` is safe to repeat: what is there stays, what is dead is replaced, and what cannot be done undoes the rest.
"""

from __future__ import annotations

from procfs_fuse.attach.attachment import attach, detach
from procfs_fuse.attach.outcome import Fate, FileOutcome, Outcome
from procfs_fuse.attach.repair import repair
from procfs_fuse.attach.target import Gone, Refused
from procfs_fuse.attach.withdrawal import withdraw

__all__ = ["Fate", "FileOutcome", "Gone", "Outcome", "Refused", "attach", "detach", "repair", "withdraw"]
