"""The subset of PromQL: what is understood, what is refused, and that it means what Prometheus means by it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporters.alerts.evaluate import EvaluationError, Moment, Vector, evaluate
from exporters.alerts.expression import Selector
from exporters.alerts.promql import ExpressionError, parse
from exporters.alerts.rule import Rule, reach
from exporters.alerts.series import NO_LABELS, Labels, Store
from scripts.debian_tools import Tool
from tests.exporters.alerts.story import expanded

STEP_SECONDS = 30
SERIES = {
    'c{a="1",b="x"}': "0+7x30",
    'c{a="2",b="x"}': "100 110 5 15 15 30 45 60 75 90 91 92x20",
    'c{a="3",b="y"}': "_ _ _ _ _ _ {begin}+4x10 stale",
    'g{a="1",b="x"}': "5 -3 8 2 2 7 1x25",
    'g{a="2",b="x"}': "10x30",
    'm{a="1"}': "4x30",
    'm{a="2"}': "8x30",
    'n{b="x",c="p"}': "2x30",
}
EXPRESSIONS = [
    "c",
    "-c",
    "c + g",
    "c - g * 2 + 1",
    "2 * c / 4 - 1",
    "(c + 1) / 0",
    "(c > 60) - 50",
    "c > g",
    "c >= 10 and g < 9",
    "c unless g",
    "g or c",
    'c{a=~"1|3"}',
    'c{a!="1",b!~"y"}',
    'c{zzz=""}',
    "c offset 2m",
    "c - c offset 5m",
    "rate(c[5m])",
    "increase(c[3m])",
    "increase(c[3m] offset 2m)",
    "delta(g[4m])",
    "changes(g[6m])",
    "max_over_time(g[5m])",
    "min_over_time(g[5m])",
    "avg_over_time(g[5m])",
    "count_over_time(g[5m])",
    "abs(g - 6)",
    "time() - c",
    "sum(c)",
    "sum by (b) (c)",
    "max without (a) (c)",
    "min(c) by (b)",
    "avg(c)",
    "count(c > 20)",
    "c / on (a) m",
    "c / ignoring (b) m",
    "c * on (b) group_left () n",
    "c * on (b) group_left (c) n",
    "c and on (a) m",
    "c unless on (a) (m > 5)",
    "c > on (a) m",
    "c > ignoring (b) m",
]


def labels_of(name: str) -> tuple[str, Labels]:
    """Split a series' name."""
    selector = parse(name)
    assert isinstance(selector, Selector)
    return selector.name, frozenset((one.label, one.pattern) for one in selector.matchers)


def series(begin: int) -> dict[str, list[str]]:
    """The values of `SERIES`; ``begin`` is the first one of the counter that begins late."""
    return {name: list(expanded(text.format(begin=begin))) for name, text in SERIES.items()}


def stored(until: int, begin: int) -> Store:
    """Fill a store with `SERIES` up to a number of steps."""
    store = Store(dict.fromkeys(("c", "g", "m", "n"), 1200.0))
    values = series(begin)
    for step in range(until + 1):
        samples: dict[str, dict[Labels, float]] = {}
        for name, of in values.items():
            if step < len(of) and of[step] not in ("_", "stale"):
                metric, labels = labels_of(name)
                samples.setdefault(metric, {})[labels] = float(of[step])
        store.add(step * STEP_SECONDS, samples)
    return store


def ours(expression: str, step: int, begin: int = 3) -> Vector:
    """Evaluate an expression with the built-in engine."""
    return evaluate(parse(expression), Moment(stored(step, begin), float(step * STEP_SECONDS)))


def near_zero(promtool: Tool) -> int:
    """A counter's first value, such that the time when it was zero is within what is extrapolated.

    Prometheus after 2.42 looks at that time in another order; for those the value is out of reach.
    """
    version = subprocess.run([promtool.path, "--version"], env=promtool.env, capture_output=True, text=True, check=True)
    return 3 if " version 2.42" in version.stdout + version.stderr else 3000


