"""Delivery over real connections to a real receiver: it is away, refuses, and is killed in the middle of a request."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporters.alerts.deliveries.receiver import Receiver
from exporters.alerts.deliveries.sender import Sender
from exporters.alerts.state import Alert, Outcome, State

PATIENCE_SECONDS = 60.0
NEVER = 3600.0  # a repeat interval that no test lives to see


def alert(name: str, state: State = "firing", severity: str = "warning") -> Alert:
    """Make an alert."""
    ended = 2.0 if state == "resolved" else None
    return Alert(state, {"alertname": name, "severity": severity}, {"summary": name}, 1.0, 1.0, ended)


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def receiving(port: int, file: Path, mode: str = "take") -> Iterator[subprocess.Popen[str]]:
    """Run a receiver; it is killed in the end."""
    command = [sys.executable, str(Path(__file__).with_name("receiver.py")), str(port), str(file), mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def arrived(file: Path) -> list[tuple[str, str]]:
    """List what a receiver took: names and states, in the order of arrival."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [(one["labels"]["alertname"], one["status"]) for line in lines for one in json.loads(line)["alerts"]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


def delivering(port: int, story: Callable[[Sender], Awaitable[None]], **more: object) -> Sender:
    """Run a sender through a story."""
    settings = {"repeat_seconds": NEVER, "first_wait_seconds": 0.01, "most_wait_seconds": 0.05, **more}
    receiver = Receiver("webhook", f"http://127.0.0.1:{port}/hook?key=secret", **settings)  # type: ignore[arg-type]

    async def run() -> Sender:
        sender = Sender(receiver)
        sender.start()
        try:
            await story(sender)
        finally:
            await sender.stop()
        return sender

    return asyncio.run(run())


def test_a_receiver_that_was_away_catches_up(tmp_path: Path) -> None:
    """Nobody listens: attempts fail and go on; when it listens, it gets all that fires, and later that it ended."""
    port, file = free_port(), tmp_path / "log"

    async def story(sender: Sender) -> None:
        sender.tell(Outcome(1.0, active=(alert("a"), alert("b"), alert("gone"))))
        await until(lambda: sender.counts.failures >= 3)
        sender.tell(Outcome(2.0, active=(alert("a"), alert("b")), resolved=(alert("gone", "resolved"),)))
        with receiving(port, file):
            await until(lambda: len(arrived(file)) >= 3)
            assert sorted(arrived(file)) == [("a", "firing"), ("b", "firing"), ("gone", "resolved")]
            await until(lambda: sender.counts.sent == 3)
            sender.tell(Outcome(3.0, active=(alert("b"),), resolved=(alert("a", "resolved"),)))
            await until(lambda: sender.counts.sent == 4)

    sender = delivering(port, story)
    assert arrived(file)[3:] == [("a", "resolved")]
    assert (sender.counts.waiting, sender.counts.dropped) == (1, 0)
    assert "secret" not in sender.name


def test_a_receiver_killed_in_the_middle_of_a_request(tmp_path: Path) -> None:
    """It has read the alert and dies before it answers: the alert is sent again to its successor."""
    port, file = free_port(), tmp_path / "log"

    async def story(sender: Sender) -> None:
        with receiving(port, file, "hang") as process:
            sender.tell(Outcome(1.0, active=(alert("a"),)))
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            assert line == "got one\n"
            process.kill()
            await until(lambda: sender.counts.failures >= 1)
            assert sender.counts.sent == 0
        with receiving(port, file):
            await until(lambda: sender.counts.sent == 1)

    delivering(port, story)
    assert arrived(file) == [("a", "firing")]


def test_a_receiver_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """The request ends by its timeout, and is made again."""
    port, file = free_port(), tmp_path / "log"

    async def story(sender: Sender) -> None:
        with receiving(port, file, "hang"):
            sender.tell(Outcome(1.0, active=(alert("a"),)))
            await until(lambda: sender.counts.failures >= 2)

    delivering(port, story, timeout_seconds=0.3)


def test_a_refusal_is_a_failure(tmp_path: Path) -> None:
    """HTTP 503 delivers nothing."""
    port, file = free_port(), tmp_path / "log"

    async def story(sender: Sender) -> None:
        with receiving(port, file, "refuse"):
            sender.tell(Outcome(1.0, active=(alert("a"),)))
            await until(lambda: sender.counts.failures >= 2)
        with receiving(port, file):
            await until(lambda: sender.counts.sent == 1)

    delivering(port, story)
    assert arrived(file) == [("a", "firing")]


def test_repeats_are_as_documented(tmp_path: Path) -> None:
    """With a long interval an alert that goes on firing is sent once; with a short one, again and again."""
    port, file = free_port(), tmp_path / "log"

    async def once(sender: Sender) -> None:
        for step in range(20):
            sender.tell(Outcome(float(step), active=(alert("a"),)))
            await asyncio.sleep(0)
        await until(lambda: sender.counts.sent >= 1)
        sender.tell(Outcome(99.0, active=(alert("a"), alert("b"))))
        await until(lambda: ("b", "firing") in arrived(file))

    async def again(sender: Sender) -> None:
        sender.tell(Outcome(1.0, active=(alert("c"),)))
        await until(lambda: sender.counts.sent >= 3)

    with receiving(port, file):
        delivering(port, once)
        assert arrived(file) == [("a", "firing"), ("b", "firing")]
        delivering(port, again, repeat_seconds=0.05)
        assert arrived(file).count(("c", "firing")) >= 3


def test_only_what_is_severe_enough(tmp_path: Path) -> None:
    """A receiver for critical alerts hears of nothing else."""
    port, file = free_port(), tmp_path / "log"

    async def story(sender: Sender) -> None:
        with receiving(port, file):
            sender.tell(Outcome(1.0, active=(alert("a"), alert("b", severity="critical"))))
            await until(lambda: sender.counts.sent == 1)

    delivering(port, story, least="critical")
    assert arrived(file) == [("b", "firing")]
