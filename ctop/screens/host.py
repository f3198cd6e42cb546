"""What screens need of the application that shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cgroup_model.oom import Victim
    from cgroup_model.processes import Process
    from ctop.actions import Machine, Target
    from ctop.scene import Entry
    from ctop.session import Session
    from ctop.settings import Settings
    from ctop.themes import Theme


class Host(Protocol):
    """Offered by `ctop.app.CtopApp`."""

    settings: Settings
    session: Session
    machine: Machine | None  # None: nothing can be changed
    is_read_only: bool
    zone: tzinfo
    theme_colours: Theme

    @property
    def device_names(self) -> Mapping[tuple[int, int], str]:
        """Names of block devices by (major, minor); none in a recording."""

    def set(self, **what: object) -> None:
        """Change settings."""

    def set_delay(self, seconds: float) -> float:
        """Change the interval; returns what it became within its bounds."""

    def next_theme(self) -> str:
        """Use the next theme; returns its name."""

    def save(self) -> tuple[str, bool]:
        """Save the settings; returns what to say, and whether it is a problem."""

    def in_background(self, work: Callable[[], str], say: Callable[..., None]) -> None:
        """Do something that may wait, in a thread, and say how it went."""

    def processes(self, entry: Entry) -> list[Process] | None:
        """The processes of a cgroup; None in a recording."""

    def victims(self) -> Sequence[Victim] | None:
        """Whom the kernel's log names as killed for lack of memory; None where that is not known."""

    def first_process(self, target: Target) -> int | None:
        """A process of the target; None without any."""

    def virtual_files(self, entry: Entry) -> list[str]:
        """Where the virtual proc is mounted inside of a container."""
