"""What a dashboard consists of, as plain records: written by people in ``boards/``, read by ``builder``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dashboards.queries import Scope

Kind = Literal["lines", "stat", "table"]
Unit = Literal["bytes", "binBps", "percentunit", "short", "s", "dateTimeFromNow", "none"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression. ``legend`` names its lines, in a table the column. ``limit``: drawn as a dashed red line."""

    expr: str
    legend: str
    limit: bool = False
    unit: Unit | None = None  # of a table's column, where it is another one than the panel's


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``text`` says what the number means and what to do; ``runbook`` is an alert's name.

    ``may_be_empty`` says why there may rightly be nothing to see.
    """

    title: str
    text: str
    unit: Unit
    queries: Sequence[Query]
    kind: Kind = "lines"
    scope: Scope = "containers"
    width: int = 12
    height: int = 8
    runbook: str = ""
    may_be_empty: str = ""
    most: float | None = None  # fixed upper end of the axis


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


Choice = Literal["engine", "name", "id", "namespace", "pod"]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. ``choices`` are variables beside datasource, job and instance."""

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    choices: Sequence[Choice] = ()
    span: str = "now-1h"
