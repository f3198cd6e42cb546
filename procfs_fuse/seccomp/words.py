"""What a listener comes with (``listenerMetadata`` of an OCI profile): words that choose what is answered.

affinity service=/run/procfs-fuse/auto/service.sock
"""

from __future__ import annotations

from typing import Final

AFFINITY: Final = "affinity"
_SERVICE: Final = "service="  # last, as a path may have spaces


def metadata(*, affinity: bool, service: str | None = None) -> str:
    """The words; ``service`` is the socket of the instance (`Instance.service`) whose files the container sees."""
    words = [AFFINITY] if affinity else []
    return " ".join([*words, _SERVICE + service] if service else words)


def parse_metadata(text: str) -> tuple[bool, str | None]:
    """Inverse of `metadata`: whether sched_getaffinity(2) is answered, and the socket. Knows no wrong words."""
    words, _, service = text.partition(_SERVICE)
    return AFFINITY in words.split(), service or None
