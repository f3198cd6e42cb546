"""Output for pipes: a text table, JSON lines or CSV, one block per sample."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from cgroup_model.machine import Machine
from cgroup_model.snapshot import UNLIMITED, Need
from ctop.arrange import Row, View, arrange
from ctop.columns import COLUMNS, Column, needs_of
from ctop.format import MAX, Value
from ctop.renderables.header import machine_lines
from ctop.renderables.lines import Line
from ctop.renderables.table import heading, lay_out, row_line
from ctop.scene import Entry, Scene, Scenes

Format = Literal["table", "json", "csv"]

_PIPE_WIDTH: Final = 10_000  # nothing is cut in a pipe


@dataclass(frozen=True, slots=True)
class Batch:
    """What to print: ``count`` samples (None: until interrupted), ``delay`` seconds apart."""

    format: Format
    columns: tuple[Column, ...]
    view: View
    delay: float
    count: int | None = None
    warm_up: bool = False  # one look more, before the first that is printed, so that it has rates


def samples(
    scenes: Scenes, batch: Batch, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Scene, list[Row]]]:
    """Yield scenes with their rows, all columns filled in."""
    done = -1 if batch.warm_up else 0
    while batch.count is None or done < batch.count:
        scene, rows = sample(scenes, batch)
        if done >= 0:
            yield scene, rows
        done += 1
        if scenes.is_over:
            return
        if batch.count is None or done < batch.count:
            sleep(batch.delay)


def sample(scenes: Scenes, batch: Batch) -> tuple[Scene, list[Row]]:
    """Look once: at everything that is sorted by, then at what is printed."""
    by = COLUMNS[batch.view.sort]
    parts = frozenset({"names", by.survey} if by.survey else {"names"})
    scene = scenes.survey(parts, Need.NOTHING if by.survey is not None else by.needs)
    paths = [row.entry.path for row in arrange(scene, batch.view) if row.entry is not None]
    network = any(column.network for column in batch.columns)
    scene = scenes.look(scene, paths, needs_of((*batch.columns, by)), network=network)
    return scene, arrange(scene, batch.view)


# ------------------------------------------------------------------------------------------------- text


def table_lines(scene: Scene, rows: list[Row], batch: Batch, width: int | None) -> Iterator[Line]:
    """Yield the head of the machine, the titles and a line per row; ``width`` None: as wide as needed."""
    if width is None:
        longest = max((len(row.label) + 2 * row.depth + 2 for row in rows), default=0)
        fixed = sum(column.width + 1 for column in batch.columns if column.name != "name")
        width = min(_PIPE_WIDTH, fixed + max(longest, COLUMNS["name"].width))
    yield from machine_lines(scene, width)
    layout = lay_out(batch.columns, width)
    by = COLUMNS[batch.view.sort]
    yield heading(layout, by.name, descending=by.is_text == batch.view.reverse)
    for row in rows:
        yield row_line(row, layout)


# ----------------------------------------------------------------------------------------- JSON and CSV


def json_line(scene: Scene, rows: list[Row], batch: Batch) -> str:
    """One sample as one line of JSON. Unknown is null, unlimited is "max"."""
    document = {
        "time": timestamp(scene.taken_at),
        "host": scene.hostname,
        "cgroup_world": scene.world,
        "missing_controllers": list(scene.missing),
        "machine": _machine(scene.machine, scene.cpu_ratio),
        "cgroups": [_record(row.entry, batch.columns) for row in rows if row.entry is not None],
    }
    return json.dumps(document, ensure_ascii=True)


def csv_rows(scene: Scene, rows: list[Row], batch: Batch) -> str:
    """One sample as rows of CSV. Unknown is empty, unlimited is max."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if row.entry is not None:
            record = _record(row.entry, batch.columns)
            writer.writerow([timestamp(scene.taken_at), *record.values()])
    return text.getvalue()


def csv_heading(batch: Batch) -> str:
    """The names of the fields, once."""
    names = ["time", "path", *(column.field for column in batch.columns if column.name != "path")]
    return ",".join(names) + "\n"


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _record(entry: Entry, columns: tuple[Column, ...]) -> dict[str, object]:
    record: dict[str, object] = {"path": entry.path.encode("utf-8", "backslashreplace").decode()}
    for column in columns:
        if column.name != "path":
            record[column.field] = _plain(column.value(entry))
    return record


def _plain(value: Value) -> object:
    return MAX if value is UNLIMITED else value


def _machine(machine: Machine, cpu_ratio: float | None) -> dict[str, object]:
    load = machine.load
    return {
        "cpus": machine.cpus,
        "cpu_percent": None if cpu_ratio is None else 100 * cpu_ratio,
        "memory_total_bytes": machine.memory_total,
        "memory_available_bytes": machine.memory_available,
        "swap_total_bytes": machine.swap_total,
        "swap_free_bytes": machine.swap_free,
        "load": None if load is None else [load.one, load.five, load.fifteen],
        "tasks_running": machine.tasks_running,
        "tasks": machine.tasks,
        "pressure_cpu_percent": _psi(machine, "cpu"),
        "pressure_memory_percent": _psi(machine, "memory"),
        "pressure_io_percent": _psi(machine, "io"),
    }


def _psi(machine: Machine, resource: str) -> float | None:
    found = getattr(machine.pressure, resource)
    return None if found is None or found.some is None else float(found.some.avg10)
