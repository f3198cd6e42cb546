"""YAML files that say where a mistake is: every value knows its line and column.

The safe subset only. A key that occurs twice is a mistake, where PyYAML itself would take the last one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import yaml

_MOST_BYTES: Final = 1 << 20

_Read = TypeVar("_Read")


class ConfigError(Exception):
    """A configuration file is wrong; the text says where: ``file:line:column: what``."""

    def __init__(self, path: str, line: int, column: int, what: str) -> None:
        super().__init__(f"{path}:{line}:{column}: {what}" if line else f"{path}: {what}")
        self.place = line, column

    @property
    def lines(self) -> tuple[str, ...]:
        """What is wrong, mistake by mistake."""
        return (str(self),)


class ConfigErrors(ConfigError):
    """Several mistakes in one file, in its order."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self._errors = sorted(errors, key=lambda error: error.place)
        Exception.__init__(self, "\n".join(self.lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """What is wrong, mistake by mistake."""
        return tuple(map(str, self._errors))


@dataclass(frozen=True, slots=True)
class Value:
    """A node of a YAML document with its place. ``mistakes``: see `gathering`."""

    path: str
    node: yaml.Node
    mistakes: list[ConfigError] | None = field(default=None, compare=False)

    def error(self, what: str) -> ConfigError:
        """Make the error that says ``what`` is wrong here."""
        mark = self.node.start_mark
        return ConfigError(self.path, mark.line + 1, mark.column + 1, what)

    @property
    def noted(self) -> int:
        """How many mistakes were noted so far: after new ones, values are not worth being compared."""
        return len(self.mistakes or ())

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """Where mistakes are gathered, note the one that is raised here, so that what follows is read as well."""
        try:
            yield
        except ConfigError as error:
            if self.mistakes is None:
                raise
            self.mistakes.append(error)

    def items(self) -> Iterator[tuple[str, Value, Value]]:
        """Yield (key, node of the key, value) of a mapping. Raises `ConfigError` when it is none."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"expected keys and values, found {self.kind()}")
        seen: set[str] = set()
        for key_node, value_node in self.node.value:
            place = replace(self, node=key_node)
            key = place.text()
            if key not in seen:
                seen.add(key)
                yield key, place, replace(self, node=value_node)
            else:
                with place.forgiving():
                    raise place.error(f"{key!r} is given twice")

    def sequence(self) -> list[Value]:
        """Give the items of a list. Raises `ConfigError` when it is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"expected a list, found {self.kind()}")
        return [replace(self, node=node) for node in self.node.value]

    def each(self, read: Callable[[Value], _Read]) -> tuple[_Read, ...]:
        """Read the items of a list. Raises `ConfigError` when it is none."""
        found = []
        for one in self.sequence():
            with one.forgiving():
                found.append(read(one))
        return tuple(found)

    def text(self) -> str:
        """Give a plain value as it is written, whatever its type. Raises `ConfigError` for lists and mappings."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error(f"expected a single value, found {self.kind()}")
        return str(self.node.value)

    def kind(self) -> str:
        """Say what this is, for those who expected something else."""
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value) if self.node.value else "nothing"
        return "a list" if self.is_list() else "keys and values"

    def is_list(self) -> bool:
        """Tell whether this is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def is_mapping(self) -> bool:
        """Tell whether this has keys and values."""
        return isinstance(self.node, yaml.MappingNode)

    def flag(self) -> bool:
        """Give a yes or no. Raises `ConfigError` for everything else."""
        text = self.text().lower()
        if text in {"true", "yes", "on"}:
            return True
        if text in {"false", "no", "off"}:
            return False
        raise self.error(f"expected true or false, found {self.kind()}")


@contextlib.contextmanager
def gathering(document: Value) -> Iterator[Value]:
    """Give the document so that its mistakes are noted where it is read `Value.forgiving`; raises them all at the end.

    What was read in spite of a mistake is of no use then.
    """
    mistakes: list[ConfigError] = []
    value = replace(document, mistakes=mistakes)
    with value.forgiving():
        yield value
    if mistakes:
        raise ConfigErrors(mistakes)


def load(path: str) -> Value | None:
    """Read a file; None when it holds nothing. Raises `ConfigError`, also for what cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(path, 0, 0, error.strerror or str(error)) from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(path, 0, 0, "larger than 1 MiB: not a configuration")
    try:
        node = yaml.compose(data, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise ConfigError(path, *place, _explained(error)) from error
    except yaml.reader.ReaderError as error:
        before = data[: error.position].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError(path, line, column, "not text in UTF-8: is this the right file?") from error
    except RecursionError as error:
        raise ConfigError(path, 0, 0, "nested too deeply: not a configuration") from error
    return Value(path, node) if node is not None else None


def _explained(error: yaml.MarkedYAMLError) -> str:
    """Say what is no YAML: PyYAML's words, with where it began, and with what to do where that is not in them."""
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return "a tab: YAML is indented with spaces"
    if problem == "but found another document":
        return "a second document begins here: a configuration is one"
    if error.context_mark is not None and error.context_mark.line != getattr(error.problem_mark, "line", None):
        return f"{problem} ({error.context} that begins in line {error.context_mark.line + 1})"
    return problem
