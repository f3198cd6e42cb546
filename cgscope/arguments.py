"""argparse with the manners of these tools: a mistake is one line with advice, never a page of usage."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from cgscope.errors import UsageError
from cgscope.suggest import did_you_mean

_Value = TypeVar("_Value")
_UNKNOWN: Final = re.compile(r"unrecognized arguments: (\S+)")
_CHOICE: Final = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` instead of printing and leaving."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)  # an abbreviation in a script breaks when an option is added
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`; for an unknown option or choice with the nearest known one."""
        advice = self._nearest(message) or f"see {self.prog} --help"
        raise UsageError(message.replace("unrecognized arguments", "unknown option or argument"), advice)

    def _nearest(self, message: str) -> str:
        if found := _UNKNOWN.search(message):
            return did_you_mean(found[1].partition("=")[0], list(self._option_string_actions))
        if found := _CHOICE.search(message):
            return did_you_mean(found[1], [choice.strip(" '") for choice in found[2].split(",")])
        return ""


def value(parse: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Make an argparse ``type`` of a function that raises ValueError, keeping the text of its error."""

    def convert(text: str) -> _Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
