"""The page's text: the same samples as prometheus-client reads and as a registry with our collector has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as PrometheusMetric

from cgroup_model.engines import Identity, Kind
from exporters.encoder import Format, encode
from exporters.families import FAMILIES
from exporters.labels import NO_NAMES, Names, names_of
from exporters.metric import Exemplar, Family, Group, counter, gauge, untyped
from exporters.registry import CgroupCollector, families
from exporters.setup import Exporter
from exporters.sheet import Sheet
from tests.exporters.parsed import PARSERS, parse_openmetrics, parse_text, samples
from tests.exporters.scenes import SCENES


@dataclass(frozen=True)
class Record:
    """Values of every kind."""

    one: float | None
    two: int | None


@dataclass(frozen=True)
class Event:
    """A count with an event."""

    value: int
    event: Exemplar | None


LABELLED = ("device",)
FAMILY = Family(
    "test",
    "A test",
    (
        Group(
            Record,
            lambda record: record,
            (
                gauge("test_one", 'A "text" with \\ and more.', "one"),
                counter("test_seconds_total", "A counter.", "two", lambda value: value / 1000),
                untyped("test_failcnt", "An old counter.", "two"),
                gauge("test_kinds", "Constant labels.", "one", kind='a"b'),
                gauge("test_kinds", "Constant labels.", "two", kind="c"),
            ),
        ),
        Group(Record, lambda record: record, (gauge("test_device", "By device.", "one", labels=LABELLED),), LABELLED),
    ),
)
MACHINE = Family(
    "machine_test",
    "A test",
    (
        Group(
            Record,
            lambda record: record,
            (gauge("machine_test", "Plain.", "one"), gauge("machine_kinds", "K.", "two", kind="x")),
        ),
        Group(
            Record, lambda record: record, (gauge("machine_device", "By device.", "one", labels=LABELLED),), LABELLED
        ),
    ),
    of="machine",
)

# Cgroups' names are any bytes but NUL and the slash; engines' names any text.
file_names = st.binary(min_size=1, max_size=20).map(
    lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
texts = st.text(st.characters(exclude_characters="\0"), max_size=20)
numbers = st.none() | st.integers(0, 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
records = st.builds(Record, one=numbers, two=st.none() | st.integers(0, 2**64 - 1))


def sheet_of(rows: Iterable[tuple[Names, Record, str]]) -> Sheet:
    """Put records on a sheet, each with a device."""
    sheet = Sheet([FAMILY, MACHINE])
    plain, labelled = sheet.parts["test"]
    machine, machine_labelled = sheet.parts["machine_test"]
    for names, record, device in rows:
        plain.rows.append((names, (), plain.group.values(record)))
        labelled.rows.append((names, (device,), labelled.group.values(record)))
        machine.rows[:] = [(NO_NAMES, (), machine.group.values(record))]
        machine_labelled.rows[:] = [(NO_NAMES, (device,), machine_labelled.group.values(record))]
    return sheet


class Unwritable:
    """What is no text."""

    def __str__(self) -> str:
        raise ValueError("not a number")


def declarations(metrics: Iterable[PrometheusMetric]) -> dict[str, tuple[str, str]]:
    """Map name -> (type, text)."""
    return {one.name.removesuffix("_total"): (one.type, one.documentation) for one in metrics}


@given(st.lists(st.tuples(file_names, texts, records, texts), max_size=5, unique_by=lambda row: row[0]))
def test_what_is_written_is_read_back(rows: list[tuple[str, str, Record, str]]) -> None:
    """Both of prometheus-client's parsers read from our page what its own collector would have given, for any label."""
    identities = [
        (f"/{path}", Identity("docker", "x", name or None, "x", kind=Kind.CONTAINER)) for path, name, *_ in rows
    ]
    named = [names_of(path, identity, "cadvisor") for path, identity in identities]
    if len({names.text for names in named}) < len(named):
        return  # bytes that are no UTF-8 can look like others: the scraper exports one of them
    sheet = sheet_of((names, row[2], row[3]) for names, row in zip(named, rows, strict=True))
    expected = samples(families(sheet))
    assert samples(parse_text(b"".join(encode(sheet, "text")).decode())) == expected
    assert samples(parse_openmetrics(b"".join(encode(sheet, "openmetrics")).decode())) == expected


