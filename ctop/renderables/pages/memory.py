"""What the memory is used for, and what happened to it."""

from __future__ import annotations

from typing import Final

from cgroup_model.snapshot import Memory
from ctop.format import number, percent, trim
from ctop.renderables.lines import Line
from ctop.renderables.pages.facts import LABEL, Detail, fact, heading, note

_PARTS: Final = (
    "anon", "file", "shmem", "file_mapped", "file_dirty", "file_writeback", "slab", "slab_reclaimable",
    "slab_unreclaimable", "kernel", "kernel_stack", "pagetables", "percpu", "sock", "vmalloc", "zswap", "swapcached",
    "active_anon", "inactive_anon", "active_file", "inactive_file", "unevictable", "anon_thp",
)  # fmt: skip
_EVENTS: Final = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")
_LONGEST_BAR: Final = 40


def memory_page(detail: Detail, width: int, _height: int) -> list[Line]:
    """Shares of the usage, then counters."""
    snapshot = detail.entry.snapshot
    if snapshot is None or snapshot.memory is None:
        return [note("no memory controller here", width)]
    memory = snapshot.memory
    lines = [
        heading("Memory", width),
        _share("usage", memory.current, memory.current, width),
        _share("working set", memory.working_set, memory.current, width),
        fact("peak", number(memory.peak, "size"), width),
        fact("swap", number(memory.swap_current, "size"), width),
    ]
    for name in _PARTS:
        amount = getattr(memory.stat, name)
        if amount is not None:
            lines.append(_share(name.replace("_", " "), amount, memory.current, width))
    return lines + _events(memory, width)


def _events(memory: Memory, width: int) -> list[Line]:
    lines = [heading("Events since it was made", width)]
    for name in _EVENTS:
        happened = None if memory.events is None else getattr(memory.events, name)
        if happened is not None:
            lines.append(fact(name.replace("_", " "), str(happened), width))
    if memory.failcnt is not None:
        lines.append(fact("limit reached", str(memory.failcnt), width))
    return lines


def _share(label: str, amount: int | None, whole: int | None, width: int) -> Line:
    text = f"{label:<{LABEL}} {number(amount, 'size'):>12}"
    if amount is not None and whole:
        ratio = min(1.0, amount / whole)
        room = max(0, width - len(text) - 10)
        text += f" {percent(100 * amount / whole):>5} % " + "|" * round(ratio * min(room, _LONGEST_BAR))
    return [(trim(text, width), "")]
