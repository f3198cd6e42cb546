"""What the engine adds to rules: overrides, owners' labels, going on after a reload, errors that hide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from exporters.alerts.engine import Engine, Samples
from exporters.alerts.overrides import Override, Overrides, Which
from exporters.alerts.remembered import load, save
from exporters.alerts.rule import Level, Rule
from exporters.alerts.series import Labels
from exporters.alerts.state import Alert

THREADS = Rule(
    "ManyThreads",
    "test",
    "container_threads",
    "{who} has {value}",
    "",
    levels={"warning": Level(100, 50), "critical": Level(1000, 500)},
)


def changed(**levels: Level) -> Rule:
    """Make the rule with other levels."""
    return Rule("ManyThreads", "test", THREADS.value, THREADS.summary, "", levels=levels)  # type: ignore[arg-type]


def labels(**own: str) -> Labels:
    """Make labels."""
    return frozenset(own.items())


def sample(value: float, **own: str) -> Samples:
    """Make the samples of one container, with the owner that its engine says."""
    infos: Mapping[Labels, float] = {
        labels(**own, label="owner", value="shop"): 1.0,
        labels(**own, label="com.example/team", value="web"): 1.0,
    }
    return {"container_threads": {labels(**own): value}, "container_label_info": infos}


def firing(engine: Engine, samples: Samples, now: float = 0.0) -> list[str]:
    """Evaluate; gives severities."""
    return sorted(alert.severity for alert in engine.evaluate(now, samples).firing)


def test_the_first_override_that_fits_and_names_the_rule_counts() -> None:
    """By engine, name, namespace and label; others keep the rule's own levels."""
    overrides = Overrides(
        (
            Override(Which(engine="docker", name="web-*"), {"ManyThreads": None}),
            Override(Which(labels={"owner": "sh*"}), {"ManyThreads": changed(info=Level(1, 1))}),
            Override(Which(namespace="prod"), {"ManyThreads": changed(critical=Level(5, 5))}),
        )
    )
    engine = Engine([THREADS], overrides)
    assert firing(engine, sample(2000, id="/1", engine="docker", name="web-1"), 1) == []
    assert firing(engine, sample(2, id="/2", engine="podman", name="web-1"), 2) == ["info"]
    unowned = {"container_threads": {labels(id="/3", name="db", namespace="prod"): 6.0}}
    assert firing(engine, unowned, 3) == ["critical"]
    assert firing(engine, {"container_threads": {labels(id="/4", name="db"): 600.0}}, 4) == ["warning"]


def test_labels_of_the_engine_tell_whose_it_is() -> None:
    """Chosen ones are on the alert under names that labels may have; static ones too; they stay when the info goes."""
    engine = Engine([THREADS], engine_labels=("owner", "com.example/team"), labels={"cluster": "north"})
    first = engine.evaluate(1.0, sample(200, id="/1", name="web")).firing[0]
    assert first.labels == {
        "alertname": "ManyThreads",
        "severity": "warning",
        "id": "/1",
        "name": "web",
        "owner": "shop",
        "com_example_team": "web",
        "cluster": "north",
    }
    second = engine.evaluate(2.0, {"container_threads": {labels(id="/1", name="web"): 210.0}}).firing[0]
    assert (second.labels, second.fingerprint) == (first.labels, first.fingerprint)


def test_a_container_that_is_gone_still_has_an_owner() -> None:
    """An alert that only has a name left knows whose container it was."""
    rule = Rule("Gone", "test", "time() - max by (name) (max_over_time(container_last_seen[5m]))", "", "")
    rule = Rule(rule.alert, "test", rule.value, "", "", levels={"info": Level(30, 30)})
    engine = Engine([rule], engine_labels=("owner",))
    samples = dict(sample(1, id="/1", name="web"))
    samples["container_last_seen"] = {labels(id="/1", name="web"): 0.0}
    assert engine.evaluate(0.0, samples).firing == ()
    assert engine.evaluate(60.0, {}).firing[0].labels["owner"] == "shop"


def test_another_engine_goes_on_where_one_stopped() -> None:
    """After a reload what fires goes on, between its levels too and since when it did; what is gone is resolved."""
    other = Rule("Other", "test", "container_threads", "", "", levels={"info": Level(0, 0)})
    old = Engine([THREADS, other])
    old.evaluate(10.0, sample(150, id="/1"))
    new = Engine([THREADS])
    new.take_over(old)
    outcome = new.evaluate(20.0, sample(70, id="/1"))
    assert [(one.name, one.since) for one in outcome.firing] == [("ManyThreads", 10.0)]
    assert [(one.name, one.state, one.ended) for one in outcome.resolved] == [("Other", "resolved", 20.0)]


def test_a_rule_that_cannot_be_evaluated_keeps_its_alerts() -> None:
    """Series that do not fit together are said to be a failure; nobody is told that all is well; other rules go on."""
    broken = Rule("Broken", "test", "container_threads * on (id) g", "", "", levels={"info": Level(0, 0)})
    engine = Engine([broken, THREADS])
    one = {"container_threads": {labels(id="/1"): 200.0}, "g": {labels(id="/1"): 1.0}}
    assert firing(engine, one, 1) == ["info", "warning"]
    two = {**one, "g": {labels(id="/1"): 1.0, labels(id="/1", x="y"): 1.0}}
    outcome = engine.evaluate(2.0, two)
    assert list(outcome.failures) == ["Broken"]
    assert sorted(alert.name for alert in outcome.firing) == ["Broken", "ManyThreads"]
    assert outcome.resolved == ()


