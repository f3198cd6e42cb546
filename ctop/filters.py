"""What the user types to narrow the list: a substring, ``!`` to invert, ``~`` for a regular expression.

Every word has to fit, spaces separate. Looked at are name, id, engine, image, pod, namespace and path.
A word that is no regular expression is a hint to show, never an error: it is typed one letter at a time.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

from cgroup_model.record import dataclass
from ctop.scene import Entry

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as typed. ``hint`` says what is wrong with it; such a word lets everything pass."""

    text: str = ""
    tests: tuple[Test, ...] = ()
    hint: str = ""

    def fits(self, entry: Entry) -> bool:
        """Tell whether an entry is to be shown."""
        if not self.tests:
            return True
        haystack = searchable(entry)
        return all(test(haystack) for test in self.tests)


def searchable(entry: Entry) -> str:
    """Everything that is searched, one thing a line."""
    identity = entry.identity
    parts = (identity.name, identity.id, identity.engine, identity.image, identity.pod, identity.namespace, entry.path)
    return "\n".join(part for part in parts if part)


def parse(text: str) -> Filter:
    """Understand what was typed so far."""
    tests = []
    hint = ""
    for word in text.split():
        inverted = word.startswith("!")
        body = word[1:] if inverted else word
        try:
            test = _regex(body[1:]) if body.startswith("~") else _substring(body)
        except re.error as error:
            hint = f"not a regular expression (yet): {error}"
            continue
        if body not in {"", "~"}:
            tests.append(_not(test) if inverted else test)
    return Filter(text, tuple(tests), hint)


def _substring(word: str) -> Test:
    folded = word.casefold()
    return lambda haystack: folded in haystack.casefold()


def _regex(word: str) -> Test:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other versions of Python may make of it, in the middle of the screen
        pattern = re.compile(word, re.IGNORECASE | re.MULTILINE)
    return lambda haystack: pattern.search(haystack) is not None


def _not(test: Test) -> Test:
    return lambda haystack: not test(haystack)
