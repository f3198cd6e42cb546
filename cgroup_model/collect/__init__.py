"""Control files and host files to a `Snapshot`; the only place that forgives errors.

A part that cannot be read is None, counted in `Collector.problems` and logged once. A level of the hierarchy that
cannot be read is left out of the minima. A cgroup that is gone is the caller's matter: `CgroupGone`.
"""

from cgroup_model.collect.collector import Collector, boot_seconds
from cgroup_model.collect.plan import History
from cgroup_model.collect.problems import Problems

__all__ = ["Collector", "History", "Problems", "boot_seconds"]
