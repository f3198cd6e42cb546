"""``cgroup-exporter alerts``: what a running exporter says of its alerts; ``--rules``: the rules for Prometheus."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from cgscope.arguments import Parser
from cgscope.errors import Failure, Failures, explain, printable
from cgscope.quantities import format_duration
from cgscope.yamlfile import ConfigError, gathering, load
from exporters.alerts.config import AlertConfig, read_alerts
from exporters.alerts.prometheus import files
from exporters.alerts.rule import SEVERITIES

_DEFAULT_URL: Final = "http://127.0.0.1:9753"
_TIMEOUT_SECONDS: Final = 10.0
_EPILOG: Final = """\
examples:
  cgroup-exporter alerts                                      what is pending and firing, the worst first
  cgroup-exporter alerts --url https://me:secret@host:9753    an exporter with TLS and a password
  cgroup-exporter alerts --rules --config exporter.yml        the configured rules, for Prometheus
"""


def list_alerts(arguments: Sequence[str]) -> int:
    """Run the subcommand. Raises `Failure`."""
    parser = Parser(prog="cgroup-exporter alerts", description="List the alerts of a running exporter.", epilog=_EPILOG)
    parser.add_argument("--url", default=_DEFAULT_URL, help=f"where it serves (default: {_DEFAULT_URL})")
    parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")
    parser.add_argument("--json", action="store_true", help="as JSON, as the exporter's /api/v1/alerts gives it")
    parser.add_argument("--rules", action="store_true", help="print the rules as a file for Prometheus instead")
    parser.add_argument("--config", metavar="FILE", help="with --rules: the exporter's configuration")
    given = parser.parse_args(list(arguments))
    if given.rules:
        sys.stdout.write(_rules(given.config))
        return 0
    found = _fetch(given.url, given.ca_file)
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    if not found.get("enabled"):
        raise Failure(f"the exporter at {_bare(given.url)} evaluates no alerts", "start it with --alerts")
    sys.stdout.writelines(f"{line}\n" for line in _table(found["alerts"], time.time()))
    return 0


_WITHOUT_OVERRIDES: Final = """\
# The configuration has overrides for some containers. They are not in here: Prometheus has no labels of engines, and
# knows rules for all. Route or silence these containers' alerts in Alertmanager instead.
"""


def _rules(path: str | None) -> str:
    config = AlertConfig()
    try:
        document = load(path) if path is not None else None
        if document is not None:
            with gathering(document) as whole:
                for key, _, content in whole.items():
                    if key == "alerts":
                        config = read_alerts(content)
    except ConfigError as error:
        raise Failures(error.lines) from error
    groups = list(files(config.rules, config.runbooks).values())
    head, *_ = groups[0].partition("groups:\n")
    if config.overrides:
        head += _WITHOUT_OVERRIDES
    return f"{head}groups:\n" + "".join(text.partition("groups:\n")[2] for text in groups)


def _fetch(url: str, ca_file: str | None) -> Mapping[str, Any]:
    """Ask the exporter; a user and password may be part of the address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(f"{url!r} is not an address", f"example: {_DEFAULT_URL}")
    address = f"{_bare(url).rstrip('/')}/api/v1/alerts"
    request = urllib.request.Request(address)  # noqa: S310 - http and https only, as checked
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        context = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310
            found: Mapping[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        advice = "write https://USER:PASSWORD@HOST:PORT" if error.code == 401 else "is it a cgroup-exporter?"
        raise Failure(f"{address}: HTTP {error.code} {error.reason}", advice) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or (explain(error) if isinstance(error, OSError) else error)
        raise Failure(f"{address}: {reason}", "does the exporter run there? --url says where else") from error


def _bare(url: str) -> str:
    """Leave user and password out of an address."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port is not None else ""
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))


def _table(alerts: Iterable[Mapping[str, Any]], now: float) -> list[str]:
    """Write a line per alert: firing before pending, critical before the others, the oldest first."""
    rows = sorted(alerts, key=_rank)
    if not rows:
        return ["no alerts"]
    lines = [f"{'STATE':9}{'SEVERITY':10}{'FOR':>8}  {'ALERT':30} SUMMARY"]
    for one in rows:
        age = format_duration(max(0.0, now - one["since"]))
        summary = printable(one["annotations"].get("summary", ""))
        lines.append(f"{one['state']:9}{one['severity']:10}{age:>8}  {one['name']:30} {summary}")
    return lines


def _rank(alert: Mapping[str, Any]) -> tuple[bool, int, float]:
    return alert["state"] != "firing", -SEVERITIES.index(alert["severity"]), alert["since"]
