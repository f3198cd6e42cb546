"""Every alert has a runbook that says what it means, what to look at and what to do, with commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cgscope.errors import UsageError
from ctop.cli import parser as ctop_parser
from ctop.columns import COLUMNS
from exporters.alerts.rulefile import METRICS, shipped_rules
from exporters.options import parser as exporter_parser
from procfs_fuse.cli import whole_parser as procfs_fuse_parser

RUNBOOKS = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
COMMAND = re.compile(r"`((?:ctop|procfs-fuse|cgroup-exporter|curl)\b[^`]*)`")


def test_there_are_no_others() -> None:
    """A runbook without an alert helps nobody; each alert has one."""
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(shipped_rules())


@pytest.mark.parametrize("alert", shipped_rules())
def test_a_runbook_is_complete(alert: str) -> None:
    """Meaning, impact, diagnosis with both tools, mitigation; other alerts that it names exist."""
    text = (RUNBOOKS / f"{alert}.md").read_text()
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert head.startswith(f"# {alert}\n\n")
    assert [section.partition("\n")[0] for section in sections] == ["Impact", "Diagnosis", "Mitigation"]
    assert all(len(part.strip()) > 30 for part in (head, *sections))
    assert "`ctop " in sections[1]
    assert "`procfs-fuse " in sections[1]
    named = set(re.findall(r"\b(?:Container|Machine|Exporter|KeyProcess|VirtualProc)[A-Z][A-Za-z]+", text))
    assert named <= set(shipped_rules())


@pytest.mark.parametrize("alert", shipped_rules())
def test_commands_of_a_runbook_are_understood(alert: str) -> None:
    """Options, columns and metrics that it names are there."""
    text = (RUNBOOKS / f"{alert}.md").read_text()
    commands = COMMAND.findall(text)
    assert commands
    for command in commands:
        program, *words = shlex.split(command.split(" | ")[0])
        try:
            if program == "ctop":
                given = ctop_parser().parse_args(words)
                names = [*(given.columns or "").split(","), given.sort or ""]
                assert set(filter(None, names)) <= set(COLUMNS)
            elif program == "procfs-fuse":
                procfs_fuse_parser().parse_args(words)
            elif program == "cgroup-exporter" and words[0] != "alerts":
                exporter_parser().parse_args(words)
        except UsageError as error:
            pytest.fail(f"{command}: {error}")
        for pattern in re.findall(r"grep (?:-e )?([a-z_]+)", command) if "dmesg" not in command else ():
            assert any(pattern in name for name in METRICS) or program not in ("curl", "cgroup-exporter"), command
