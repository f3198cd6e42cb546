"""The ``alerts`` section of the configuration file: rules, overrides, what to watch, whom to tell."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

from cgroup_model.processes import Wanted
from cgscope.suggest import did_you_mean
from cgscope.yamlfile import Value
from exporters.alerts import fields
from exporters.alerts.deliveries.receiver import Kind, Receiver
from exporters.alerts.fields import Fields
from exporters.alerts.overrides import Override, Overrides, Which
from exporters.alerts.owners import label_name
from exporters.alerts.patterns import Pattern, shipped_patterns
from exporters.alerts.prometheus import RUNBOOKS
from exporters.alerts.rule import SEVERITIES, Rule, Severity
from exporters.alerts.rulefile import changed_rule, new_rule, shipped_rules
from exporters.readers.key_processes import KeyProcess

_SECTION: Final = (
    "enabled",
    "evaluation-interval",
    "runbooks",
    "labels",
    "engine-labels",
    "shipped-rules",
    "rules",
    "overrides",
    "processes",
    "kernel-log",
    "container-logs",
    "log",
    "webhooks",
    "alertmanagers",
)
_WHICH: Final = ("engine", "name", "namespace", "labels")
_OWN_GROUP: Final = "own"
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOBODY: Final[tuple[Receiver, ...]] = ()
_NO_PATTERNS: Final[tuple[Pattern, ...]] = ()
_NO_REGEX: Final = re.compile("")
_RESERVED: Final = frozenset({"alertname", "severity", "alertstate"})

_Named = TypeVar("_Named", KeyProcess, Pattern)


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """Everything that can be set about alerts. ``log``: the exporter's log is told, too."""

    enabled: bool = False
    interval_seconds: float = 15.0
    runbooks: str = RUNBOOKS
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = field(default_factory=lambda: tuple(shipped_rules().values()))
    overrides: tuple[Override, ...] = ()
    processes: tuple[KeyProcess, ...] = ()
    kernel_log: tuple[Pattern, ...] = field(default_factory=shipped_patterns)
    container_logs: tuple[Pattern, ...] = ()
    log: bool = True
    receivers: tuple[Receiver, ...] = ()

    @property
    def needed_labels(self) -> tuple[str, ...]:
        """Labels of engines that have to be read."""
        return tuple(dict.fromkeys((*self.engine_labels, *sorted(Overrides(self.overrides).engine_labels))))


def read_alerts(value: Value) -> AlertConfig:
    """Read the section; ``alerts: true`` is everything as it comes. Raises `ConfigError`."""
    if not value.is_mapping():
        return AlertConfig(enabled=value.flag())
    given = Fields.of(value, _SECTION, "alerts")
    first = shipped_rules() if given.get("shipped-rules", Value.flag, True) else {}
    rules = given.get("rules", lambda one: _rules(one, first), dict(first))
    return AlertConfig(
        enabled=given.get("enabled", Value.flag, True),
        interval_seconds=given.get("evaluation-interval", fields.longer, 15.0),
        runbooks=given.get("runbooks", _folder, RUNBOOKS),
        labels=given.get("labels", _labels, {}),
        engine_labels=given.get("engine-labels", _engine_labels, ()),
        rules=tuple(rules.values()),
        # They name rules: of those that are wrong nobody knows.
        overrides=() if value.mistakes else given.get("overrides", lambda one: _overrides(one, rules), ()),
        processes=given.get("processes", _processes, ()),
        kernel_log=given.get("kernel-log", _kernel_log, shipped_patterns()),
        container_logs=given.get("container-logs", lambda one: _patterns(one, of_containers=True), _NO_PATTERNS),
        log=given.get("log", Value.flag, True),
        receivers=(
            *given.get("webhooks", lambda one: _receivers(one, "webhook"), _NOBODY),
            *given.get("alertmanagers", lambda one: _receivers(one, "alertmanager"), _NOBODY),
        ),
    )


# -------------------------------------------------------------------------------------------------- rules


