"""Suggestions for words that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The candidates that look most like ``word``, best first; also those that begin with it."""
    import difflib  # noqa: PLC0415 - slow to import, and needed only when something went wrong

    known = list(dict.fromkeys(candidates))
    begin = sorted(name for name in known if word and name.startswith(word))
    similar = difflib.get_close_matches(word, known, n=count, cutoff=0.6)
    return list(dict.fromkeys([*begin, *similar]))[:count]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``did you mean A or B?``, or an empty string when nothing is similar."""
    names = nearest(word, candidates)
    return f"did you mean {' or '.join(names)}?" if names else ""
