"""Which format and encoding a client wants: the headers Accept and Accept-Encoding (RFC 9110, section 12.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exporters.encoder import Format

_MOST_CHOICES: Final = 32  # of a header; clients send up to five

_FORMATS: Final[dict[Format, tuple[str, frozenset[str | None]]]] = {
    # Versions that we write; a client that names none takes any.
    "openmetrics": ("application/openmetrics-text", frozenset({None, "1.0.0", "0.0.1"})),
    "text": ("text/plain", frozenset({None, "0.0.4"})),
}


def choose_format(accept: str) -> Format:
    """Choose OpenMetrics if the client likes it at least as much as the classic format, which is the default."""
    wishes: dict[Format, float] = {"openmetrics": 0.0, "text": 0.0}
    for name, parameters, quality in _choices(accept):
        for form, (kind, versions) in _FORMATS.items():
            if name == kind and parameters.get("version") in versions:
                wishes[form] = max(wishes[form], quality)
    return "openmetrics" if wishes["openmetrics"] > 0 and wishes["openmetrics"] >= wishes["text"] else "text"


def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether the client understands gzip and does not refuse it."""
    return any(name in {"gzip", "x-gzip"} and quality > 0 for name, _, quality in _choices(accept_encoding))


def _choices(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield (name, parameters, quality) of each choice of a header; what is malformed counts as not wanted."""
    for choice in header.split(",", _MOST_CHOICES)[:_MOST_CHOICES]:
        name, *rest = (part.strip() for part in choice.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        parameters = {key.strip().lower(): text.strip().strip('"') for key, text in parameters.items()}
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        yield name.lower(), parameters, quality
