"""Make what is made from the command lines themselves: manual pages, shell completions, docs/options.md.

python -m scripts.manual share DIR      share/man and completions below DIR, as distributions lay them out
python -m scripts.manual options        docs/options.md on standard output
"""

from __future__ import annotations

import argparse
import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import shtab
from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

import cgscope.cli
import ctop.cli
import exporters.options
import procfs_fuse.cli
from procfs_fuse.views import VIEWS


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: its section of the manual (8 is for administrators), what it is in a line, its parser."""

    name: str
    section: int
    about: str
    parser: Callable[[], argparse.ArgumentParser]


TOOLS: Final = (
    Tool("procfs-fuse", 8, "a /proc that tells containers the truth", procfs_fuse.cli.whole_parser),
    Tool("cgroup-exporter", 8, "Prometheus metrics and alerts of containers and cgroups", exporters.options.parser),
    Tool("ctop", 1, "htop for containers", ctop.cli.parser),
    Tool("cgscope", 8, "check this machine", cgscope.cli.parser),
)

_COMPLETIONS: Final = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/vendor-completions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
# Whoever starts a container chooses its name, and bash expands the words that it is to offer: only harmless ones do.
_LIST: Final = r"ctop -n 1 --csv --columns name,engine 2>/dev/null | sed -nE '1d; s/.*,([A-Za-z0-9_.-]+),[a-z-]+$/\1/p'"
_CONTAINERS: Final = {
    "bash": "_cgscope_containers",
    "zsh": "_cgscope_containers",
    "fish": "(_cgscope_containers)",
    "preamble": {
        "bash": f'_cgscope_containers() {{ compgen -W "$({_LIST})" -- "$1"; }}',
        "zsh": f'_cgscope_containers() {{ compadd -- ${{(f)"$({_LIST})"}} }}',
        "fish": f"function _cgscope_containers; {_LIST}; end",
    },
}
_PATHS: Final = " ".join(VIEWS)
_VIRTUAL_FILES: Final = {
    "bash": "_cgscope_virtual_files",
    "zsh": f"({_PATHS})",
    "fish": f"(string split ' ' '{_PATHS}')",
    "preamble": {"bash": f"_cgscope_virtual_files() {{ compgen -W '{_PATHS}' -- \"$1\"; }}"},
}
_OFFERED: Final = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "TARGET": _CONTAINERS}


# -------------------------------------------------------------------------------------- walking parsers


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Map command -> its parser."""
    for action in parser._actions:  # noqa: SLF001 - argparse offers no other way to look into a parser
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield what can be given, but for --help and what is hidden."""
    for action in parser._actions:  # noqa: SLF001
        hidden = action.help is argparse.SUPPRESS or action.dest in {"help", "version"}
        if not hidden and not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield action


# ----------------------------------------------------------------------------------------- what is made


def manual_page(tool: Tool) -> str:
    """Return the manual page in roff."""
    parser = tool.parser()
    parser.man_short_description = tool.about  # type: ignore[attr-defined] # where the library looks for it
    notes = [one.epilog for one in (parser, *subparsers(parser).values()) if one.epilog]
    parser.epilog = None  # the library would fill its lines
    data = {"prog": tool.name, "project_name": "cgscope", "manual_section": tool.section, "manual_title": "cgscope"}
    page = str(Manpage(parser, format="pretty", _data=data))
    return "\n".join([page.rstrip(), *map(_verbatim, notes)]).replace("…", "...") + "\n"


def _verbatim(epilog: str) -> str:
    """Return examples and remarks as they stand: roff would fill lines and obey those that begin with a dot."""
    title, _, rest = epilog.partition("\n")
    is_titled = title.strip() == "examples:"
    text = (rest if is_titled else epilog).rstrip().replace("\\", "\\e").replace("-", "\\-")
    lines = [f"\\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines()]
    return "\n".join([f".SH {'EXAMPLES' if is_titled else 'NOTES'}", ".nf", *lines, ".fi"])


def completion(tool: Tool, shell: str) -> str:
    """Return the completion script, which offers files, folders and containers where an option takes one."""
    parser = tool.parser()
    for name, one in (("", parser), *subparsers(parser).items()):
        for action in options(one):
            is_virtual = (name, action.dest) == ("show", "file")
            if offered := _VIRTUAL_FILES if is_virtual else _OFFERED.get(str(action.metavar)):
                action.complete = offered  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def share(folder: Path) -> Iterator[Path]:
    """Write manual pages and completions below ``folder``; yield the files."""
    for tool in TOOLS:
        page = folder / f"man/man{tool.section}/{tool.name}.{tool.section}.gz"
        yield _write(page, gzip.compress(manual_page(tool).encode(), mtime=0))
        for shell, place in _COMPLETIONS.items():
            yield _write(folder / place.format(tool.name), completion(tool, shell).encode())


def option_pages() -> Iterator[str]:
    """Yield docs/options.md in lines."""
    yield "# Options"
    yield ""
    yield "Made from the programs' own `--help` (`make docs`). Keys of configuration files are the long options' names."
    for tool in TOOLS:
        parser = tool.parser()
        commands = {f"{tool.name} {name}": one for name, one in subparsers(parser).items()} or {tool.name: parser}
        for name, one in commands.items():
            yield from _section(name, one)


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = [f"| {_spelling(action)} | {_cell(action, parser)} |" for action in options(parser)]
    yield from ("", f"## {name}", "", parser.description or "")
    if rows:
        yield from ("", "| Option | Meaning |", "|---|---|", *rows)
    if parser.epilog:
        yield from ("", "```text", parser.epilog.rstrip(), "```")


def _spelling(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        chosen = "\\|".join(map(str, action.choices)) if action.choices else str(action.metavar or action.dest.upper())
        value = chosen if not action.option_strings else f" {chosen}"
    names = [f"`{option}{value}`" for option in action.option_strings]
    return ", ".join(names) or f"`{value}`"


def _cell(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = (action.help or "") % {"prog": parser.prog, **vars(action)}
    return text.replace("|", "\\|").replace("<", "&lt;")


def _write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("share").add_argument("folder", type=Path)
    commands.add_parser("options")
    given = parser.parse_args(arguments)
    if given.what == "options":
        print("\n".join(option_pages()))
        return 0
    for file in share(given.folder):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
