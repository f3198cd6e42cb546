"""What is served, where: the choices of ``procfs-fuse mount`` as every process of an instance gets them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from cgroup_model.snapshot import Policy
from procfs_fuse.selection import Selection

DEFAULT_REQUEST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One instance."""

    mountpoint: str
    directory: str  # of the instance's state
    ttl_ms: int = 10
    policy: Policy = field(default_factory=Policy)
    automatic: bool = False
    selection: Selection = field(default_factory=Selection)
    pidfile: str | None = None
    request_seconds: float = DEFAULT_REQUEST_SECONDS  # a worker that takes longer for one is replaced

    def to_json(self) -> str:
        """Text for another process, see `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Inverse of `to_json`."""
        values = json.loads(text)
        selection = Selection(*(tuple(values["selection"][key]) for key in ("files", "no_files")))
        return cls(**{**values, "policy": Policy(**values["policy"]), "selection": selection})
