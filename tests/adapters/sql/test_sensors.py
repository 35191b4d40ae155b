"""Sensors in the store, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from seawall.adapters.sql.store import SqlStore
from seawall.app.ingest_sensor import advance
from seawall.ports.sensors import EnrolmentToken, SensorStatus, StreamState

T0 = datetime(2026, 11, 23, tzinfo=UTC)
STATUS = SensorStatus("s1", "prod", "node-1", T0, "boot", "stream", "ready", {"ring/exec": 1}, 0, 2, {"kernel": "6.1"})


def test_a_stream_is_kept_with_its_holes(store: SqlStore) -> None:
    assert store.sensors.stream("s1", "stream") is None
    state = StreamState("s1", "stream")
    for number in (1, 5, 3):
        state = advance(state, number)
        assert store.sensors.commit(state, STATUS)
    assert store.sensors.stream("s1", "stream") == state
    assert state.missing == ((2, 2), (4, 4))


def test_two_writers_cannot_both_win(store: SqlStore) -> None:
    first = advance(StreamState("s1", "stream"), 1)
    assert store.sensors.commit(first, STATUS)
    assert not store.sensors.commit(first, STATUS)
    assert not store.sensors.commit(replace(first, version=3), STATUS)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.sensors.commit(advance(first, n), STATUS), range(2, 10)))
    assert sum(won) == 1


def test_the_status_keeps_what_a_batch_without_heartbeat_does_not_say(store: SqlStore) -> None:
    state = advance(StreamState("s1", "stream"), 1)
    store.sensors.commit(state, STATUS)
    later = replace(STATUS, last_seen=T0 + timedelta(minutes=1), state="", details={}, rejected=1, lost={})
    store.sensors.commit(advance(state, 2), later)
    (status,) = store.sensors.sensors(cluster="prod")
    assert (status.state, status.details, status.rejected, status.lost) == ("ready", {"kernel": "6.1"}, 3, {})
    assert store.sensors.sensors(cluster="test") == []


def test_a_late_writer_does_not_set_the_status_back(store: SqlStore) -> None:
    state = advance(StreamState("s1", "stream"), 1)
    store.sensors.commit(state, STATUS)
    store.sensors.commit(advance(state, 2), replace(STATUS, last_seen=T0 - timedelta(hours=1), state="starting"))
    assert store.sensors.sensors()[0].state == "ready"


def test_a_token_serves_each_node_once(store: SqlStore) -> None:
    token = EnrolmentToken("hash", "prod", T0 + timedelta(hours=1), uses=2, created_at=T0, created_by="me")
    store.sensors.add_token(token)
    assert store.sensors.redeem("hash", "a", T0) == token
    assert store.sensors.redeem("hash", "a", T0) is None
    assert store.sensors.redeem("other", "b", T0) is None
    assert store.sensors.redeem("hash", "b", T0 + timedelta(hours=2)) is None
    assert store.sensors.redeem("hash", "b", T0) == token
    assert store.sensors.redeem("hash", "c", T0) is None


def test_racing_redeemers_do_not_exceed_the_uses(store: SqlStore) -> None:
    store.sensors.add_token(EnrolmentToken("hash", "prod", T0 + timedelta(hours=1), uses=3))
    with ThreadPoolExecutor(8) as pool:
        served = list(pool.map(lambda n: store.sensors.redeem("hash", f"n{n}", T0), range(8)))
    assert sum(token is not None for token in served) == 3


def test_revocation_stays(store: SqlStore) -> None:
    store.sensors.revoke("s1", T0, "stolen")
    store.sensors.revoke("s1", T0)
    assert store.sensors.revoked("s1")
    assert not store.sensors.revoked("s2")
