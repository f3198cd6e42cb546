"""This software and what it needs of Python."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from cgscope.doctor.finding import Finding, note, ok, problem
from cgscope.doctor.machine import Machine

TITLE = "software"

_LEAST_PYTHON: Final = (3, 11)
_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)")


def check(_machine: Machine) -> Iterator[Finding]:
    """Look at versions."""
    yield _python()
    try:
        package = metadata.distribution("cgscope")
    except metadata.PackageNotFoundError:
        yield note("cgscope", "runs from a folder, not installed", "pip install . makes the commands known")
        return
    yield ok("cgscope", package.version)
    for requirement in package.requires or []:
        found = _REQUIREMENT.match(requirement)
        if found and "extra ==" not in requirement:
            yield _dependency(found[1], found[2])


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < _LEAST_PYTHON:
        return problem("python", version, "3.11 is the oldest that works")
    return ok("python", version)


def _dependency(name: str, least: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return problem(name, "is not installed", f"pip install '{name}>={least}'")
    if _numbers(version) < _numbers(least):
        return problem(name, f"{version} is too old", f"pip install '{name}>={least}'")
    return ok(name, version)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]
