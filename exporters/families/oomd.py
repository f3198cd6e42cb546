"""Kills by systemd-oomd, which no control file counts: it marks the cgroup."""

from __future__ import annotations

from exporters.metric import Family, Group, counter
from exporters.readers.oomd import Marks
from exporters.subject import Subject


def _marks(subject: Subject) -> Marks | None:
    oomd = subject.world.oomd
    return oomd.read(subject.cgroup) if oomd is not None else None


FAMILIES = (
    Family(
        "oomd",
        "Kills by systemd-oomd",
        (
            Group(
                Marks,
                _marks,
                (
                    counter(
                        "container_oomd_kills_total",
                        "Processes that systemd-oomd killed in the cgroup or below; absent without a mark.",
                        "kills",
                    ),
                    counter(
                        "container_oomd_ooms_total", "Times that it chose the cgroup; absent without a mark.", "ooms"
                    ),
                ),
                origin="extended attributes user.oomd_kill and user.oomd_ooms of the v2 directory",
            ),
        ),
        default=False,
        why_off="two more system calls per container, of use where systemd-oomd runs",
    ),
)
