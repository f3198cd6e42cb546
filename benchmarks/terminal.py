"""The terminal view beside its peers: `benchmarks.ctop`, run as a program of its own, its figures taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

from benchmarks.kit import Kit

CGROUPS: Final = (100, 1000, 5000)


def measure(kit: Kit) -> None:
    """Run it and take its figures in."""
    path = os.path.join(kit.folder, "ctop.json")
    words = ["--rounds", "1", "--seconds", "5"] if kit.quick else ["--rounds", "3", "--seconds", "10"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ctop", *words, "--json", path], check=False, stdout=subprocess.DEVNULL
    )
    if not os.path.exists(path):
        kit.results.missing.append(f"ctop and its peers: it ended with {done.returncode}")
        return
    with open(path, encoding="utf-8") as file:
        take_in(kit, json.load(file))


def take_in(kit: Kit, data: dict[str, Any]) -> None:
    """Turn its medians into rows."""
    for name, found in data["candidates"].items():
        figures = {
            "cpu_msec": found["cpu_ms_per_look"],
            "rss_mib": found["rss_mib"],
            "first_seconds": found["first_frame_seconds"],
            "frame_bytes": found["bytes_per_look"],
        }
        kit.results.add("list, a look a second", name, figures, size=1000, of="cgroups")
