"""The suite's runner: what is run where, and what the table says about it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts.outcome import Outcome, closing_line, table
from scripts.parts import Part, command, parts
from scripts.suite import Suite, kernel_on_its_way, look_again, progress

KNOWN = "no hierarchy serves hugetlb here"
GREEN = """
def test_passes(): pass
"""
MIXED = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.mark.skip(reason="no such kernel")
def test_is_skipped(): pass
@pytest.fixture
def broken(): raise OSError("broken")
def test_has_a_broken_fixture(broken): pass
"""


def outcome_of(folder: Path, tests: str) -> Outcome:
    """Run ``tests`` through the runner."""
    (folder / "test_given.py").write_text(tests, encoding="utf-8")
    return Suite(["--rootdir", str(folder)]).run_part(Part("given", "native v2", (str(folder),)))


@pytest.mark.parametrize(
    ("native", "worlds"),
    [
        ("v1", ["native v1", "guest v2"]),
        ("hybrid", ["native hybrid", "guest v2", "guest v1"]),
        ("v2", ["native v2", "guest v1"]),
    ],
)
def test_every_dialect_meets_a_real_kernel(native: str, worlds: list[str]) -> None:
    """Integration tests run here, and in a guest for each world that this machine has not."""
    todo = parts(native, every_world=False)
    assert [part.world for part in todo if part.suite == "integration"] == worlds


def test_what_was_seen_natively_is_not_repeated() -> None:
    """Behind a hybrid machine a v1 guest reads and writes control files; behind a v2 machine it does everything."""
    behind = {
        native: next(part.tests for part in parts(native, every_world=False) if part.world == "guest v1")
        for native in ("hybrid", "v2")
    }
    assert behind["v2"] == ("tests/integration",)
    assert "tests/integration/test_oom.py" in behind["hybrid"]
    assert all(Path(test).exists() for test in behind["hybrid"])


def test_the_long_suite_sees_every_world() -> None:
    """`make test-long` boots all three worlds, whatever this machine has."""
    guests = [part.world for part in parts("hybrid", every_world=True) if part.guest]
    assert guests == ["guest v2", "guest v1", "guest hybrid"]


def test_a_green_part(tmp_path: Path) -> None:
    """Passed tests are counted and the exit code is pytest's."""
    outcome = outcome_of(tmp_path, GREEN)
    assert (outcome.exit_code, outcome.counts) == (0, Counter(passed=1))


def test_a_mixed_part(tmp_path: Path) -> None:
    """Failures, errors and skips with their reasons are told apart."""
    outcome = outcome_of(tmp_path, MIXED)
    assert outcome.exit_code == 1
    assert outcome.counts == Counter(passed=1, failure=1, skipped=1, error=1)
    assert outcome.skips == Counter({"no such kernel": 1})


def test_failed_tests_are_named_as_pytest_names_them(tmp_path: Path) -> None:
    """The ids lead pytest back to the same tests, those in classes included."""
    tests = "class TestIt:\n    def test_fails(self): assert False\ndef test_also_fails(): assert False\n"
    failed = outcome_of(tmp_path, tests).failed
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *failed]
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 failed" in again.stdout


def test_parts_run_side_by_side_and_keep_their_order(tmp_path: Path) -> None:
    """Whatever ends first, the table's rows come in the order of the parts."""
    todo = []
    for name, body in (("one", GREEN), ("two", MIXED)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"test_{name}.py").write_text(body, encoding="utf-8")
        todo.append(Part(name, "native v2", (str(folder),)))
    assert [outcome.part for outcome in Suite([]).run(todo)] == todo


def given(failed: int) -> Outcome:
    """A part with failures."""
    names = [f"tests/test_x.py::test_{number}" for number in range(failed)]
    return Outcome(Part("given", "guest v1", ("tests",), guest=True), 1, 1.0, Counter(failure=failed), failed=names)


