"""The configuration file of ``procfs-fuse mount``: YAML whose keys are the long options without dashes.

    ttl: 20
    cpu-view: cpuset
    no-files: [proc/pressure/*, proc/vmstat]
    disable-swap: true

It becomes words in front of the command line's own, so that these win and a value is checked in one place.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cgscope.arguments import Parser
from cgscope.errors import UsageError
from cgscope.suggest import did_you_mean

if TYPE_CHECKING:
    from cgscope.yamlfile import Value

_NOT_HERE: Final = frozenset({"help", "config", "no-config", "state-dir", "ready-fd", "automatic", "foreground"})


def words_with_file(parser: Parser, words: Sequence[str], default: str) -> list[str]:
    """Put what the configuration file says before ``words``: of --config, else ``default`` if there is one.

    Raises `UsageError` with the file, line and column.
    """
    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    chosen.add_argument("--config")
    chosen.add_argument("--no-config", action="store_true")
    try:
        known, _others = chosen.parse_known_args(list(words))
    except argparse.ArgumentError:
        return list(words)  # the real parser says what is wrong with it
    if known.no_config or (known.config is None and not os.path.exists(default)):
        return list(words)
    from cgscope.yamlfile import ConfigError  # noqa: PLC0415 - PyYAML is needed where there is a file, and only there

    try:
        return [*_words_of(parser, known.config or default), *words]
    except ConfigError as error:
        raise UsageError(str(error), "its keys are the long options of procfs-fuse mount") from error


def _words_of(parser: Parser, path: str) -> Iterator[str]:
    from cgscope.yamlfile import load  # noqa: PLC0415 - as above

    document = load(path)
    if document is None:
        return
    options = _options(parser)
    for key, place, setting in document.items():
        option = options.get(key)
        if option is None:
            raise place.error(f"there is no setting {key!r}{_hint(key, options)}")
        words = _words(key, option, setting)
        try:
            parser.parse_args(words)
        except UsageError as error:
            raise setting.error(error.message) from error
        yield from words


def _words(key: str, option: argparse.Action, setting: Value) -> list[str]:
    if option.nargs == 0:  # a flag
        if isinstance(option, argparse.BooleanOptionalAction):
            return [f"--{key}" if setting.flag() else f"--no-{key}"]
        return [f"--{key}"] if setting.flag() else []
    if setting.is_list():
        return [f"--{key}={','.join(one.text() for one in setting.sequence())}"]
    return [f"--{key}={setting.text()}"]


def _options(parser: Parser) -> dict[str, argparse.Action]:
    actions = parser._option_string_actions  # noqa: SLF001 - argparse has no other list of them
    names = {name[2:]: action for name, action in actions.items() if name.startswith("--")}
    return {name: action for name, action in names.items() if name not in _NOT_HERE}


def _hint(key: str, options: dict[str, argparse.Action]) -> str:
    advice = did_you_mean(key, list(options))
    return f"; {advice}" if advice else ""
