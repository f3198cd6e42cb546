"""/sys/devices/system/cpu/present: the same list as ``online``; a CPU that is not shown is not there.

Kernel: drivers/base/cpu.c. lscpu prints the length of this list as the number of CPUs.
"""

from __future__ import annotations

from procfs_fuse.views.cpu_online import NEEDS, render

__all__ = ["NEEDS", "PATH", "render"]

PATH = "sys/devices/system/cpu/present"
