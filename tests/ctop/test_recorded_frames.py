"""Frames of recorded machines as golden text: from a kernel's control files to what a person sees."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from ctop.arrange import View
from ctop.renderables.lines import plain
from ctop.scene import Scene
from tests.ctop.machines import Recorded
from tests.ctop.test_frames import SIZES, compare, frame

MACHINES = ("v1-docker", "hybrid-docker", "v2-docker", "v2-kubernetes", "v2-128-cpus", "v2-thousand")
VIEWS = {"flat": View(), "tree": View(tree=True, show_all=True), "pods": View(group="pod", show_all=True)}


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Scene]:
    """Return the name and the second look of each machine; ``v2-thousand`` is v2-docker and a thousand containers."""
    name: str = request.param
    recorded = Recorded("v2-docker" if name == "v2-thousand" else name, tmp_path_factory.mktemp(name))
    if name == "v2-thousand":
        recorded.multiply("docker/" + "01" * 32, 1000)
    if name == "v2-kubernetes":
        recorded.name_pods()
    return name, recorded.scene()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("view", VIEWS)
def test_recorded_machine(machine: tuple[str, Scene], view: str, size: tuple[int, int], *, update_golden: bool) -> None:
    """Every world, from a Raspberry's corner to a wall of screens: exact width, exact text."""
    name, scene = machine
    lines = frame(scene, VIEWS[view], *size)
    assert {cell_len(plain(line)) for line in lines} == {size[0]}
    compare(f"{name}/{view}-{size[0]}x{size[1]}", lines, update=update_golden)