def test_pending_is_not_firing() -> None:
    """An alert waits for as long as ``for`` says, without interruption; ending before is no resolution."""
    engine = Engine([changed(warning=Level(100, 50, 60.0))])
    states: list[str] = []
    for now, value in ((0, 200), (30, 200), (45, 90), (60, 200), (119, 200), (120, 200), (150, 60), (180, 40)):
        outcome = engine.evaluate(float(now), sample(value, id="/1"))
        assert not (outcome.resolved and now != 180)
        states.append(outcome.active[0].state if outcome.active else "none")
    assert states == ["pending", "pending", "none", "pending", "pending", "firing", "firing", "none"]


def test_a_fingerprint_is_that_of_the_labels() -> None:
    """Whatever the order; other labels, another fingerprint."""

    def made(**own: str) -> str:
        return Alert("firing", own, {}, 1.0, 0.0).fingerprint

    assert made(a="1", b="2") == made(b="2", a="1") != made(a="12", b="")


def test_a_restarted_exporter_goes_on(tmp_path: Path) -> None:
    """What fired is remembered with its beginning; it is held while its rule looks back on nothing, then judged."""
    rule = Rule("Errors", "test", "increase(c[5m])", "", "", levels={"critical": Level(10, 2, 600.0)})
    one = labels(id="/1")

    def counted(value: float) -> Samples:
        return {"c": {one: value}}

    old = Engine([rule])
    for step in range(30):
        old.evaluate(step * 30.0, counted(step * 5.0))
    path = str(tmp_path / "folder" / "alerts.json")
    save(path, old.tracks)
    new = Engine([rule])
    new.restore(load(path))
    first = new.evaluate(1000.0, counted(150.0))
    (alert,) = first.firing
    (before,) = old.tracks.values()
    assert alert.since == before.began < 200.0
    assert alert.labels == {"id": "/1", "alertname": "Errors", "severity": "critical"}
    for step in range(1, 10):
        assert len(new.evaluate(1000.0 + 30 * step, counted(151.0)).firing) == 1
    # The five minutes that the rule looks at have passed.
    assert [one.state for one in new.evaluate(1300.0, counted(151.0)).resolved] == ["resolved"]


def test_what_vanished_while_nobody_looked_is_resolved(tmp_path: Path) -> None:
    """A rule that needs no past resolves it at once, another one when it could have known."""
    past = Rule("Past", "test", "increase(container_threads[1m])", "", "", levels={"info": Level(-1, -1)})
    old = Engine([THREADS, past])
    for now, value in ((0.0, 150), (30.0, 160), (60.0, 170)):
        assert old.evaluate(now, sample(value, id="/1")).active
    path = str(tmp_path / "alerts.json")
    save(path, old.tracks)
    new = Engine([THREADS, past])
    new.restore(load(path))
    assert [alert.name for alert in new.evaluate(100.0, {}).resolved] == ["ManyThreads"]
    assert [alert.name for alert in new.evaluate(130.0, {}).firing] == ["Past"]
    assert [alert.name for alert in new.evaluate(160.0, {}).resolved] == ["Past"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property"),
        *((text, "not a list of alerts") for text in ("[1]", '[{"alert": "x"}]', "null", '{"a": 1}')),
        ('[{"severity": "x"}]', "no severity 'x'"),
        ("[" * 100_000, "maximum recursion depth"),
    ],
)
def test_a_damaged_memory_is_none(tmp_path: Path, text: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be understood is as good as nothing, and one line says so."""
    path = tmp_path / "alerts.json"
    path.write_text(text)
    assert load(str(path)) == {}
    assert f"what fired before is not known: {path}: {why}" in caplog.text


OOM = Rule(
    "Kills", "test", "increase(container_oom_kills_total[5m])", "", "", levels={"critical": Level(0, 0, for_seconds=60)}
)


@pytest.mark.parametrize("jump", [-3600.0, -1.5, -1e9])
def test_a_clock_that_is_set_back(jump: float, caplog: pytest.LogCaptureFixture) -> None:
    """What was seen moves along: the alert goes on, begins when it began, and ends when it would have; it is logged."""
    engine, kills = Engine([OOM]), {labels(id="/a"): 1.0}
    for second in range(0, 121, 15):
        outcome = engine.evaluate(1e9 + 7200.0 + second, {"container_oom_kills_total": dict(kills)})
        kills[labels(id="/a")] = 1.0 if second < 30 else 2.0
    assert [one.state for one in outcome.active] == ["firing"]
    began = outcome.active[0].since
    now = 1e9 + 7200.0 + 120 + jump
    outcome = engine.evaluate(now, {"container_oom_kills_total": dict(kills)})
    assert [one.since for one in outcome.firing] == [pytest.approx(began + jump - 1)]
    assert "set back" in caplog.text
    states = [
        bool(engine.evaluate(now + 15 * n, {"container_oom_kills_total": dict(kills)}).firing) for n in range(1, 30)
    ]
    assert states == sorted(states, reverse=True)
    assert not states[-1]


def test_a_clock_that_is_set_forward() -> None:
    """As after a suspend: the past is past, nothing is made up, and what is new fires."""
    engine = Engine([OOM])
    for second in range(0, 121, 15):
        engine.evaluate(1000.0 + second, {"container_oom_kills_total": {labels(id="/a"): 1.0 + (second > 60)}})
    assert not engine.evaluate(90000.0, {"container_oom_kills_total": {labels(id="/a"): 2.0}}).active
    for second in range(15, 200, 15):
        outcome = engine.evaluate(
            90000.0 + second, {"container_oom_kills_total": {labels(id="/a"): 2.0 + (second > 60)}}
        )
    assert [one.state for one in outcome.active] == ["firing"]