def _rules(value: Value, first: Mapping[str, Rule]) -> dict[str, Rule]:
    """Read changes of the rules that come with the exporter, and rules of one's own: those have a ``value``."""
    found, known = dict(first), shipped_rules()
    for alert, place, content in value.items():
        with place.forgiving():
            found.pop(alert, None)
            rule = _rule(alert, place, content, known)
            if rule is not None:
                found[alert] = rule
    return found


def _rule(alert: str, place: Value, content: Value, known: Mapping[str, Rule]) -> Rule | None:
    """Read one of them; None: it is switched off."""
    if _has_value(content):
        return new_rule(alert, place, content, _OWN_GROUP)
    if alert not in known:
        raise place.error(f"there is no rule {alert!r} (a new one needs a value); {_nearest(alert, known)}")
    return changed_rule(known[alert], content)


def _has_value(content: Value) -> bool:
    return content.is_mapping() and any(key == "value" for key, _, _ in content.items())


def _nearest(alert: str, rules: Iterable[str]) -> str:
    return did_you_mean(alert, rules) or "docs/alerts.md lists them"


def _overrides(value: Value, rules: Mapping[str, Rule]) -> tuple[Override, ...]:
    return value.each(lambda one: _override(one, rules))


def _override(value: Value, rules: Mapping[str, Rule]) -> Override:
    given = Fields.of(value, ("match", "rules"), "an override")
    which = given.need("match", _which, Which())
    return Override(which, given.need("rules", lambda one: _changes(one, rules), {}))


def _changes(value: Value, rules: Mapping[str, Rule]) -> dict[str, Rule | None]:
    changes: dict[str, Rule | None] = {}
    for alert, place, content in value.items():
        with place.forgiving():
            if alert not in rules:
                raise place.error(f"there is no rule {alert!r}; {_nearest(alert, rules)}")
            changes[alert] = changed_rule(rules[alert], content)
    return changes


def _which(value: Value) -> Which:
    given = Fields.of(value, _WHICH, "match")
    if given.whole and not given.found:
        raise value.error(f"expected one of {', '.join(_WHICH)}: this fits everything; change the rules instead")
    return Which(
        given.get("engine", fields.text, "*"),
        given.get("name", fields.text, "*"),
        given.get("namespace", fields.text, "*"),
        given.get("labels", fields.pairs, {}),
    )


# ------------------------------------------------------------------------------------------------- labels


def _labels(value: Value) -> dict[str, str]:
    for key, place, _ in value.items():
        if not _LABEL.fullmatch(key) or key in _RESERVED:
            raise place.error(f"{key!r} cannot be a label here")
    return fields.pairs(value)


def _engine_labels(value: Value) -> tuple[str, ...]:
    for one in value.sequence():
        if label_name(fields.text(one)) in _RESERVED:
            raise one.error(f"{one.text()!r} would hide the alert's own label")
    return fields.texts(value)


def _folder(value: Value) -> str:
    written = fields.text(value)
    return written if written.endswith(("/", "=", "#")) else f"{written}/"


# ------------------------------------------------------------------------------------- what is watched


def _processes(value: Value) -> tuple[KeyProcess, ...]:
    return _named(value, _process)


def _process(value: Value) -> KeyProcess:
    known = ("name", "process", "cmdline", "cgroup", "min", "max", "threads", "descriptors", "memory", "severity")
    given = Fields.of(value, known, "a key process")
    if given.whole and not {"process", "cmdline", "cgroup"} & given.found.keys():
        raise value.error("expected process, cmdline or cgroup: which processes are meant?")
    found = KeyProcess(
        name=given.need("name", fields.text, ""),
        wanted=Wanted(
            name=given.get("process", fields.text, None),
            cmdline=given.get("cmdline", fields.pattern, None),
            cgroup=given.get("cgroup", fields.text, None),
        ),
        level=given.get("severity", fields.choice(*SEVERITIES), "critical"),
        count_min=given.get("min", fields.natural, 1),
        count_max=given.get("max", fields.natural, None),
        threads_max=given.get("threads", fields.natural, None),
        descriptors_max=given.get("descriptors", fields.natural, None),
        memory_max_bytes=given.get("memory", fields.size, None),
    )
    if found.count_max is not None and found.count_max < found.count_min:
        raise given.found["max"].error(f"max ({found.count_max}) is below min ({found.count_min})")
    return found


