"""Exporters over scenes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporters.setup import Exporter
from tests.exporters.scenes import NOON, SCENES, settings


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Callable[..., Exporter]]:
    """Make exporters of scenes; with further `Settings` as keywords."""
    made: list[Exporter] = []

    def make(scene: str, **more: object) -> Exporter:
        folder = tmp_path / f"{len(made)}"
        SCENES[scene](folder)
        made.append(Exporter(settings(folder, **more), clock=lambda: NOON))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for localhost and its key, as files cert.pem and key.pem in a folder."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
    )
    return folder


@pytest.fixture
def web(tmp_path: Path, pair: Path) -> Path:
    """Name a web configuration beside a certificate and its key."""
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((pair / name).read_bytes())
    return tmp_path / "web.yml"
