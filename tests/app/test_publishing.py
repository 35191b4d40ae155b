"""The outbox emptied: order, pace, and what a receiver that is away costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seawall.app.publishing import AWAY, PerIncident
from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import Unavailable

from tests.support.publishing import INCIDENT, TestClock, deliver, incident, outbox_at


class Receiver:
    id = "webhook"

    def __init__(self, *down: tuple[str, int]) -> None:
        self.down, self.got, self.asked = set(down), [], 0

    def publish(self, incident: Incident, alerts: Sequence[Alert]) -> None:
        self.asked += 1
        if (incident.id, incident.seq) in self.down:
            raise Unavailable("503")
        self.got.append((incident.id, incident.seq))


def test_a_change_does_not_overtake_an_earlier_one_that_failed(tmp_path: Path) -> None:
    receiver, clock, other = Receiver((INCIDENT.id, 1)), TestClock(), incident(2)
    with outbox_at(tmp_path) as outbox:
        first = deliver(PerIncident(receiver), outbox, clock, [INCIDENT, replace(INCIDENT, seq=2), other])
        assert (first.done, first.retried) == (1, 2)
        assert receiver.got == [(other.id, 1)]
        receiver.down.clear()
        clock.advance(hours=1)
        deliver(PerIncident(receiver), outbox, clock)
    assert receiver.got[1:] == [(INCIDENT.id, 1), (INCIDENT.id, 2)]


def test_a_round_takes_all_that_is_due(tmp_path: Path) -> None:
    receiver, many = Receiver(), [incident(number) for number in range(3 * PerIncident.limit)]
    with outbox_at(tmp_path) as outbox:
        assert deliver(PerIncident(receiver), outbox, TestClock(), many).done == len(many)


def test_a_receiver_that_is_away_is_not_asked_for_every_entry(tmp_path: Path) -> None:
    many = [incident(number) for number in range(3 * PerIncident.limit)]
    receiver = Receiver(*((item.id, item.seq) for item in many))
    with outbox_at(tmp_path) as outbox:
        assert deliver(PerIncident(receiver), outbox, TestClock(), many).retried == PerIncident.limit
    assert receiver.asked == AWAY
