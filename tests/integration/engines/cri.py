"""A client of CRI, what a kubelet says to containerd: gRPC by curl, with just the messages that pods need.

The numbers of fields are those of ``runtime/v1/api.proto`` (k8s.io/cri-api).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.debian_tools import Tool
from tests.integration.engines import programs
from tests.integration.engines.truth import Limits

Fields = Mapping[int, "str | bytes | int | Fields | Sequence[str]"]
"""A message to be sent: number of each field -> value."""

POD, CONTAINER, NODE = 0, 1, 2  # enum NamespaceMode
_VARINT, _BYTES = 0, 2  # kinds of fields on the wire
_PERIOD_USEC: Final = 100_000


@dataclass(slots=True)
class Cri:
    """The runtime service behind a socket."""

    curl: Tool
    socket: Path
    folder: Path
    image: str
    _sandboxes: list[str] = field(default_factory=list)

    def sandbox(self, name: str, cgroup: str, *, pid: int = CONTAINER, handler: str = "") -> Sandbox:
        """Run a pod with the machine's network."""
        linux: Fields = {1: cgroup, 2: {1: {1: NODE, 2: pid}}}
        config: Fields = {1: {1: name, 2: f"uid-of-{name}", 3: "tests"}, 3: str(self.folder), 8: linux}
        sandbox = self._text(self.call("RunPodSandbox", {1: config, 2: handler}))
        self._sandboxes.append(sandbox)
        return Sandbox(self, sandbox, config, pid)

    def sh(self, container: str, command: str) -> str:
        """Output of a shell command in a container, which must succeed."""
        answer = self.call("ExecSync", {1: container, 2: ["/bin/sh", "-c", command], 3: programs.SECONDS})
        said = b"".join(part for part in (answer.get(1, b""), answer.get(2, b"")) if isinstance(part, bytes)).decode()
        assert not answer.get(3), said
        return said

    def close(self) -> None:
        """Stop and remove all pods."""
        for sandbox in self._sandboxes:
            self.call("StopPodSandbox", {1: sandbox})
            self.call("RemovePodSandbox", {1: sandbox})

    def call(self, method: str, request: Fields) -> dict[int, bytes | int]:
        """Call a method; the fields of its answer."""
        message = b"".join(_encoded(request))
        words = [self.curl.path, "--silent", "--show-error", "--http2-prior-knowledge", "--unix-socket"]
        words += [str(self.socket), "--header", "Content-Type: application/grpc", "--header", "TE: trailers"]
        words += ["--data-binary", "@-", "--dump-header", str(self.folder / "headers")]
        done = subprocess.run(
            [*words, f"http://localhost/runtime.v1.RuntimeService/{method}"],
            env=dict(self.curl.env),
            input=b"\0" + len(message).to_bytes(4, "big") + message,
            capture_output=True,
            timeout=programs.SECONDS,
            check=False,
        )
        headers = (self.folder / "headers").read_text()
        assert "grpc-status: 0" in headers, f"{method}: {headers}{done.stderr.decode()}"
        return _decoded(done.stdout[5:])

    @staticmethod
    def _text(answer: Mapping[int, bytes | int]) -> str:
        found = answer[1]
        assert isinstance(found, bytes)
        return found.decode()

    def create(self, request: Fields) -> str:
        """Create a container and start it; its id."""
        container = self._text(self.call("CreateContainer", request))
        self.call("StartContainer", {1: container})
        return container


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod that runs."""

    cri: Cri
    id: str
    config: Fields
    pid: int

    def run(self, name: str, limits: Limits) -> str:
        """Run a container that sleeps; its id."""
        quota = int(limits.cpus * _PERIOD_USEC)
        resources: Fields = {1: _PERIOD_USEC, 2: quota, 4: limits.memory_bytes, 6: limits.cpuset}
        linux: Fields = {1: resources, 2: {3: {1: NODE, 2: self.pid}}}
        config: Fields = {1: {1: name}, 2: {1: self.cri.image}, 3: ["/bin/sleep", "3600"], 15: linux}
        return self.cri.create({1: self.id, 2: config, 3: self.config})


def _encoded(message: Fields) -> Iterator[bytes]:
    for number, value in message.items():
        for one in [value] if isinstance(value, (str, bytes, int, Mapping)) else value:
            if isinstance(one, int):
                yield _varint(number << 3 | _VARINT) + _varint(one)
            else:
                data = _data(one)
                yield _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _data(value: str | bytes | Fields) -> bytes:
    if isinstance(value, Mapping):
        return b"".join(_encoded(value))
    return value.encode() if isinstance(value, str) else value


def _varint(number: int) -> bytes:
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _decoded(data: bytes) -> dict[int, bytes | int]:
    found: dict[int, bytes | int] = {}
    rest = iter(data)
    for first in rest:
        key = _number(first, rest)
        value: bytes | int = _number(next(rest), rest)
        if key & 7 == _BYTES:
            value = bytes(next(rest) for _ in range(int(value)))
        found[key >> 3] = value
    return found


def _number(first: int, rest: Iterator[int]) -> int:
    number, shift = first & 0x7F, 7
    while first & 0x80:
        first = next(rest)
        number |= (first & 0x7F) << shift
        shift += 7
    return number
