"""What is remembered between runs: ``$XDG_CONFIG_HOME/cgscope/ctop.yaml``, keys as the long options.

A file that is damaged, or has keys or values nobody knows, never keeps anybody from looking: defaults and a hint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cgroup_model.record import dataclass
from ctop.arrange import GROUPINGS
from ctop.columns import COLUMNS, DEFAULT
from ctop.themes import THEMES

LEAST_DELAY: Final = 0.1
MOST_DELAY: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose; ``hint`` says what was wrong with the file."""

    delay: float = 1.0
    columns: tuple[str, ...] = DEFAULT
    sort: str = "cpu"
    reverse: bool = False
    tree: bool = False
    group: str = "none"
    all: bool = False
    head: bool = True
    theme: str = "terminal"
    filter: str = ""  # of the command line; never saved
    hint: str = ""


def path_of(environ: Mapping[str, str]) -> str:
    """Where the settings are kept."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "/", ".config")
    return os.path.join(base, "cgscope", "ctop.yaml")


def load(path: str) -> Settings:
    """Read the settings; defaults where there are none."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        return Settings(hint=f"{path} cannot be read: {type(error).__name__}")
    import yaml  # noqa: PLC0415 - 2 MiB that those who saved nothing do without

    try:
        found = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        return Settings(hint=f"{path} cannot be read: {type(error).__name__}")
    if found is None:
        return Settings()
    if not isinstance(found, dict):
        return Settings(hint=f"{path} is no list of settings")
    settings = Settings()
    wrong = []
    for key, value in found.items():
        checked = _checked(str(key), value)
        if checked is None:
            wrong.append(str(key))
        else:
            settings = replace(settings, **{str(key): checked})
    return replace(settings, hint=f"{path}: {', '.join(wrong)} not understood") if wrong else settings


def save(path: str, settings: Settings) -> None:
    """Replace the file in one step; raises OSError."""
    import yaml  # noqa: PLC0415 - as above

    content = {name: getattr(settings, name) for name in _CHECKS}
    content["columns"] = list(settings.columns)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        yaml.safe_dump(content, file, sort_keys=False)
    os.replace(temporary, path)


def _checked(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    check = _CHECKS.get(key)
    return None if check is None else check(value)


def _flag(value: Any) -> bool | None:  # noqa: ANN401
    return value if isinstance(value, bool) else None


def _delay(value: Any) -> float | None:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if LEAST_DELAY <= value <= MOST_DELAY else None


def _columns(value: Any) -> tuple[str, ...] | None:  # noqa: ANN401
    if not isinstance(value, list) or not value or any(name not in COLUMNS for name in map(str, value)):
        return None
    return tuple(map(str, value))


def _choice(known: Any) -> Any:  # noqa: ANN401
    return lambda value: value if isinstance(value, str) and value in known else None


_CHECKS: Final = {
    "delay": _delay,
    "columns": _columns,
    "sort": _choice(COLUMNS),
    "reverse": _flag,
    "tree": _flag,
    "group": _choice(GROUPINGS),
    "all": _flag,
    "head": _flag,
    "theme": _choice(THEMES),
}
