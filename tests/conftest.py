"""What every test may ask for: real programs and the choice to write golden files anew."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from scripts.debian_tools import DebianTools, Tool, Unavailable


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--update-golden`` (`make golden`)."""
    parser.addoption("--update-golden", action="store_true", help="write the expected files instead of comparing")


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def tool() -> Callable[[str], Tool]:
    """Return the finder of real programs: ``tool("htop")`` gives its path and the environment to start it with.

    A program that can neither be found nor fetched fails the test; only where there is no apt, and outside of
    continuous integration (``CI=true``), the test is skipped with the reason.
    """
    tools = DebianTools()

    def find(name: str) -> Tool:
        try:
            return tools.tool(name)
        except Unavailable as reason:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(str(reason))

    return find