def test_prometheus_evaluates_them_the_same(tool: Callable[[str], Tool], tmp_path: Path) -> None:
    """Prometheus finds, for every expression and several moments, exactly the series and values that we do."""
    checks = []
    promtool = tool("promtool")
    begin = near_zero(promtool)
    for step in (4, 9, 14, 22):
        for expression in EXPRESSIONS:
            found = ours(expression, step, begin)
            samples = [{"labels": _written(labels), "value": value} for labels, value in found.items()]
            # The sum takes the metric's name away, which we never keep.
            checks.append(
                {"expr": f"({expression}) + 0", "eval_time": f"{step * STEP_SECONDS}s", "exp_samples": samples}
            )
    history = [{"series": name, "values": " ".join(values) + " stale"} for name, values in series(begin).items()]
    tests = [{"interval": f"{STEP_SECONDS}s", "input_series": history, "promql_expr_test": checks}]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "30s", "tests": tests}, width=1000))
    command = [promtool.path, "test", "rules", str(path)]
    result = subprocess.run(command, env=promtool.env, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[:6000]


def _written(labels: Labels) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels)) + "}"


@pytest.mark.parametrize(
    ("text", "at", "what"),
    [
        ("c +", 3, "found the end of the expression"),
        ("c{a=1}", 4, "text in quotes"),
        ('c{a=~"("}', 5, "not a regular expression"),
        ("ratte(c[5m])", 0, "did you mean rate?"),
        ("rate(c)", 6, "takes a range"),
        ("sum(c[5m]", 9, "expected ')'"),
        ("c > bool 1", 4, "bool is not known"),
        ("c * on (a) group_right () m", 11, "group_right"),
        ("c c", 2, "follows the end"),
        ("c § 1", 2, "has no meaning"),
        ("", 0, "found the end of the expression"),
        ('{__name__="c"}', 0, "begins with the metric's name"),
        ("c[5m", 4, "expected ']'"),
        ("c offset 5", 9, "a duration"),
        ("(" * 200 + "c" + ")" * 200, 50, "too many parentheses"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, at: int, what: str) -> None:
    """Each error names the character, and what would be right there."""
    with pytest.raises(ExpressionError, match=re.escape(what)) as caught:
        parse(text)
    assert caught.value.at == at


@given(st.text(alphabet='c{}[]()<>=!~+-*/ "5m,abyonigrutl', max_size=40))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    """Whatever is written gives an expression or an `ExpressionError` inside of the text."""
    places = [0]
    try:
        parse(text)
    except ExpressionError as error:
        places.append(error.at)
    assert all(0 <= at <= len(text) for at in places)


@pytest.mark.parametrize("expression", ["c + on (b) g", "c * on (b) g", "m + on () m"])
def test_ambiguous_matches_are_errors(expression: str) -> None:
    """Two series that fit one are no verdict, as in Prometheus."""
    with pytest.raises(EvaluationError):
        ours(expression, 10)


def test_the_store_forgets_what_nobody_looks_back_to() -> None:
    """Only samples within reach are kept; series that are gone are dropped, with their memory."""
    store = Store({"c": 60.0, "g": 0.0})
    for step in range(100):
        store.add(step * 30.0, {"c": {frozenset({("a", str(step // 10))}): 1.0}, "g": {NO_LABELS: 2.0}})
    assert len(store._series["c"]) <= 2
    assert all(len(series.times) <= 4 for series in store._series["c"].values())
    assert len(store._series["g"][NO_LABELS].times) == 1


def test_reach_is_what_rules_look_back() -> None:
    """Ranges and offsets add up; an offset without range also needs the samples before it; the farthest look counts."""
    value = "rate(a[5m] offset 1m) + b offset 1m + c + increase(c[2m])"
    rule = Rule("Some", "group", value, "", "", gate="a > 1")
    assert reach(iter([rule])) == {"a": 360.0, "b": 360.0, "c": 120.0}