def _kernel_log(value: Value) -> tuple[Pattern, ...]:
    """Read ``off``, or patterns on top of those that come with the exporter; one of the same name replaces it."""
    if fields.is_off(value):
        return ()
    given = Fields.of(value, ("shipped", "patterns"), "kernel-log")
    first = shipped_patterns() if given.get("shipped", Value.flag, True) else ()
    own = given.get("patterns", lambda one: _patterns(one, of_containers=False), _NO_PATTERNS)
    return tuple({one.name: one for one in (*first, *own)}.values())


def _patterns(value: Value, *, of_containers: bool) -> tuple[Pattern, ...]:
    return _named(value, lambda one: _pattern(one, of_containers=of_containers))


def _pattern(value: Value, *, of_containers: bool) -> Pattern:
    known = ("name", "regex", "severity", "at-least", "within", *(("match",) if of_containers else ()))
    given = Fields.of(value, known, "a pattern")
    return Pattern(
        name=given.need("name", fields.text, ""),
        regex=given.need("regex", fields.pattern, _NO_REGEX),
        level=given.get("severity", fields.choice(*SEVERITIES), "warning"),
        at_least=given.get("at-least", fields.positive, 1),
        within_seconds=given.get("within", fields.longer, 60.0),
        which=given.get("match", _which, Which()),
    )


def _named(value: Value, read: Callable[[Value], _Named]) -> tuple[_Named, ...]:
    """Read a list of what has names, each its own."""
    names: set[str] = set()

    def read_one(one: Value) -> _Named:
        found = read(one)
        if found.name in names:
            raise one.error(f"{found.name!r} is given twice")
        if found.name:  # "" stands in for one that is missing
            names.add(found.name)
        return found

    return value.each(read_one)


# --------------------------------------------------------------------------------------------- receivers


def _receivers(value: Value, kind: Kind) -> tuple[Receiver, ...]:
    return value.each(lambda one: _receiver(one, kind))


def _receiver(value: Value, kind: Kind) -> Receiver:
    known = ("url", "headers", "severity", "repeat", "timeout", "first-wait", "longest-wait", "queue", "ca-file")
    given = Fields.of(value, known, f"{'an' if kind == 'alertmanager' else 'a'} {kind}")
    default = Receiver(kind, "", repeat_seconds=60.0 if kind == "alertmanager" else 300.0)
    return replace(
        default,
        url=_endpoint(given.need("url", _url, ""), kind),
        headers=given.get("headers", fields.pairs, {}),
        least=cast("Severity", given.get("severity", fields.choice(*SEVERITIES), "info")),
        repeat_seconds=given.get("repeat", fields.longer, default.repeat_seconds),
        timeout_seconds=given.get("timeout", fields.longer, default.timeout_seconds),
        first_wait_seconds=given.get("first-wait", fields.longer, default.first_wait_seconds),
        most_wait_seconds=given.get("longest-wait", fields.longer, default.most_wait_seconds),
        most_waiting=given.get("queue", fields.positive, default.most_waiting),
        ca_file=given.get("ca-file", _certificates, None),
    )


def _url(value: Value) -> str:
    written = fields.text(value)
    try:
        parts = urlsplit(written)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise value.error(f"{written!r} is not an address; example: http://127.0.0.1:9093") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise value.error(f"{written!r} is not an address; example: http://127.0.0.1:9093")
    return written


def _certificates(value: Value) -> str:
    path = fields.text(value)
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        raise value.error(f"no certificates to be had from {path!r}: {error.strerror or error}") from error
    return path


def _endpoint(url: str, kind: Kind) -> str:
    """Complete the address of an Alertmanager: its API has one path."""
    return url if kind == "webhook" else f"{url.rstrip('/')}/api/v2/alerts"
