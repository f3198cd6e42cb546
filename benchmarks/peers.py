"""Debian's programs that ours are measured beside, and of which version they are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Mapping
from typing import Final

from scripts.debian_tools import TOOLS, DebianTools

_PROGRAMS: Final[Mapping[str, str]] = {
    "lxcfs": "lxcfs",
    "node_exporter": "prometheus-node-exporter",
    "netdata": "netdata",
    "systemd-cgtop": "systemd-cgtop",
    "htop": "htop",
}
"""Candidate -> program."""
_VERSION: Final = re.compile(r"\d+(\.\d+)+|\d{3}")


def tools() -> DebianTools:
    """Where peers are found, the machine's own first."""
    more = {
        "prometheus-node-exporter": "prometheus-node-exporter",
        "netdata": "netdata-core",
        "systemd-cgtop": "systemd",
    }
    return DebianTools(packages={**TOOLS, **more})


def versions(measured: Collection[str]) -> dict[str, str]:
    """Version of each of these candidates that is one of Debian's programs, as it says itself."""
    return {name: _version(program) for name, program in _PROGRAMS.items() if name in measured}


def _version(program: str) -> str:
    tool = tools().tool(program)
    for option in ("--version", "-V"):
        done = subprocess.run([tool.path, option], env=tool.env, check=False, capture_output=True, text=True)
        if done.returncode == 0 and (found := _VERSION.search(done.stdout + done.stderr)):
            return found[0]
    return "unknown"
