"""/sys/devices/system/cpu/possible: the same list as ``online``; no CPU is ever added to the numbering of a container.

Kernel: drivers/base/cpu.c. glibc's ``_SC_NPROCESSORS_CONF`` counts this list since 2.35, and lscpu walks over it.
"""

from __future__ import annotations

from procfs_fuse.views.cpu_online import NEEDS, render

__all__ = ["NEEDS", "PATH", "render"]

PATH = "sys/devices/system/cpu/possible"
