"""The options of the command line and of the configuration file, which are the same: one declaration for both."""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cgscope.arguments import Parser, value
from cgscope.suggest import did_you_mean
from cgscope.yamlfile import ConfigError, Value, gathering, load
from exporters.alerts.config import AlertConfig, read_alerts
from exporters.families import FAMILIES
from exporters.setup import Settings

DEFAULT_OOM_STATE: Final = "/var/lib/cgscope/oom.json"
DEFAULT_ADDRESS: Final = "127.0.0.1:9753"
_COLLECTOR: Final = "collector."
_COMMAND_ONLY: Final = frozenset({"config", "check-config", "once", "help", "version"})

EPILOG: Final = """\
examples:
  cgroup-exporter                                   serve http://127.0.0.1:9753/metrics
  cgroup-exporter --once | grep memory_usage        print one page
  cgroup-exporter --cgroups units --collector.processes --no-collector.io
  cgroup-exporter --alerts                          evaluate alert rules, too (cgroup-exporter alerts lists them)
  cgroup-exporter --config /etc/cgscope/exporter.yml --web.config.file /etc/cgscope/web.yml

The configuration file is YAML; its keys are the long options' names without dashes in front (listen: 127.0.0.1:9753),
`collectors:` holds names with true or false. Options win over the file. SIGHUP reads it again.
Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong usage.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be set."""

    listen: tuple[str, ...] = (DEFAULT_ADDRESS,)
    web_config: str | None = None
    telemetry_path: str = "/metrics"
    max_requests: int = 256
    config: str | None = None
    check_config: bool = False
    once: bool = False
    alerts: AlertConfig = field(default_factory=AlertConfig)
    alert_state: str | None = None
    settings: Settings = field(default_factory=Settings)


def parser() -> Parser:
    """Declare the command line."""
    made = Parser(prog="cgroup-exporter", description="Prometheus metrics of containers and cgroups.", epilog=EPILOG)
    made.add_argument("--config", metavar="FILE", help="configuration, YAML")
    made.add_argument("--check-config", action="store_true", help="check the configuration and leave")
    made.add_argument("--once", action="store_true", help="print one page on standard output and leave")
    web = made.add_argument_group("serving")
    web.add_argument(
        "--listen",
        "--web.listen-address",
        dest="listen",
        action="append",
        type=value(address_text),
        metavar="HOST:PORT",
        help=f"where to listen; repeatable (default: {DEFAULT_ADDRESS})",
    )
    web.add_argument(
        "--web-config",
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="TLS and users, as exporter-toolkit",
    )
    web.add_argument(
        "--web.telemetry-path", dest="telemetry_path", metavar="PATH", type=value(path_text), help="default: /metrics"
    )
    web.add_argument(
        "--web.max-requests",
        dest="max_requests",
        type=value(positive),
        metavar="N",
        help="pages that are written at the same time (default: 256)",
    )
    made.add_argument(
        "--alerts",
        action=argparse.BooleanOptionalAction,
        help="evaluate alert rules (default: when the file has alerts:)",
    )
    page = made.add_argument_group("the page")
    page.add_argument("--cgroups", choices=["containers", "units", "all"], help="what to export (default: containers)")
    page.add_argument("--naming", choices=["cadvisor", "thin"], help="labels: cAdvisor's (default), or id and name")
    page.add_argument(
        "--max-series", type=value(natural), metavar="N", help="values of containers at most; 0: no bound"
    )
    page.add_argument(
        "--container-label",
        dest="container_labels",
        action="append",
        metavar="NAME",
        help="show this label of the engine's in container_label_info; repeatable",
    )
    page.add_argument(
        "--oom-state",
        metavar="FILE",
        help=f"where OOM kills are remembered across restarts; none: nowhere (default as root: {DEFAULT_OOM_STATE})",
    )
    page.add_argument("--proc-root", metavar="DIR", help="where the machine's procfs is (default: /proc)")
    page.add_argument("--sys-root", metavar="DIR", help="where the machine's sysfs is (default: /sys)")
    page.add_argument(
        "--path.rootfs", dest="fs_root", metavar="DIR", help="where the machine's / is, with the engines' files"
    )
    page.add_argument("--cgroup-root", metavar="DIR", help="only cgroup mounts at or below this directory count")
    _add_collectors(made.add_argument_group("collectors"))
    return made


def _add_collectors(group: argparse._ArgumentGroup) -> None:
    for name, family in FAMILIES.items():
        state = "on" if family.default else f"off: {family.why_off}"
        group.add_argument(
            f"--{_COLLECTOR}{name}",
            action=argparse.BooleanOptionalAction,
            dest=f"{_COLLECTOR}{name}",
            default=None,
            help=f"{family.title} ({state})".replace("%", "%%"),
        )
        # As Prometheus' own exporters spell it: --no-collector.x, which BooleanOptionalAction makes of --collector.x.


def options(given: argparse.Namespace) -> Options:
    """Join the command line with its configuration file. Raises `ConfigError`."""
    words = {name: found for name, found in vars(given).items() if found is not None}
    from_file = read_file(given.config) if given.config else {}
    return _made({**from_file, **words})


def read_file(path: str) -> dict[str, Any]:
    """Read a configuration file: values by the names that the command line's have.

    Raises `ConfigError`, which tells all that is wrong.
    """
    document = load(path)
    if document is None:
        return {}
    known = _settable(parser())
    found: dict[str, Any] = {}
    with gathering(document) as whole:
        for key, place, content in whole.items():
            with place.forgiving():
                found.update(_setting(key, place, content, known))
    return found


