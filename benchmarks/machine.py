"""What a run was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from cgroup_model.mounts import discover_mounts

ROOT: Final = Path(__file__).parents[1]
_LIBRARIES: Final = ("fusepy", "prometheus-client", "psutil", "textual", "aiohttp")


def describe() -> dict[str, Any]:
    """Machine, kernel, versions and load, as JSON types."""
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "revision": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "memory_kib": int(_field("/proc/meminfo", "MemTotal").split()[0]),
        "hypervisor": "hypervisor" in _field("/proc/cpuinfo", "flags").split(),
        "kernel": platform.release(),
        "cgroups": discover_mounts().world,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "load_before": os.getloadavg()[0],
    }


def _field(path: str, name: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(name)), "0")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
