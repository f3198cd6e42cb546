"""Who died last of lack of memory, as a series: exemplars do not reach alerts. Kernel: mm/oom_kill.c, /dev/kmsg."""

from __future__ import annotations

from collections.abc import Iterable

from exporters.metric import Family, Group, LabelValues, gauge
from exporters.readers.oom import Kills
from exporters.subject import Subject

_LABELS = ("comm", "pid")


class _Is:
    """The record of a series that only says that something is so."""

    one = 1


_IS = _Is()


def _last(subject: Subject) -> Iterable[tuple[LabelValues, _Is]]:
    oom = subject.world.oom
    kills: Kills | None = oom.read(subject.cgroup) if oom is not None else None
    if kills is None or kills.last is None:
        return ()
    labels = dict(kills.last.labels)
    return ((tuple(labels.get(name, "") for name in _LABELS), _IS),)


FAMILIES = (
    Family(
        "oom_victims",
        "Who was killed last by the OOM killer",
        (
            Group(
                _Is,
                _last,
                (
                    gauge(
                        "container_oom_last_victim_info",
                        "1; process name and id of what the OOM killer ended last in the cgroup or below it.",
                        "one",
                        labels=_LABELS,
                    ),
                ),
                labels=_LABELS,
                origin="/dev/kmsg",
            ),
        ),
        departed=True,
    ),
)
