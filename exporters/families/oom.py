"""OOM kills: of each container, also of one that is gone, and what nobody can be blamed for.

Kernel: mm/oom_kill.c. Counts are those of counters; the kernel's log only tells who died (exemplars in OpenMetrics).
"""

from __future__ import annotations

from typing import Final

from cgroup_model.dialects.origins import ORIGINS
from cgroup_model.oom import Report
from cgroup_model.snapshot import Need
from exporters.metric import Family, Group, counter, flag, gauge
from exporters.readers.oom import Kills
from exporters.subject import Machine, Subject

_ORIGIN: Final = "{0.v1} (v1), {0.v2} (v2), watched; the ledger".format(ORIGINS["MemoryEvents.oom_kill"])


def _kills(subject: Subject) -> Kills | None:
    oom, memory = subject.world.oom, subject.snapshot.memory
    events = memory.events if memory is not None else None
    return oom.read(subject.cgroup, events.oom_kill if events is not None else None) if oom is not None else None


def _report(machine: Machine) -> Report | None:
    return machine.world.oom.report if machine.world.oom is not None else None


FAMILIES = (
    Family(
        "oom",
        "OOM kills of containers",
        (
            Group(
                Kills,
                _kills,
                (
                    counter(
                        "container_oom_kills_total",
                        "Processes of the cgroup and all below it that the OOM killer ended. Goes on when the cgroup "
                        "is made again under its name.",
                        "kills",
                        exemplar="last",
                    ),
                    counter("container_oom_events_total", "The same under cAdvisor's name.", "kills"),
                    gauge(
                        "container_oom_last_kill_time_seconds",
                        "When the last of them was seen, seconds of the epoch.",
                        "last_epoch",
                    ),
                ),
                origin=_ORIGIN,
            ),
        ),
        # On v1 the kernel notifies before it kills: a kill that takes longer is seen in the cgroup's own counter.
        needs=Need.MEMORY | Need.MEMORY_DETAIL,
        departed=True,
    ),
    Family(
        "oom_ledger",
        "OOM kills of the machine, and how they were counted",
        (
            Group(
                Report,
                _report,
                (
                    counter(
                        "machine_oom_kills_attributed_total",
                        "Kills that a cgroup's own counter explains, since the ledger began.",
                        "attributed",
                    ),
                    counter(
                        "machine_oom_kills_unattributed_total",
                        "Kills that none explains: in cgroups that came and went unseen, or in none.",
                        "unattributed",
                    ),
                    gauge("cgroup_exporter_oom_watched_cgroups", "Cgroups whose kills are notified.", "watched"),
                    gauge(
                        "cgroup_exporter_oom_unwatched_cgroups",
                        "Cgroups that are looked at when scraped only.",
                        "unwatched",
                    ),
                    gauge("cgroup_exporter_kernel_log_readable", "1 when victims can be named.", "log_readable", flag),
                    counter(
                        "cgroup_exporter_kernel_log_lost_messages_total",
                        "Messages of the kernel that were overwritten before they were read.",
                        "log_lost",
                    ),
                    counter(
                        "cgroup_exporter_kernel_log_suppressed_messages_total",
                        "Messages that the kernel left out, as far as it said so.",
                        "log_suppressed",
                    ),
                ),
                origin="/proc/vmstat oom_kill; the ledger; /dev/kmsg",
            ),
        ),
        of="machine",
    ),
)
