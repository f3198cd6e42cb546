"""Text -> expression: the parser of our subset of PromQL. Every error says at which character it is."""

from __future__ import annotations

import functools
import re
from typing import Final

from cgscope.suggest import did_you_mean
from exporters.alerts.expression import (
    AGGREGATIONS,
    PLAIN_FUNCTIONS,
    RANGE_FUNCTIONS,
    Aggregate,
    Binary,
    Call,
    Expression,
    Matcher,
    Matching,
    Number,
    Selector,
)

_TOKEN: Final = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
    | (?P<duration>(?:\d+(?:ms|[smhdw]))+\b)
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_:]*)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<sign>=~|!~|==|!=|>=|<=|[-+*/(){}\[\],<>=])""",
    re.VERBOSE,
)
_DURATION: Final = re.compile(r"(\d+)(ms|[smhdw])")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LEVELS: Final = (("or",), ("and", "unless"), ("==", "!=", "<=", "<", ">=", ">"), ("+", "-"), ("*", "/"))
_SETS: Final = frozenset({"and", "or", "unless"})
_ESCAPES: Final = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_DEEPEST: Final = 50


class ExpressionError(ValueError):
    """An expression is wrong; ``at`` is the offset of the character."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


@functools.cache
def parse(text: str) -> Expression:
    """Parse an expression. Raises `ExpressionError`."""
    parser = _Parser(text)
    found = parser.binary(0)
    parser.expect_end()
    return found


class _Parser:
    """Recursive descent: one level of `_LEVELS` after the other, then what binds tightest."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        self._next = 0
        self._depth = 0
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ExpressionError(f"{text[at]!r} has no meaning here", at)
            if found.lastgroup != "space":
                self._tokens.append((str(found.lastgroup), found[0], at))
            at = found.end()
        self._tokens.append(("end", "", len(text.rstrip())))

    # ------------------------------------------------------------------------------------- expressions

    def binary(self, level: int) -> Expression:
        """Parse operators of a level and of those that bind tighter; all bind to the left."""
        if level == len(_LEVELS):
            return self._unary()
        left = self.binary(level + 1)
        while self._text in _LEVELS[level] and self._kind != "string":
            operator = self._take()
            matching = self._matching(operator)
            left = Binary(operator, left, self.binary(level + 1), matching)
        return left

    def _matching(self, operator: str) -> Matching:
        if self._text == "bool":
            raise self._error("comparisons filter here: bool is not known")
        if self._text not in ("on", "ignoring"):
            return Matching()
        on, labels = self._take() == "on", self._labels()
        if self._text == "group_right":
            raise self._error("group_right is not known: exchange the sides and use group_left")
        if self._text != "group_left" or operator in _SETS:
            return Matching(on, labels)
        self._take()
        return Matching(on, labels, many=True, copied=self._labels() if self._text == "(" else ())

    def _unary(self) -> Expression:
        if self._text == "-":
            self._take()
            return Binary("*", Number(-1.0), self._unary())
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("too many parentheses")
        found = self._primary()
        self._depth -= 1
        return found

    def _primary(self) -> Expression:
        kind, text, _ = self._tokens[self._next]
        if kind == "number":
            return Number(float(self._take()))
        if text == "(":
            self._take()
            inner = self.binary(0)
            self._expect(")")
            return inner
        if text == "{":
            raise self._error("a selector begins with the metric's name")
        if kind != "name":
            found = repr(text) if text else "the end of the expression"
            raise self._error(f"expected a metric, a function or a number, found {found}")
        if text in AGGREGATIONS:
            return self._aggregate()
        return self._call() if self._tokens[self._next + 1][1] == "(" else self._selector()

    def _call(self) -> Expression:
        function = self._text
        if function not in RANGE_FUNCTIONS | PLAIN_FUNCTIONS:
            known = RANGE_FUNCTIONS | PLAIN_FUNCTIONS | AGGREGATIONS
            advice = did_you_mean(function, known) or f"there are {', '.join(sorted(known))}"
            raise self._error(f"there is no function {function!r}; {advice}")
        self._take()
        self._expect("(")
        argument = None if function == "time" else self._ranged(self.binary(0), wanted=function in RANGE_FUNCTIONS)
        self._expect(")")
        return Call(function, argument)

    def _ranged(self, argument: Expression, *, wanted: bool) -> Expression:
        if wanted != (isinstance(argument, Selector) and argument.range_seconds is not None):
            raise self._error("this function takes a range, as in [5m]" if wanted else "this takes no range")
        return argument

    def _aggregate(self) -> Expression:
        function = self._take()
        by, labels = self._grouping()
        self._expect("(")
        argument = self.binary(0)
        self._expect(")")
        if not labels and self._text in ("by", "without"):
            by, labels = self._grouping()
        return Aggregate(function, argument, by, labels)

    def _grouping(self) -> tuple[bool, tuple[str, ...]]:
        if self._text not in ("by", "without"):
            return True, ()
        return self._take() == "by", self._labels()

    def _selector(self) -> Selector:
        name = self._take()
        matchers = self._matchers() if self._text == "{" else ()
        range_seconds = self._range() if self._text == "[" else None
        offset = 0.0
        if self._text == "offset":
            self._take()
            offset = self._duration()
        return Selector(name, matchers, range_seconds, offset)

    def _matchers(self) -> tuple[Matcher, ...]:
        found = []
        self._expect("{")
        while self._text != "}":
            label = self._take_kind("name", "a label")
            if self._text not in ("=", "!=", "=~", "!~"):
                raise self._error("expected =, !=, =~ or !~")
            operator, at = self._take(), self._at
            pattern = _unquoted(self._take_kind("string", "text in quotes"))
            if operator in ("=~", "!~"):
                _check_pattern(pattern, at)
            found.append(Matcher(label, operator, pattern))  # type: ignore[arg-type]
            if self._text != "}":
                self._expect(",")
        self._expect("}")
        return tuple(found)

    def _range(self) -> float:
        self._expect("[")
        found = self._duration()
        self._expect("]")
        return found

    def _duration(self) -> float:
        text = self._take_kind("duration", "a duration such as 5m")
        return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))

    def _labels(self) -> tuple[str, ...]:
        found = []
        self._expect("(")
        while self._text != ")":
            found.append(self._take_kind("name", "a label"))
            if self._text != ")":
                self._expect(",")
        self._expect(")")
        return tuple(found)

    # ------------------------------------------------------------------------------------------ tokens

    @property
    def _kind(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _text(self) -> str:
        return self._tokens[self._next][1]

    @property
    def _at(self) -> int:
        return self._tokens[self._next][2]

    def _take(self) -> str:
        text = self._text
        self._next += 1
        return text

    def _take_kind(self, kind: str, what: str) -> str:
        if self._kind != kind:
            raise self._error(f"expected {what}, found {self._text!r}" if self._text else f"expected {what}")
        return self._take()

    def _expect(self, sign: str) -> None:
        if self._text != sign or self._kind == "string":
            raise self._error(f"expected {sign!r}" + (f", found {self._text!r}" if self._text else ""))
        self._take()

    def expect_end(self) -> None:
        """Refuse what follows a whole expression."""
        if self._kind != "end":
            raise self._error(f"{self._text!r} follows the end of the expression")

    def _error(self, what: str) -> ExpressionError:
        return ExpressionError(what, self._at)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1])


def _check_pattern(pattern: str, at: int) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ExpressionError(f"{pattern!r} is not a regular expression: {error}", at) from error
