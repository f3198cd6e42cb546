"""Processes that were configured as important: how many there are, and what they use, beside what was expected."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.metric import Family, Group, LabelValues, gauge
from exporters.readers.key_processes import Found, read
from exporters.subject import Machine

_LABELS = ("process", "level")


def _found(machine: Machine) -> Iterator[tuple[LabelValues, Found]]:
    board = machine.world.alerts
    for one in read(board.processes, machine.world.proc_root) if board is not None else ():
        yield (one.expected.name, one.expected.level), one


FAMILIES = (
    Family(
        "key_processes",
        "Processes that have to be there, as configured under alerts",
        (
            Group(
                Found,
                _found,
                (
                    gauge("machine_key_process_count", "Processes that fit.", "there.count", labels=_LABELS),
                    gauge(
                        "machine_key_process_count_min",
                        "How many there have to be.",
                        "expected.count_min",
                        labels=_LABELS,
                    ),
                    gauge(
                        "machine_key_process_count_max",
                        "How many there may be.",
                        "expected.count_max",
                        labels=_LABELS,
                    ),
                    gauge("machine_key_process_threads", "Their threads.", "there.threads", labels=_LABELS),
                    gauge(
                        "machine_key_process_threads_max",
                        "How many threads they may have.",
                        "expected.threads_max",
                        labels=_LABELS,
                    ),
                    gauge(
                        "machine_key_process_file_descriptors",
                        "Descriptors that they hold.",
                        "there.descriptors",
                        labels=_LABELS,
                    ),
                    gauge(
                        "machine_key_process_file_descriptors_max",
                        "How many they may hold.",
                        "expected.descriptors_max",
                        labels=_LABELS,
                    ),
                    gauge(
                        "machine_key_process_resident_memory_bytes",
                        "Their memory that is in RAM; what they share counts for each.",
                        "there.rss_bytes",
                        labels=_LABELS,
                    ),
                    gauge(
                        "machine_key_process_resident_memory_max_bytes",
                        "How much they may have.",
                        "expected.memory_max_bytes",
                        labels=_LABELS,
                    ),
                ),
                labels=_LABELS,
                origin="/proc/PID; the configuration",
            ),
        ),
        of="machine",
    ),
)
