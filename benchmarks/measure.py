"""Interleaved rounds of reads inside one container; medians and spread over the rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.container import Container
from benchmarks.servers import Server

HOT_READS = 2000
PACED_READS = 120
PACE_USEC = 15_000  # longer than the TTL: each read is a miss


@dataclass(slots=True)
class Case:
    """One file, read in one way from one server."""

    group: str  # cases of one group are compared
    candidate: str
    path: str  # inside the container
    paced: bool = False
    server: Server | None = None
    p50_usec: list[float] = field(default_factory=list)  # of each round
    p99_usec: list[float] = field(default_factory=list)
    cpu_usec: list[float] = field(default_factory=list)  # of the server, per read

    @property
    def reads(self) -> int:
        """Reads per round."""
        return PACED_READS if self.paced else HOT_READS

    def as_json(self) -> dict[str, object]:
        """The figures of this case."""
        return {
            "group": self.group,
            "candidate": self.candidate,
            "reads_per_round": self.reads,
            "p50_usec": round(median(self.p50_usec), 2),
            "p50_usec_spread": [round(min(self.p50_usec), 2), round(max(self.p50_usec), 2)],
            "p99_usec": round(median(self.p99_usec), 2),
            "server_cpu_usec_per_read": round(median(self.cpu_usec), 1) if self.server else None,
        }


def run_rounds(inside: Container, reader: str, cases: Sequence[Case], rounds: int) -> None:
    """Measure every case once per round, in turn, so that the machine's moods hit all alike."""
    for number in range(rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            before = case.server.cpu_seconds() if case.server else 0.0
            pace = str(PACE_USEC if case.paced else 0)
            _, p50, p99 = map(int, inside.run(reader, case.path, str(case.reads), pace).split())
            after = case.server.cpu_seconds() if case.server else 0.0
            case.p50_usec.append(p50 / 1000)
            case.p99_usec.append(p99 / 1000)
            case.cpu_usec.append((after - before) * 1e6 / case.reads)
