"""/proc/slabinfo: the container's own slabs, where the kernel lists them.

Kernel: mm/slab_common.c, memcg_slab_show(): cgroup v1 before Linux 5.9, in the format of the machine's file.

    slabinfo - version: 2.1
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables …
    dentry              1239   1239    192   21    1 : tunables    0    0    0 : slabdata     59     59      0

Elsewhere opening the file fails. It is bound all the same: the machine's list tells everybody's business, which is why
only root may read it, and root of a container is not that root.
"""

from __future__ import annotations

from cgroup_model.snapshot import Need, Snapshot

PATH = "proc/slabinfo"
MODE = 0o400
SECRET = True
NEEDS = OPTIONAL = Need.SLABINFO


def exists(snapshot: Snapshot) -> bool:
    """Tell whether the kernel lists the container's slabs."""
    return bool(snapshot.slabinfo)


def render(snapshot: Snapshot) -> bytes:
    """Return the kernel's own text for the container."""
    return snapshot.slabinfo or b""
