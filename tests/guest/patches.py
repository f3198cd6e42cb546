"""Changes to the kernel source: shortcomings of User Mode Linux that matter to whoever measures or counts CPUs.

1. Every tick is charged to the system (user time stays 0), because the timer's signal arrives in the kernel's own
   thread: note when that thread waits for user code.
2. ``sched_clock()`` counts ticks of 10 ms: take the host's clock, in nanoseconds.
3. ``/proc/cpuinfo`` has no blank line behind a CPU and no core numbers: libproc2 (Debian 12's `ps` and `vmstat`) looks
   for either, reaches the end of the file and gives up.

None touches cgroup code. They are replacements of text and not diffs, so that they survive from one kernel to the
next; where one no longer fits, the kernel is still good for everything else, and the build says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Replacement:
    """``old``, found exactly once in ``path``, becomes ``new``."""

    path: str
    old: str
    new: str


REPLACEMENTS: Final = (
    Replacement(
        "arch/um/os-Linux/signal.c",
        "\n__thread int signals_enabled;\n",
        "\n__thread int signals_enabled;\n__thread int um_in_user;\n",
    ),
    Replacement(
        "arch/um/os-Linux/signal.c",
        "\ttimer_handler(SIGALRM, NULL, &regs);\n}\n",
        "\tregs.is_user = um_in_user;\n\ttimer_handler(SIGALRM, NULL, &regs);\n}\n",
    ),
    Replacement(
        "arch/um/os-Linux/skas/process.c",
        "\nvoid userspace(struct uml_pt_regs *regs)\n",
        "\nextern __thread int um_in_user;\nvoid userspace(struct uml_pt_regs *regs)\n",
    ),
    Replacement(
        "arch/um/os-Linux/skas/process.c",
        "\t\t\twait_stub_done_seccomp(mm_id, 0, 0);\n",
        "\t\t\tum_in_user = 1;\n\t\t\twait_stub_done_seccomp(mm_id, 0, 0);\n\t\t\tum_in_user = 0;\n",
    ),
    Replacement(
        "arch/um/kernel/um_arch.c",
        '\tseq_printf(m, "mode\\t\\t: skas\\n");\n',
        '\tseq_printf(m, "physical id\\t: 0\\n");\n'
        '\tseq_printf(m, "siblings\\t: %d\\n", num_online_cpus());\n'
        '\tseq_printf(m, "core id\\t\\t: %d\\n", i);\n'
        '\tseq_printf(m, "cpu cores\\t: %d\\n", num_online_cpus());\n',
    ),
    Replacement(
        "arch/um/kernel/um_arch.c",
        '\tseq_printf(m, "bogomips\\t: %lu.%02lu\\n",\n',
        '\tseq_printf(m, "bogomips\\t: %lu.%02lu\\n\\n",\n',
    ),
)

SCHED_CLOCK: Final = """
#ifndef CONFIG_UML_TIME_TRAVEL_SUPPORT
notrace unsigned long long sched_clock(void)
{
\tstatic unsigned long long base;

\tif (unlikely(!base))
\t\tbase = os_nsecs();
\treturn os_nsecs() - base;
}
#endif
"""


def apply_patches(source: Path) -> Iterator[str]:
    """Change the kernel tree at ``source``; yield the path of each file that no longer fits."""
    for replacement in REPLACEMENTS:
        path = source / replacement.path
        text = path.read_text(encoding="utf-8")
        if text.count(replacement.old) == 1:
            path.write_text(text.replace(replacement.old, replacement.new), encoding="utf-8")
        else:
            yield replacement.path
    with (source / "arch/um/kernel/time.c").open("a", encoding="utf-8") as file:
        file.write(SCHED_CLOCK)