@pytest.mark.parametrize("form", PARSERS)
@pytest.mark.parametrize("chosen", [{}, {"naming": "thin", "cgroups": "all", "container_labels": ("owner", "team")}])
@pytest.mark.parametrize("scene", SCENES)
def test_pages_equal_a_registry(
    exporter: Callable[..., Exporter], scene: str, chosen: dict[str, object], form: Format
) -> None:
    """A page has the samples, types and texts that somebody's own registry has with our collector in it."""
    everything = {name: name != "exporter" for name in FAMILIES}
    scraper = exporter(scene, collectors=everything, **chosen).scraper
    registry = CollectorRegistry()
    registry.register(CgroupCollector(scraper))
    parse = PARSERS[form]
    ours = list(parse(b"".join(encode(scraper.scrape(), form)).decode()))
    theirs = list(parse_text(generate_latest(registry).decode()))
    assert samples(ours) == samples(theirs)
    assert declarations(ours) == declarations(theirs)


def test_registering_reads_nothing(exporter: Callable[..., Exporter]) -> None:
    """A registry asks for names when it registers: that must not scrape."""
    scraper = exporter("v2-docker").scraper
    CollectorRegistry().register(CgroupCollector(scraper))
    assert scraper.status.scrapes == 0


def test_a_metric_that_cannot_be_written_is_left_out() -> None:
    """One bad value must not cost the page."""
    sheet = sheet_of([(NO_NAMES, Record(1.0, 2), "sda")])
    plain = sheet.parts["test"][0]
    plain.rows.append((NO_NAMES, (), (1, Unwritable(), 3, 4, 5)))
    page = b"".join(encode(sheet, "text")).decode()
    assert "test_seconds_total" not in page
    assert "test_failcnt" in page


def test_numbers_keep_all_their_digits() -> None:
    """Byte counters above 2**53 are written as integers, fractions so that they read back as the same float."""
    page = b"".join(encode(sheet_of([(NO_NAMES, Record(math.pi, 2**63 + 1), "sda")]), "text")).decode()
    assert f"machine_test {math.pi!r}\n" in page
    assert f'machine_kinds{{kind="x"}} {2**63 + 1}\n' in page


def test_exemplars_are_for_openmetrics() -> None:
    """The event behind a counter is on the OpenMetrics page, as its parser reads it; the classic format has none."""
    event = Exemplar((("pid", "42"), ("comm", "a b")), 1, 1_767_268_800.5)  # its parser takes no quotes
    columns = (counter("test_total", "T.", "value", exemplar="event"), counter("test_more_total", "T.", "value"))
    group = Group(Event, lambda record: record, columns)
    sheet = Sheet([Family("test", "A test", (group,))])
    names = names_of("/a", Identity("docker", "x", "x", "x", kind=Kind.CONTAINER), "thin")
    sheet.parts["test"][0].rows += [
        (names, (), group.values(Event(3, event))),
        (names, (), group.values(Event(3, None))),
    ]
    read = [one for one in parse_openmetrics(b"".join(encode(sheet, "openmetrics")).decode()) if one.name == "test"]
    found = read[0].samples[0].exemplar
    assert found is not None
    assert (found.labels, found.value, float(str(found.timestamp))) == (dict(event.labels), 1.0, event.epoch)
    ours = next(iter(families(sheet))).samples[0].exemplar
    assert ours is not None
    assert (ours.labels, ours.value, ours.timestamp) == (dict(event.labels), 1.0, event.epoch)
    assert " # {" not in b"".join(encode(sheet, "text")).decode()
