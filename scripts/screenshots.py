"""Pictures of ctop, drawn by the program itself from a recorded machine: docs/screenshots/*.svg."""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from cgroup_model.recording import Recorder, Recording
from cgroup_model.snapshot import Need
from ctop.app import CtopApp
from ctop.recorded import RECORDED, Replay, look_of
from ctop.session import open_session
from ctop.settings import Settings
from tests.ctop.machines import Recorded

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
MACHINE: Final = "v2-kubernetes"
LOOKS: Final = 60
SIZE: Final = (112, 26)
PICTURES: Final[dict[str, Sequence[str]]] = {
    "list": (),
    "pods": ("a", "b", "b"),
    "tree": ("a", "t"),
    "detail": ("enter",),
    "limits": ("enter", "tab"),
    "help": ("?",),
}
"""Name -> the keys that lead there."""


def record(path: str, folder: Path) -> None:
    """Look at the machine while it works, now more and now less."""
    machine = Recorded(MACHINE, folder)
    machine.name_pods()
    live, recorder = machine.live(), Recorder(path)
    try:
        for number in range(LOOKS):
            scene = live.survey(frozenset({"names"}), Need.NOTHING)
            scene = live.look(scene, list(scene.entries), RECORDED, network=True)
            recorder.add(look_of(replace(scene, hostname="node-1")))
            machine.a_second_passes(1.5 + math.sin(number / 6) + 0.4 * math.sin(number * 2))
    finally:
        recorder.close()
        live.close()


async def draw(path: str, keys: Sequence[str]) -> str:
    """Press keys at the end of the recording and draw what is seen."""
    replay = Replay(Recording(path))
    settings = Settings(delay=3600.0)
    session = open_session(replay, settings, recorded=replay)
    app = CtopApp(session, settings, read_only=True, environ={}, zone=ZoneInfo("UTC"))
    async with app.run_test(size=SIZE) as pilot:
        app.session.go_to(LOOKS - 1)
        app.session.is_paused = False
        app.redraw()
        await pilot.press(*keys)
        await pilot.pause()
        return app.export_screenshot(title="ctop")


def main() -> int:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/recording.db"
        record(path, Path(folder) / "machine")
        for name, keys in PICTURES.items():
            svg = asyncio.run(draw(path, keys))
            lines = "\n".join(line.rstrip() for line in svg.splitlines())
            (FOLDER / f"{name}.svg").write_text(lines + "\n", encoding="utf-8")
            sys.stdout.write(f"docs/screenshots/{name}.svg\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
