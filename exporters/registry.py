"""The same metrics for somebody's own prometheus-client registry.

::

registry.register(CgroupCollector(Exporter(Settings()).scraper))
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from exporters.collector import Scraper
from exporters.labels import clean
from exporters.metric import Exemplar, Metric
from exporters.sheet import Part, Sheet

_TYPES = {"counter": "counter", "gauge": "gauge", "untyped": "unknown"}


class CgroupCollector(Collector):
    """Scrapes once for each `collect`. Safe to use from several threads."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._lock = threading.Lock()

    def describe(self) -> Iterator[PrometheusMetric]:
        """Yield all metrics without samples, so that registering reads nothing."""
        for metric, _places in Sheet(self._scraper.families.values()).metrics():
            yield _family(metric)

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield all metrics with their samples as of now."""
        with self._lock:
            sheet = self._scraper.scrape()
        return families(sheet)


def families(sheet: Sheet) -> Iterator[PrometheusMetric]:
    """Turn a sheet into prometheus-client's metrics; those without samples are left out."""
    for metric, places in sheet.metrics():
        family = _family(metric)
        for part, index in places:
            _add(family, metric, part, index)
        if family.samples:
            yield family


def _family(metric: Metric) -> PrometheusMetric:
    # Counters are called without _total there, and get it back when they are written.
    name = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
    return PrometheusMetric(name, metric.help, _TYPES[metric.type], metric.unit)


def _add(family: PrometheusMetric, metric: Metric, part: Part, index: int) -> None:
    column = part.group.columns[index]
    for names, labels, row in part.rows:
        value = row[index]
        if value is not None:
            own = {name: clean(text) for name, text in zip(part.group.labels, labels, strict=True) if text}
            named = {**names.labels, **own, **dict(column.constant)}
            family.add_sample(metric.name, named, float(value), None, _exemplar(part.group.exemplar(index, row)))


def _exemplar(exemplar: Exemplar | None) -> PrometheusExemplar | None:
    if exemplar is None:
        return None
    return PrometheusExemplar(dict(exemplar.labels), float(exemplar.value), exemplar.epoch)
