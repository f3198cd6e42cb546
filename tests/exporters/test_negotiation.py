"""What clients ask for, as real ones write it."""

from __future__ import annotations

import pytest

from exporters.negotiation import choose_format, takes_gzip

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
CLASSIC_FIRST = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (PROMETHEUS_2_42, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        (CLASSIC_FIRST, "text"),
        ("application/openmetrics-text", "openmetrics"),
        ('Application/OpenMetrics-Text; Version="1.0.0"', "openmetrics"),
        ("application/openmetrics-text;version=2.0.0", "text"),
        ("application/openmetrics-text;q=0", "text"),
        ("application/openmetrics-text;q=x", "text"),
        ("*/*", "text"),
        ("text/html,application/xhtml+xml", "text"),
        ("", "text"),
        (";;;,,,==q=", "text"),
        ("a," * 1000 + "application/openmetrics-text", "text"),
    ],
)
def test_format(accept: str, form: str) -> None:
    """OpenMetrics when it is liked best in a version that we write; everybody else gets the classic format."""
    assert choose_format(accept) == form


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("gzip, deflate, br", True), ("br;q=1, gzip;q=0.5", True), ("gzip;q=0", False), ("", False)],
)
def test_gzip(header: str, takes: bool) -> None:  # noqa: FBT001 - a parameter
    """Compressed only for those who understand it and do not refuse it."""
    assert takes_gzip(header) is takes
