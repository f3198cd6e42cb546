"""What a receiver is told, and when again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.alerts.deliveries.bodies import to_alertmanager, to_webhook
from exporters.alerts.deliveries.outbox import Outbox
from exporters.alerts.state import Alert, State


def alert(name: str, state: State = "firing", value: float = 1.0) -> Alert:
    """Make an alert."""
    ended = 90.0 if state == "resolved" else None
    return Alert(state, {"alertname": name, "severity": "info"}, {"summary": name}, value, 10.0, ended)


def names(alerts: list[Alert]) -> list[tuple[str, str]]:
    """Write alerts short."""
    return [(one.name, one.state) for one in alerts]


def test_a_firing_alert_is_repeated_until_it_is_resolved() -> None:
    """At once, then every repeat interval; resolved once, then never again."""
    box = Outbox(60.0, 100)
    box.update([alert("a")], [], 0.0)
    assert names(box.due(0.0)) == [("a", "firing")]
    box.delivered(box.due(0.0), 1.0)
    box.update([alert("a", value=2.0)], [], 15.0)
    assert (box.due(60.9), box.next_due()) == ([], 61.0)
    assert [one.value for one in box.due(61.0)] == [2.0]
    box.delivered(box.due(61.0), 61.0)
    box.update([], [alert("a", "resolved")], 75.0)
    assert names(box.due(75.0)) == [("a", "resolved")]
    box.delivered(box.due(75.0), 76.0)
    assert (len(box), box.next_due()) == (0, None)


def test_what_is_not_taken_stays_due() -> None:
    """After an outage the receiver gets what is true then; what began and ended meanwhile comes as resolved."""
    box = Outbox(60.0, 100)
    box.update([alert("a"), alert("b")], [], 0.0)
    box.update([alert("a"), alert("c")], [alert("b", "resolved")], 15.0)
    box.update([alert("a")], [alert("c", "resolved")], 30.0)
    assert sorted(names(box.due(500.0))) == [("a", "firing"), ("b", "resolved"), ("c", "resolved")]


def test_what_changes_while_it_is_sent_is_sent_again() -> None:
    """An answer to a firing alert that has been resolved meanwhile does not swallow the resolution, nor the reverse."""
    box = Outbox(60.0, 100)
    box.update([alert("a")], [], 0.0)
    sent = box.due(0.0)
    box.update([], [alert("a", "resolved")], 1.0)
    box.delivered(sent, 2.0)
    assert names(box.due(2.0)) == [("a", "resolved")]
    sent = box.due(2.0)
    box.update([alert("a")], [], 3.0)
    box.delivered(sent, 4.0)
    assert names(box.due(4.0)) == [("a", "firing")]


def test_it_is_bounded() -> None:
    """Resolved alerts make room for firing ones; what does not fit is counted."""
    box = Outbox(60.0, 2)
    box.update([alert("a"), alert("b")], [], 0.0)
    box.update([alert("b")], [alert("a", "resolved")], 1.0)
    box.update([alert("b"), alert("c")], [], 2.0)
    assert sorted(names(box.due(2.0))) == [("b", "firing"), ("c", "firing")]
    box.update([alert("b"), alert("c"), alert("d")], [alert("e", "resolved")], 3.0)
    assert (len(box), box.dropped) == (2, 3)


_EVENT = st.tuples(st.sampled_from(["fire", "resolve", "send", "fail"]), st.sampled_from("abc"))


@given(st.lists(_EVENT, max_size=60))
def test_the_receiver_ends_up_with_the_truth(events: list[tuple[str, str]]) -> None:
    """Whatever happens in whatever order: after one more delivery the receiver knows exactly what fires."""
    box, truth, known, now = Outbox(60.0, 100), set[str](), dict[str, str](), 0.0
    for event, name in events:
        now += 1.0
        if event == "fire":
            truth.add(name)
            box.update([alert(one) for one in truth], [], now)
        elif event == "resolve" and name in truth:
            truth.discard(name)
            box.update([alert(one) for one in truth], [alert(name, "resolved")], now)
        elif event == "send":
            due = box.due(now)
            known |= {one.name: one.state for one in due}
            box.delivered(due, now)
    known |= {one.name: one.state for one in box.due(now)}
    assert {name for name, state in known.items() if state == "firing"} == truth


@pytest.mark.parametrize(
    ("state", "ends"), [("firing", "1970-01-01T00:05:40.000Z"), ("resolved", "1970-01-01T00:01:30.000Z")]
)
def test_alertmanager_is_told_when_an_alert_ends(state: State, ends: str) -> None:
    """A firing one is valid for four repeats; a resolved one ended when it did."""
    (body,) = json.loads(to_alertmanager([alert("a", state)], 100.0, 60.0))
    assert body["startsAt"] == "1970-01-01T00:00:10.000Z"
    assert body["endsAt"] == ends
    assert body["labels"] == {"alertname": "a", "severity": "info"}


def test_a_webhook_is_like_alertmanagers() -> None:
    """Version 4; firing as soon as one of them is."""
    body = json.loads(to_webhook([alert("a", "resolved"), alert("b")], "x"))
    assert (body["version"], body["status"]) == ("4", "firing")
    assert [(one["status"], one["endsAt"]) for one in body["alerts"]] == [
        ("resolved", "1970-01-01T00:01:30.000Z"),
        ("firing", "0001-01-01T00:00:00Z"),
    ]
