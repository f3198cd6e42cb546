"""Pages as prometheus-client reads them, to be compared with what a registry with our collector has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as text_parser

from exporters.encoder import Format

Sample = tuple[str, tuple[tuple[str, str], ...], float]

Parser = Callable[[str], Iterable[Metric]]
parse_text = cast("Parser", text_parser)  # without annotations of its own
parse_openmetrics = cast("Parser", openmetrics_parser)
PARSERS: Final[dict[Format, Parser]] = {"text": parse_text, "openmetrics": parse_openmetrics}


def samples(metrics: Iterable[Metric]) -> list[Sample]:
    """List all samples in an order of their own; an empty label is no label."""
    found = [
        (one.name, tuple(sorted((k, v) for k, v in one.labels.items() if v)), float(one.value))
        for metric in metrics
        for one in metric.samples
    ]
    return sorted(found)