@pytest.mark.parametrize(("exit_code", "bad"), [(0, 0), (1, 2)])
def test_a_second_look(exit_code: int, bad: int) -> None:
    """Tests that pass alone are unsteady, and said to be; those that fail again have failed."""
    outcome, asked = given(2), []

    def rerun(part: Part) -> Outcome:
        asked.append(part)
        return Outcome(part, exit_code, 1.0, Counter(failure=bad, passed=2 - bad))

    look_again(outcome, rerun)
    assert [(part.tests, part.guest, part.world) for part in asked] == [
        (("tests/test_x.py::test_0", "tests/test_x.py::test_1"), True, "guest v1")
    ]
    assert (outcome.exit_code, outcome.bad) == (exit_code, bad)
    assert ("unsteady" in table([outcome])) is not bool(bad)


@pytest.mark.parametrize("outcome", [given(4), Outcome(Part("given", "v1", ()), 1, 1.0, Counter(error=1))])
def test_no_second_look(outcome: Outcome) -> None:
    """Many failures, and a run without a report, are what they are."""
    look_again(outcome, lambda part: pytest.fail(str(part)))
    assert outcome.exit_code == 1


def test_progress(tmp_path: Path) -> None:
    """Pytest's last word about how far it is, and that a kernel is being built."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    assert progress(log) == "no test has ended yet"
    log.write_bytes(b"guest: no kernel yet: building one\n")
    assert progress(log) == "guest: no kernel yet: building one"
    log.write_bytes(b"tests/a.py ... [  4%]\ntests/b.py ... [ 54%]\ntests/c.py ..")
    assert progress(log) == "54 %"


def test_a_guest_gets_swap_and_a_disk() -> None:
    """Views are about both, and the report has to come out of the guest."""
    words = command(Part("integration", "guest v2", ("tests/integration",), guest=True), [], "/out")
    for option, value in {"--cgroup": "v2", "--swap": "256M", "--disk": "256M", "--rw": "/out"}.items():
        assert words[words.index(option) + 1] == value


def test_a_part_without_a_report_is_an_error(tmp_path: Path) -> None:
    """A run that died before its report counts as an error instead of as nothing."""
    outcome = Outcome(Part("given", "guest v2", ()), 1, 1.0)
    outcome.count(tmp_path / "absent.xml")
    assert outcome.counts == Counter(error=1)


def test_a_skip_that_crept_in_fails_the_run() -> None:
    """A reason that the list does not have for this world is marked, and the part is not good."""
    part = Part("integration", "guest v2", ())
    known, new = (Outcome(part, 0, 1.0, Counter(skipped=1), Counter({reason: 1})) for reason in (KNOWN, "felt like it"))
    assert (known.is_good, new.is_good) == (True, False)
    assert "1 x NOT ON THE LIST: felt like it" in table([new])


def test_the_summary_names_what_was_skipped() -> None:
    """A row for each part, the reasons of skipped tests below it; the last line adds up in pytest's words."""
    outcomes = [
        Outcome(Part("unit", "native v2", ()), 0, 2.0, Counter(passed=9)),
        Outcome(
            Part("integration", "guest v1", ()), 1, 3.5, Counter(passed=1, failure=2, skipped=3), Counter({KNOWN: 3})
        ),
    ]
    head, unit, integration, reason = table(outcomes).splitlines()
    assert head.split() == ["suite", "world", "passed", "failed", "skipped", "time"]
    assert unit.split() == ["unit", "native", "v2", "9", "0", "0", "2.0", "s"]
    assert integration.split() == ["integration", "guest", "v1", "1", "2", "3", "3.5", "s"]
    assert reason.strip() == f"3 x {KNOWN}"
    assert closing_line(outcomes).strip("= ") == "2 failed, 10 passed, 3 skipped in 5.50s"


def test_kernel_is_begun_before_anything_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guests' runner is told to prepare, and does not outlive the suite."""
    told = tmp_path / "told"
    os.mkfifo(told)
    script = tmp_path / "guest.py"
    script.write_text(
        "import os, sys, time\n"
        f"print(os.getpid(), *sys.argv[1:], file=open({str(told)!r}, 'w'), flush=True)\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr("scripts.suite.GUEST", (sys.executable, str(script)))
    with kernel_on_its_way():
        pid, *options = told.read_text().split()
    assert options == ["--prepare"]
    assert not Path("/proc", pid).exists()
