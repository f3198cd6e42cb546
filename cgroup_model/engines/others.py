r"""Systems of which the path is all there is to know here: a row each.

| System | Paths | Source |
|---|---|---|
| OpenVZ, Virtuozzo | `/machine.slice/<number or UUID>`, `/ve/…` | OpenVZ 7, libvzctl |
| Mesos | `/mesos/<UUID>`, nested ones below `mesos` again | mesos, containerizer/mesos/isolators/cgroups |
| Garden | `/garden/<handle>`, `/garden/good/<handle>` (by CPU entitlement) | guardian, rundmc/cgroups |
| Warden | `/instance-<handle>`, also below `warden` | warden, root/linux/skeleton |
| rkt | `/machine.slice/machine-rkt\x2d<UUID>.scope` | rkt, Documentation/devel/cgroups |
| lmctfy | its containers' names are paths; those below `/lmctfy` | lmctfy, containers |
| vpsAdminOS | `/osctl/pool.<pool>/group.<group>/user.<user>/ct.<id>` | osctld, cgroups |
"""

from __future__ import annotations

from typing import Final

from cgroup_model.engines._patterns import OCI_ID, Kind, Pattern

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HANDLE: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}[0-9a-f-]*"  # Cloud Foundry's: a UUID, often cut
_DASH: Final = r"(?:-|\\x2d)"
_UNIT_UUID: Final = rf"[0-9a-f]{{8}}(?:{_DASH}[0-9a-f]{{4}}){{3}}{_DASH}[0-9a-f]{{12}}"

PATTERNS = (
    Pattern("openvz", rf"(?P<id>[1-9][0-9]{{1,9}}|{_UUID})", parent=r"machine\.slice|ve"),
    Pattern("mesos", rf"(?P<id>{_UUID})", parent="mesos"),
    Pattern("garden", rf"(?!(?:good|bad)\Z){OCI_ID}", parent="garden"),
    Pattern("garden", rf"(?P<id>{_HANDLE})", parent="good|bad"),
    Pattern("warden", r"instance-(?P<id>[a-z0-9]{11})"),
    Pattern("rkt", rf"machine-rkt\\x2d(?P<id>{_UNIT_UUID})\.scope"),
    Pattern("lmctfy", OCI_ID, parent="lmctfy"),
    Pattern("vpsadminos", r"ct\.(?P<id>[A-Za-z0-9_.-]+)", parent=r"user\.[^/]+"),
    Pattern("vpsadminos", r"(?P<id>monitor)", parent=r"user\.[^/]+", kind=Kind.HELPER),
)
