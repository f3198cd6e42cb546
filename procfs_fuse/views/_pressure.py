"""What the three files of /proc/pressure have in common: the container's own, or none at all.

Kernel: kernel/sched/psi.c, Documentation/accounting/psi.rst; percent, and microseconds in ``total``.

    some avg10=0.00 avg60=0.12 avg300=0.05 total=123456
    full avg10=0.00 avg60=0.00 avg300=0.00 total=98765

The kernel writes the same format for a cgroup, so the text is passed on as it is. Where it does not account the
container's stalls there is no such file: the machine's would be about others, and zeros would look like health.
"""

from __future__ import annotations

from cgroup_model.snapshot import PressureResource


def exists(resource: PressureResource | None) -> bool:
    """Tell whether the kernel accounts this resource for the container."""
    return resource is not None and bool(resource.raw)


def render(resource: PressureResource | None) -> bytes:
    """Return the kernel's own text; nothing where there is none."""
    return b"" if resource is None else resource.raw
