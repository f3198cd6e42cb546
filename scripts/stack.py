"""`make stack`: exporter, Prometheus, Alertmanager on loopback and a virtual /proc, over busy containers, until Ctrl-C.

Programs come from Debian's packages, unpacked into a cache (`scripts.debian_tools`); configurations are those of
``deploy/prometheus/``, with addresses of this machine. Data is in a temporary folder, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from exporters.readers.procfs_fuse import state_dir
from scripts.debian_tools import DebianTools, FetchError, Tool, Unavailable
from scripts.load import busy

ROOT: Final = Path(__file__).resolve().parents[1]
CONFIGS: Final = ROOT / "deploy/prometheus"
RULES: Final = ROOT / "dashboards/prometheus"
TEMPLATE: Final = "/usr/share/prometheus/alertmanager/default.tmpl"
PATIENCE_SECONDS: Final = 120.0

# Debian's Alertmanager has this path built in. Where it is not installed, it gets to see a /usr/share of its own.
_SHOW_TEMPLATE: Final = 'mount -t tmpfs tmpfs /usr/share && cp -r "$0" /usr/share/prometheus && exec "$@"'


class StackError(Exception):
    """Something did not start; the message says what, and has the end of its log."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the three listen, on loopback."""

    exporter: int = 9753
    prometheus: int = 9090
    alertmanager: int = 9093

    def free(self) -> Ports:
        """Keep those that nobody has, and choose others for the rest."""
        return Ports(*(free_port(one) for one in (self.exporter, self.prometheus, self.alertmanager)))


def free_port(wanted: int) -> int:
    """Give a port if nobody has it, else another one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise StackError("no port is free on 127.0.0.1")


class Stack:
    """The three programs, with everything they write below ``folder``. ``interval`` is between scrapes, seconds."""

    def __init__(self, folder: Path, tools: DebianTools, ports: Ports, interval: int) -> None:
        self._folder = folder
        self._tools = tools
        self.ports = ports
        self._interval = interval

    @contextmanager
    def running(self, machine: Path) -> Iterator[None]:
        """Run all of it until the end; ``machine`` has the containers' names. Raises StackError, FetchError."""
        prometheus, alertmanager = self._tools.tool("prometheus"), self._tools.tool("prometheus-alertmanager")
        ports = self.ports
        with ExitStack() as stack:
            stack.enter_context(self._virtual_proc(machine))
            for name, command, environment, port, path in (
                ("alertmanager", self._alertmanager(alertmanager), alertmanager.env, ports.alertmanager, "/-/ready"),
                ("exporter", self._exporter(machine), dict(os.environ), ports.exporter, "/-/ready"),
                ("prometheus", self._prometheus(prometheus), prometheus.env, ports.prometheus, "/-/ready"),
            ):
                log = self._folder / f"{name}.log"
                process = stack.enter_context(_process(command, environment, log))
                _wait(f"http://127.0.0.1:{port}{path}", name, process, log)
            yield

    def _exporter(self, machine: Path) -> list[str]:
        config = {"alerts": {"evaluation-interval": f"{self._interval}s"}}
        path = self._written("exporter.yml", config)
        command = [sys.executable, "-m", "exporters", "--listen", f"127.0.0.1:{self.ports.exporter}", "--config", path]
        return [*command, "--path.rootfs", str(machine), "--oom-state", str(self._folder / "oom.json")]

    @contextmanager
    def _virtual_proc(self, machine: Path) -> Iterator[None]:
        """Mount a virtual /proc whose state is where the exporter looks for that machine's. Raises StackError."""
        place = self._folder / "virtual"
        place.mkdir()
        words = [sys.executable, "-m", "procfs_fuse"]
        options = ["--state-dir", state_dir(str(machine))]
        os.makedirs(os.path.dirname(options[1]))
        self._do([*words, "mount", "--no-config", *options, str(place)])
        try:
            yield
        finally:
            self._do([*words, "umount", *options, str(place)])

    def _do(self, command: Sequence[str]) -> None:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if found.returncode:
            raise StackError(f"{' '.join(command[2:4])}: {found.stderr.strip()}")

    def _prometheus(self, tool: Tool) -> list[str]:
        rules = self._folder / "rules"
        rules.mkdir()
        for path in RULES.glob("*.yml"):
            text = path.read_text(encoding="utf-8").replace("interval: 15s", f"interval: {self._interval}s")
            (rules / path.name).write_text(text, encoding="utf-8")
        config = _loaded("prometheus.yml")
        every = f"{self._interval}s"
        config["global"] |= {"scrape_interval": every, "evaluation_interval": every, "scrape_timeout": every}
        config["rule_files"] = [f"{rules}/*.yml"]
        _aim(config["alerting"]["alertmanagers"][0], self.ports.alertmanager)
        _aim(config["scrape_configs"][0], self.ports.exporter)
        words = [f"--config.file={self._written('prometheus.yml', config)}"]
        words += [f"--storage.tsdb.path={self._folder / 'tsdb'}"]
        return [tool.path, *words, f"--web.listen-address=127.0.0.1:{self.ports.prometheus}"]

    def _alertmanager(self, tool: Tool) -> list[str]:
        words = [f"--config.file={self._written('alertmanager.yml', _loaded('alertmanager.yml'))}"]
        words += [f"--storage.path={self._folder / 'alertmanager'}", "--cluster.listen-address="]
        command = [tool.path, *words, f"--web.listen-address=127.0.0.1:{self.ports.alertmanager}"]
        if os.path.exists(TEMPLATE):
            return command
        shared = f"{Path(tool.path).parents[2]}/usr/share/prometheus"
        return ["unshare", "--mount", "sh", "-c", _SHOW_TEMPLATE, shared, *command]

    def _written(self, name: str, config: object) -> str:
        path = self._folder / name
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return str(path)


def _loaded(name: str) -> Any:  # noqa: ANN401 - a document
    return yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))


def _aim(at: dict[str, Any], port: int) -> None:
    at["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]


@contextmanager
def _process(command: Sequence[str], environment: Any, log: Path) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401
    """Run a program in a session of its own, so that Ctrl-C is ours alone, and end it in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program answers. Raises StackError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise StackError(f"{name} does not answer at {url}:\n{tail}")


def _announce(ports: Ports, top: str) -> None:
    print(f"exporter      http://127.0.0.1:{ports.exporter}/   page, metrics, API")
    print(f"Prometheus    http://127.0.0.1:{ports.prometheus}/alerts")
    print(f"Alertmanager  http://127.0.0.1:{ports.alertmanager}/")
    print(f"containers    cgroups below {top}; dashboards/grafana/*.json can be imported into a Grafana")
    print("Ctrl-C ends all of it", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack until SIGINT or SIGTERM; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.stack", description="exporter, Prometheus, Alertmanager")
    parser.add_argument("--interval", type=int, default=5, metavar="SECONDS", help="between scrapes (default: 5)")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    top = f"/cgscope-stack-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="cgscope-stack-"))
    try:
        stack = Stack(folder, DebianTools(), Ports().free(), options.interval)
        machine = folder / "machine"
        machine.mkdir()
        with busy(top, machine), stack.running(machine):
            _announce(stack.ports, top)
            ended.wait()
            print("ending", flush=True)
    except (StackError, Unavailable, FetchError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
