"""Commands that documents show, and what they show below them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ANYTHING = "…"
OURS = {"procfs-fuse": "procfs_fuse", "cgroup-exporter": "exporters", "ctop": "ctop", "cgscope": "cgscope"}
"""Our programs, and the modules that they are."""

ENGINES = ("docker", "podman", "ctr", "lxc-create", "lxc-start", "lxc-attach", "lxc-stop", "lxc-destroy")
PROGRAMS = (*OURS, *ENGINES, "apt", "echo", "systemctl")
"""What follows a prompt; any other line that begins like one is output."""


@dataclass(frozen=True)
class Typed:
    """A command and the lines that its output has; … stands for anything."""

    command: str
    output: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Whether the program is one of ours."""
        return self.command.split()[0] in OURS

    def fits(self, output: str) -> bool:
        """Whether an output has the expected lines in this order, with anything where … stands."""
        lines = [
            r"(?:.*\n)*?" if line == ANYTHING else re.escape(line).replace(ANYTHING, ".*") + r"\n"
            for line in self.output
        ]
        return re.fullmatch("".join(lines) + r"(?:.*\n)*", output) is not None


def sessions(page: str) -> Iterator[tuple[str, list[Typed]]]:
    """Yield (title, commands) of each section with a console."""
    for section in re.split(r"(?m)^## ", page)[1:]:
        title = section.partition("\n")[0]
        for block in re.findall(r"(?ms)^```console\n(.*?)^```", section):
            yield title, list(commands(block))


def commands(block: str) -> Iterator[Typed]:
    """Yield what is typed: lines behind a prompt that names a program."""
    prompt = re.compile(rf"(?m)^[#$] (?=(?:{'|'.join(PROGRAMS)})\b)")
    for part in prompt.split(block)[1:]:
        command, *output = part.rstrip("\n").split("\n")
        yield Typed(command, tuple(output))
