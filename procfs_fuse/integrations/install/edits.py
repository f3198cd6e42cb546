"""Changes of files that belong to others: computed first, shown as a diff, then made in one step each."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cgscope.errors import Failure

_NEW_FILE_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be written into the engines' files."""

    program: tuple[str, ...]  # the words that start procfs-fuse
    options: tuple[str, ...] = ()  # of its hook: --mount=…, --strict
    root: str = ""  # put in front of every path that is read or written
    default: bool = False  # make ours what the engine uses for every container, where that is a choice

    @property
    def words(self) -> list[str]:
        """The program's own words."""
        return list(self.program)


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one file; None stands for a file that is not there."""

    path: str
    add: Callable[[str | None], str | None]
    remove: Callable[[str | None], str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One file before and after."""

    path: str
    before: str | None
    after: str | None

    @property
    def diff(self) -> str:
        """The difference as patch(1) takes it; empty when there is none."""
        before, after = (self.path if text is not None else "/dev/null" for text in (self.before, self.after))
        old, new = ((text or "").splitlines(keepends=True) for text in (self.before, self.after))
        lines = difflib.unified_diff(old, new, before, after)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def make(self) -> None:
        """Write or remove the file; its owner and mode stay. Raises OSError."""
        if self.after is None:
            os.unlink(self.path)
            return
        folder = os.path.dirname(self.path)
        os.makedirs(folder, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(self.path)}.")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(self.after)
                os.fchmod(descriptor, _NEW_FILE_MODE)
                if self.before is not None:
                    status = os.stat(self.path)
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                    os.fchmod(descriptor, status.st_mode & 0o7777)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def change(edit: Edit, root: str, *, uninstall: bool) -> Change:
    """What an edit does to the file as it is now. Raises OSError, and Failure for a file that is not understood."""
    path = _behind_links(f"{root}{edit.path}", root)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            before = file.read()
    except FileNotFoundError:
        before = None
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is no UTF-8: {error.reason}", "mend it first; nothing was changed") from error
    return Change(path, before, (edit.remove if uninstall else edit.add)(before))


def _behind_links(path: str, root: str) -> str:
    """The file itself: a link to it is somebody's choice, and stays."""
    real = os.path.realpath(path)
    if root and not real.startswith(f"{os.path.realpath(root)}/"):
        raise Failure(f"{path} leads out of {root}, to {real}", "nothing was changed")
    return real if os.path.islink(path) else path


def whole_file(path: str, text: Callable[[], str]) -> Edit:
    """A file that is ours alone; ``text`` is asked for only when it is to be written."""
    return Edit(path, lambda _: text(), lambda _: None)


def block(
    path: str, text: Callable[[], str], *, begin: str = "", check: Callable[[str], None] = lambda _: None
) -> Edit:
    """Lines at the end of somebody's file, between two comments; ``begin`` is for a file that is not there yet.

    ``check`` raises Failure when what comes out is not what the engine takes.
    """

    def add(before: str | None) -> str:
        marked = f"{_BEGIN}\n{text().rstrip()}\n{_END}\n"
        rest = without_block(before if before is not None else begin)
        after = f"{rest}{'' if not rest or rest.endswith(chr(10)) else chr(10)}{marked}"
        check(after)
        return after

    def remove(before: str | None) -> str | None:
        if before is None:
            return None
        rest = without_block(before)
        return None if rest.strip() == begin.strip() else rest

    return Edit(path, add, remove)


_BEGIN: Final = "# procfs-fuse: begin (written by: procfs-fuse install)"
_END: Final = "# procfs-fuse: end"


def without_block(text: str) -> str:
    """Somebody's file without the lines that `block` added."""
    before, begin, rest = text.partition(f"{_BEGIN}\n")
    _ours, end, after = rest.partition(f"{_END}\n")
    return f"{before}{after}" if begin and end else text
