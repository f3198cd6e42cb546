"""Programs that are started from a checkout do not compile it each time."""

from __future__ import annotations

import subprocess
import sys

from scripts.bytecode import ROOT, compile_packages


def test_what_was_compiled_is_used_where_nothing_may_be_written() -> None:
    """After `compile_packages` no module of ours is compiled from its source, not even by a Python that writes none."""
    compile_packages()
    command = [sys.executable, "-B", "-v", "-c", "import ctop.columns"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr.splitlines()
    ours = [line for line in said if str(ROOT / "ctop") in line or str(ROOT / "cgroup_model") in line]
    assert any(line.startswith("# code object from") and "ctop/__pycache__" in line for line in ours), ours
    assert not [line for line in ours if line.startswith("# code object from") and line.rstrip("'").endswith(".py")]
