"""Who listens where the exporter wants to."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Final

from cgscope.doctor.finding import Finding, note, ok
from cgscope.doctor.machine import Machine

TITLE = "ports"

EXPORTER_PORT: Final = 9753
_SECONDS: Final = 3.0


def check(_machine: Machine) -> Iterator[Finding]:
    """Look at the exporter's usual port."""
    yield examine(EXPORTER_PORT)


def examine(port: int) -> Finding:
    """Ask who listens on this port of the loopback interface."""
    subject = f"127.0.0.1:{port}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/-/healthy")
        answer = connection.getresponse()
        is_ours = b"cgroup-exporter" in answer.read(1000).lower()
    except ConnectionRefusedError:
        return ok(subject, "is free for cgroup-exporter")
    except (OSError, http.client.HTTPException):
        is_ours = False
    finally:
        connection.close()
    if is_ours:
        return ok(subject, "cgroup-exporter answers")
    return note(subject, "somebody else listens, or cgroup-exporter with TLS", "--listen chooses another address")
