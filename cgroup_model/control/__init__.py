"""Making, limiting, freezing and removing cgroups, the same on v1, hybrid and v2.

A cgroup is named by one path and lives at that path in every hierarchy that serves a controller we know. Of cgroups
that existed before nothing is changed but that, on v2, ancestors hand controllers on (adding, never removing).
Every failure is a `ControlError`: one line that says what, which object, why and what to do.
"""

from cgroup_model.control.creation import create, remove
from cgroup_model.control.errors import ControlError
from cgroup_model.control.limits import Limits, apply, limit_writes
from cgroup_model.control.processes import add_process, freeze, kill, procs, thaw

__all__ = [
    "ControlError",
    "Limits",
    "add_process",
    "apply",
    "create",
    "freeze",
    "kill",
    "limit_writes",
    "procs",
    "remove",
    "thaw",
]
