"""The page's own files, read once, with the headers that keep everything else out of it."""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_INDEX: Final = "index.html"

HEADERS: Final[Mapping[str, str]] = {
    # Names of cgroups are strangers' text. The page writes them as text only; should it ever not, nothing of it runs.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of everything that belongs to the page, the API included."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, compressed."""

    packed: bytes
    content_type: str
    etag: str


def load(telemetry_path: str) -> dict[str, Asset]:
    """Read all files: name -> asset. The page links to the metrics at ``telemetry_path``."""
    found = {}
    for file in resources.files(__package__).joinpath("assets").iterdir():
        kind = file.name.rpartition(".")[2]
        if kind in _TYPES:
            content = file.read_bytes()
            if file.name == _INDEX:
                link = html.escape(telemetry_path.lstrip("/"), quote=True)
                content = content.replace(b'href="metrics"', f'href="{link}"'.encode())
            found[file.name] = _asset(content, _TYPES[kind])
    return found


def _asset(content: bytes, content_type: str) -> Asset:
    return Asset(gzip.compress(content, mtime=0), content_type, hashlib.sha256(content).hexdigest()[:16])
