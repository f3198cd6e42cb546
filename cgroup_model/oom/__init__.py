"""OOM kills: how many in which cgroup, exactly, and who died; also in cgroups that are gone, and across restarts.

::

    with OomMonitor(discover_mounts(), state_path="/var/lib/cgscope/oom.json") as monitor:
        monitor.start()
        report = monitor.report()          # at any time, from any thread
        json.dumps(codec.encode(report))   # fields at their defaults are left out
"""

from cgroup_model.oom.monitor import OomMonitor
from cgroup_model.oom.records import Account, Report, Victim

__all__ = ["Account", "OomMonitor", "Report", "Victim"]
