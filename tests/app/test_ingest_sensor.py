"""Ingest of batches: once each, in any order, holes recorded, crashes harmless."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.app.ingest_sensor import MAX_HOLES, SensorIngest, advance, arrived, ingest_sensor, missing_batches
from seawall.domain.alerts import Alert
from seawall.domain.errors import Unauthenticated, Unavailable
from seawall.domain.runtime_events import Heartbeat, Loss, Process, ProcessExec, RuntimeEvent
from seawall.domain.severity import Severity
from seawall.formats.sensor_batch import SensorBatch
from seawall.ports.sensors import StreamState

from tests.support.sensors import NODE_1, NOW, Authority, MemorySensors, Sensor

AUTHORITY = Authority()
SENSOR = Sensor(AUTHORITY)


def execs(seq: int, exe: str = "/bin/id") -> ProcessExec:
    return ProcessExec(ts_ns=seq, process=Process(pid=1, exe=exe), seq=seq)


class Door:
    """The use case with an in-memory store, and what it handed over."""

    def __init__(self) -> None:
        self.store = MemorySensors()
        self.kept: list[tuple[int, list[str]]] = []
        self.broken = False

    def detect(self, events: Sequence[RuntimeEvent], header: object) -> list[Alert]:
        return [
            Alert(f"alert-{event.id}", "RT-0001", "t", "m", Severity.HIGH, (), NOW, NOW, "runtime")
            for event in events
            if event.process.exe.startswith("/tmp/")
        ]

    def keep(self, batch: SensorBatch, alerts: Sequence[Alert]) -> None:
        if self.broken:
            raise Unavailable("the store does not answer")
        self.kept.append((batch.header.batch, [alert.id for alert in alerts]))

    def take(self, body: bytes, revoked: frozenset[str] = frozenset()) -> SensorIngest:
        return ingest_sensor(
            body,
            trust=AUTHORITY.trust(revoked=revoked),
            store=self.store,
            detect=self.detect,
            keep=self.keep,
            now=NOW,
        )


def test_the_same_batch_twice_counts_once() -> None:
    door = Door()
    body = SENSOR.batch(execs(1, "/tmp/x"), execs(2))
    first, second = door.take(body), door.take(body)
    assert [alert.id for alert in first.alerts] == ["alert-boot-1:1"]
    assert (first.duplicate, second.duplicate, second.alerts) == (False, True, ())
    assert len(door.kept) == 1


def test_alerts_of_the_node_are_kept_beside_those_of_the_door() -> None:
    door = Door()
    local = Alert(
        "alert-local", "RT-0009", "t", "m", Severity.LOW, (), NOW, NOW, "runtime", cluster=SENSOR.identity.cluster
    )
    result = door.take(SENSOR.batch(execs(1, "/tmp/x"), alerts=[local]))
    assert [alert.id for alert in result.alerts] == ["alert-local", "alert-boot-1:1"]


def test_a_node_speaks_for_its_own_cluster_only() -> None:
    foreign = Alert("alert-local", "RT-0009", "t", "m", Severity.LOW, (), NOW, NOW, "runtime", cluster="another")
    (kept,) = Door().take(SENSOR.batch(alerts=[foreign])).alerts
    assert kept.cluster == SENSOR.identity.cluster
    assert kept.id != "alert-local"


def test_a_crash_between_keeping_and_counting_repeats_the_work() -> None:
    door = Door()
    body = SENSOR.batch(execs(1, "/tmp/x"))
    door.broken = True
    with pytest.raises(Unavailable):
        door.take(body)
    door.broken = False
    assert not door.take(body).duplicate


def test_a_hole_is_a_loss_until_it_is_filled() -> None:
    door = Door()
    door.take(SENSOR.batch(execs(1), number=1))
    result = door.take(SENSOR.batch(execs(9), number=5))
    assert [(loss.stage, loss.lost) for loss in result.losses] == [("gap", 3)]
    assert door.store.status["sensor-1"].missing_batches == 3
    assert not door.take(SENSOR.batch(execs(3), number=3)).duplicate
    assert door.take(SENSOR.batch(execs(3), number=3)).duplicate
    assert door.store.status["sensor-1"].missing_batches == 2


def test_losses_that_the_sensor_reports_are_handed_on() -> None:
    loss = Loss(ts_ns=1, process=Process(pid=0), lost=12, stage="ring", event_class="file")
    door = Door()
    result = door.take(SENSOR.batch(loss, lost={"ring/file": 12}))
    assert [item.lost for item in result.losses] == [12]
    assert door.store.status["sensor-1"].lost == {"ring/file": 12}


def test_the_status_has_the_last_heartbeat() -> None:
    door = Door()
    beat = Heartbeat(ts_ns=1, process=Process(pid=0), state="ready", kernel="6.1.0", hooks=("exec",))
    door.take(SENSOR.batch(beat))
    status = door.store.status["sensor-1"]
    assert (status.node, status.state, status.details["kernel"]) == ("node-1", "ready", "6.1.0")
    assert "process" not in status.details


def test_streams_count_apart() -> None:
    door = Door()
    assert not door.take(SENSOR.batch(execs(1), stream="boot-1")).duplicate
    assert not door.take(SENSOR.batch(execs(1), stream="boot-2")).duplicate


def test_a_revoked_sensor_stores_nothing() -> None:
    door = Door()
    with pytest.raises(Unauthenticated):
        door.take(SENSOR.batch(execs(1)), revoked=frozenset({"sensor-1"}))
    assert not door.kept
    assert not door.store.streams


def test_a_lost_race_is_tried_again() -> None:
    door = Door()
    commit = door.store.commit
    racing = iter([True, False])

    def raced(state, status):
        if next(racing, False):
            door.store.streams["sensor-1", "boot-1"] = advance(StreamState("sensor-1", "boot-1"), 2)
            return False
        return commit(state, status)

    door.store.commit = raced
    assert not door.take(SENSOR.batch(execs(1), number=1)).duplicate
    assert door.store.streams["sensor-1", "boot-1"].missing == ()


def test_endless_races_are_given_back_to_the_sender() -> None:
    door = Door()
    door.store.commit = lambda state, status: False
    with pytest.raises(Unavailable):
        door.take(SENSOR.batch(execs(1), identity=NODE_1))


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_any_order_ends_the_same(order: list[int], upto: int) -> None:
    state = StreamState("s", "b")
    for number in order[:upto]:
        assert not arrived(state, number)
        state = advance(state, number)
        assert arrived(state, number)
    there = set(order[:upto])
    top = max(there, default=0)
    assert (state.highest, state.version) == (top, upto)
    assert missing_batches(state) == top - len(there)
    assert [n for n in range(1, 12) if arrived(state, n)] == sorted(there)


def test_holes_are_bounded_and_counted() -> None:
    state = StreamState("s", "b")
    for number in itertools.islice(itertools.count(2, 2), MAX_HOLES + 10):
        state = advance(state, number)
    assert len(state.missing) == MAX_HOLES
    assert (state.abandoned, missing_batches(state)) == (10, MAX_HOLES + 10)