def _setting(key: str, place: Value, content: Value, known: Mapping[str, argparse.Action]) -> dict[str, Any]:
    """Read what one key of the file sets."""
    if key == "collectors":
        return _collectors(content)
    if key == "alerts":
        return {"alert_config": read_alerts(content)}
    if key in known:
        return {known[key].dest: _converted(known[key], content)}
    advice = did_you_mean(key, [*known, "alerts", "collectors"]) or "see --help"
    raise place.error(f"there is no option {key!r}; {advice}")


def _settable(from_parser: Parser) -> Mapping[str, argparse.Action]:
    actions = {word.removeprefix("--"): action for action in from_parser._actions for word in action.option_strings}  # noqa: SLF001 - argparse has no public list
    return {
        word: action
        for word, action in actions.items()
        if word not in _COMMAND_ONLY and not word.startswith(("-", "no-", _COLLECTOR))
    }


def _collectors(content: Value) -> dict[str, bool]:
    found = {}
    for name, place, switch in content.items():
        with place.forgiving():
            if name not in FAMILIES:
                raise place.error(f"there is no collector {name!r}; {did_you_mean(name, FAMILIES) or 'see --help'}")
            found[_COLLECTOR + name] = switch.flag()
    return found


def _converted(action: argparse.Action, content: Value) -> object:
    """Turn a value of the file into what the command line would have made of it."""
    if isinstance(action, argparse._AppendAction):  # noqa: SLF001 - a repeatable option is a list in the file
        return [_one(action, item) for item in (content.sequence() if content.is_list() else [content])]
    return _one(action, content)


def _one(action: argparse.Action, content: Value) -> object:
    text = content.text()
    if action.choices is not None and text not in action.choices:
        raise content.error(f"expected {' or '.join(action.choices)}, found {text!r}")
    if not callable(action.type):
        return text
    try:
        return action.type(text)
    except argparse.ArgumentTypeError as error:
        raise content.error(str(error)) from error


def _made(words: Mapping[str, Any]) -> Options:
    def chosen(*names: str) -> dict[str, Any]:
        return {name: _frozen(words[name]) for name in names if name in words}

    switches = {name.removeprefix(_COLLECTOR): on for name, on in words.items() if name.startswith(_COLLECTOR)}
    alerts = words.get("alert_config", AlertConfig())
    alerts = replace(alerts, enabled=words.get("alerts", alerts.enabled))
    labels = (*words.get("container_labels", ()), *(alerts.needed_labels if alerts.enabled else ()))
    words = {**words, "container_labels": tuple(dict.fromkeys(labels))}
    settings = Settings(
        collectors=switches,
        oom_state=_oom_state(words),
        **chosen(
            "cgroups", "naming", "max_series", "container_labels", "proc_root", "sys_root", "cgroup_root", "fs_root"
        ),
    )
    web = chosen("listen", "web_config", "telemetry_path", "max_requests", "config", "check_config", "once")
    state = settings.oom_state and os.path.join(os.path.dirname(settings.oom_state), "alerts.json")
    return Options(settings=settings, alerts=alerts, alert_state=state, **web)


def _oom_state(words: Mapping[str, Any]) -> str | None:
    """Choose where OOM kills are remembered: systemd's StateDirectory=, root's own place; nowhere for one page."""
    if (chosen := words.get("oom_state")) is not None:
        return None if chosen == "none" else str(chosen)
    if words.get("once") or words.get("check_config"):
        return None
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if folder:
        return os.path.join(folder, "oom.json")
    return DEFAULT_OOM_STATE if os.geteuid() == 0 else None


def _frozen(content: Any) -> Any:  # noqa: ANN401
    return tuple(content) if isinstance(content, list) else content


# ------------------------------------------------------------------------------------------------ values


def split_address(text: str) -> tuple[str, int]:
    """Split ``127.0.0.1:9753``, ``[::1]:9753`` or ``:9753`` (all addresses). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    try:
        host.encode("idna")  # as the resolver will
        is_port = colon and port.isascii() and port.isdigit() and int(port) <= 65535
    except UnicodeError:
        is_port = False
    if not is_port:
        raise ValueError(f"{text!r} is not HOST:PORT; examples: 127.0.0.1:9753, [::1]:9753, :9753")
    if host.startswith("[") and host.endswith("]"):
        ipaddress.IPv6Address(host[1:-1])
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets: [{host}]:{port}")
    return host, int(port)


def address_text(text: str) -> str:
    """Check an address and give it as it was written. Raises ValueError."""
    split_address(text)
    return text


def path_text(text: str) -> str:
    """Check a path of a URL. Raises ValueError."""
    if not text.startswith("/") or not text.isascii() or any(one in text for one in "?#{} "):
        raise ValueError(f"{text!r} is not the path of a page; example: /metrics")
    return text


def natural(text: str) -> int:
    """Parse a number that is not negative. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(f"{text!r} is not a number that is 0 or more")
    return int(text)


def positive(text: str) -> int:
    """Parse a number above 0. Raises ValueError."""
    number = natural(text)
    if not number:
        raise ValueError("expected a number above 0")
    return number


__all__ = ["ConfigError", "Options", "options", "parser", "read_file", "split_address"]
