"""The sensor batch: what goes in comes out, and what is hostile is refused with its reason."""

from __future__ import annotations

import contextlib
import json
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from seawall.domain.alerts import Alert, Entity, EntityKind, Evidence
from seawall.domain.errors import InputError, MalformedEvent, TooLarge, Unauthenticated
from seawall.domain.runtime_events import ContainerContext, Loss, Process, ProcessExec
from seawall.domain.severity import Severity
from seawall.formats import sensor_batch
from seawall.formats.sensor_batch import (
    MAGIC,
    Header,
    SensorIdentity,
    decode_batch,
    encode_batch,
    json_schema,
    read_header,
)

from tests.support.sensors import NOW, Authority, Sensor

AUTHORITY = Authority()
SENSOR = Sensor(AUTHORITY)
EXEC = ProcessExec(
    ts_ns=5,
    process=Process(pid=9, exe="/usr/bin/id", args=("id",)),
    container=ContainerContext(id="c1", labels={"app": "web"}),
    node="node-1",
    cluster="prod",
    boot="boot-1",
    seq=3,
)
LOSS = Loss(ts_ns=6, process=Process(pid=0), node="node-1", cluster="prod", boot="boot-1", seq=4, lost=7, stage="ring")
ALERT = Alert(
    "alert-1",
    "RT-0001",
    "Drift",
    "ran /tmp/x",
    Severity.HIGH,
    ("T1105",),
    NOW,
    NOW,
    "runtime",
    cluster="prod",
    entities=(Entity(EntityKind.CONTAINER, "c1", "prod"),),
    evidence=(Evidence("runtime", "boot-1:3", NOW, raw={"a": [1]}),),
    context={"pid": 9},
)


def repacked(body: bytes, payload: bytes | None = None, **header: object) -> bytes:
    """`body` with another payload or header fields, signed again by the sensor."""
    size = struct.unpack_from(">I", body, 4)[0]
    old = json.loads(body[8 : 8 + size])
    signed = struct.unpack_from(">H", body, 8 + size)[0]
    packed = body[10 + size + signed :]
    if payload is not None:
        packed = zstandard.ZstdCompressor().compress(payload)
        old["payload_bytes"] = len(payload)
    head = json.dumps(old | header).encode()
    start = MAGIC + struct.pack(">I", len(head)) + head
    signature = SENSOR.sign(start + packed)
    return start + struct.pack(">H", len(signature)) + signature + packed


def test_events_and_alerts_come_back() -> None:
    body = SENSOR.batch(EXEC, LOSS, number=4, alerts=[ALERT], lost={"ring/exec": 7}, analytics="a-1")
    batch = decode_batch(body, AUTHORITY.trust())
    assert batch.events == (EXEC, LOSS)
    assert batch.alerts == (ALERT,)
    assert batch.identity == SENSOR.identity
    header = batch.header
    assert (header.batch, header.records, header.first_seq, header.last_seq) == (4, 3, 3, 4)
    assert (header.lost, header.analytics) == ({"ring/exec": 7}, "a-1")


def test_the_header_says_where_events_come_from_whatever_they_claim() -> None:
    lie = msgspec.structs.replace(EXEC, node="other", cluster="other", boot="other")
    assert decode_batch(SENSOR.batch(lie), AUTHORITY.trust()).events == (EXEC,)


def test_a_batch_of_nothing_is_a_batch() -> None:
    assert decode_batch(SENSOR.batch(), AUTHORITY.trust()).events == ()


def test_one_bad_record_does_not_cost_the_batch() -> None:
    good = msgspec.to_builtins(EXEC)
    records = [good, {"event": "from_the_future", "ts_ns": 1}, {"event": "process_exec", "ts_ns": "x"}, 7, good]
    payload = msgspec.msgpack.encode({"events": records, "alerts": [{"id": 4}]})
    batch = decode_batch(repacked(SENSOR.batch(EXEC), payload, records=6), AUTHORITY.trust())
    assert batch.events == (EXEC, EXEC)
    assert [(item.list, item.index) for item in batch.rejected] == [
        ("events", 1),
        ("events", 2),
        ("events", 3),
        ("alerts", 0),
    ]
    assert "from_the_future" in batch.rejected[0].reason


BODY = SENSOR.batch(EXEC)
CASES = {
    "empty": (b"", MalformedEvent, "SWB1"),
    "json": (b'{"events": []}', MalformedEvent, "SWB1"),
    "ends in the header": (BODY[:40], MalformedEvent, "inside its header"),
    "ends before the payload": (BODY[: len(BODY) - 400], InputError, ""),
    "header too long": (MAGIC + struct.pack(">I", 1 << 30) + b"{}" * 40, TooLarge, "header"),
    "another version": (repacked(BODY, version=2), MalformedEvent, "version 2"),
    "batch 0": (repacked(BODY, batch=0), MalformedEvent, "batch"),
    "too many records": (repacked(BODY, records=10**6), TooLarge, "records"),
    "too many bytes promised": (repacked(BODY, payload_bytes=1 << 40), TooLarge, "payload"),
    "more bytes than promised": (repacked(BODY, payload_bytes=20), MalformedEvent, "there are more"),
    "fewer bytes than promised": (repacked(BODY, payload_bytes=9999), MalformedEvent, "payload bytes"),
    "records differ": (repacked(BODY, records=2), MalformedEvent, "2"),
    "payload not msgpack": (repacked(BODY, b"\xc1\xc1\xc1"), MalformedEvent, "payload"),
    "payload deep": (repacked(BODY, b"\x91" * 100_000), MalformedEvent, "payload"),
    "header not JSON": (MAGIC + struct.pack(">I", 2) + b"{{" + BODY[-100:], MalformedEvent, "header"),
    "too large": (b"SWB1" + bytes(sensor_batch.MAX_BODY_BYTES), TooLarge, "bytes"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_malformed_is_refused_with_its_reason(name: str) -> None:
    body, error, words = CASES[name]
    with pytest.raises(error) as caught:
        decode_batch(body, AUTHORITY.trust())
    assert words in str(caught.value)


def test_a_decompression_bomb_is_refused_without_being_unpacked() -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(1 << 30))
    body = BODY[: -len(BODY)] + _with_packed(bomb)
    with pytest.raises(MalformedEvent, match="there are more"):
        decode_batch(body, AUTHORITY.trust())


def _with_packed(packed: bytes) -> bytes:
    size = struct.unpack_from(">I", BODY, 4)[0]
    start = BODY[: 8 + size]
    signature = SENSOR.sign(start + packed)
    return start + struct.pack(">H", len(signature)) + signature + packed


@pytest.mark.parametrize("place", ["header", "signature", "payload"])
def test_a_flipped_bit_breaks_the_signature(place: str) -> None:
    size = struct.unpack_from(">I", BODY, 4)[0]
    at = {"header": BODY.index(b"boot-1"), "signature": 8 + size + 10, "payload": len(BODY) - 3}[place]
    broken = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
    with pytest.raises(Unauthenticated):
        decode_batch(broken, AUTHORITY.trust())


@pytest.mark.parametrize(
    ("sensor", "at", "words"),
    [
        pytest.param(Sensor(Authority()), NOW, "not issued by this deployment", id="another authority"),
        pytest.param(SENSOR, NOW + timedelta(hours=25), "expired", id="expired"),
        pytest.param(SENSOR, NOW - timedelta(hours=1), "valid from", id="clock behind"),
    ],
)
def test_certificates_that_are_not_believed(sensor: Sensor, at, words: str) -> None:
    with pytest.raises(Unauthenticated, match=words):
        decode_batch(sensor.batch(EXEC), AUTHORITY.trust(at))


def test_a_revoked_sensor_is_not_believed() -> None:
    with pytest.raises(Unauthenticated, match="revoked"):
        decode_batch(BODY, AUTHORITY.trust(revoked=frozenset({"sensor-1"})))


def test_a_sensor_cannot_speak_for_another_node() -> None:
    other = replace(SENSOR.identity, node="node-2")
    with pytest.raises(Unauthenticated, match="node-2"):
        decode_batch(SENSOR.batch(EXEC, identity=other), AUTHORITY.trust())


@pytest.mark.parametrize("name", ["a", "arn:aws:eks:eu-west-1:1:cluster/shop", "x y", "ü/%", "a@b:c#?"])
def test_identity_survives_the_certificate(name: str) -> None:
    sensor = Sensor(AUTHORITY, SensorIdentity("sensor-2", name, f"node {name}"))
    assert decode_batch(sensor.batch(EXEC), AUTHORITY.trust()).identity == sensor.identity


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_an_error_of_ours(noise: bytes) -> None:
    for body in (noise, MAGIC + noise, BODY[:200] + noise):
        with pytest.raises((InputError, Unauthenticated)):
            decode_batch(body, AUTHORITY.trust())


@given(st.binary(min_size=1, max_size=200))
def test_any_signed_payload_gives_records_or_an_error_of_ours(payload: bytes) -> None:
    with contextlib.suppress(InputError):
        batch = decode_batch(repacked(BODY, payload), AUTHORITY.trust())
        assert len(batch.events) + len(batch.rejected) == batch.header.records


def test_header_reads_without_the_payload() -> None:
    header = read_header(BODY)
    assert isinstance(header, Header)
    assert header.sensor == "sensor-1"


def test_the_published_schema_is_the_code_s() -> None:
    published = Path(__file__).parents[2] / "docs/schemas/sensor-batch.v1.json"
    assert json.loads(published.read_text()) == json.loads(json.dumps(json_schema())), (
        "write it again: python -c 'import json, seawall.formats.sensor_batch as b; "
        "print(json.dumps(b.json_schema(), indent=1))' > docs/schemas/sensor-batch.v1.json"
    )


def test_encoded_size_of_plain_execs_is_small() -> None:
    body = encode_batch(
        [msgspec.structs.replace(EXEC, seq=n, ts_ns=n) for n in range(1000)],
        signer=SENSOR,
        identity=SENSOR.identity,
        boot="boot-1",
        stream="s",
        batch=1,
        created_ns=1,
    )
    assert len(body) < 20_000


def test_a_node_raises_alerts_of_its_own_cluster_only() -> None:
    lie = replace(ALERT, cluster="other")
    (taken,) = decode_batch(SENSOR.batch(alerts=[lie]), AUTHORITY.trust()).alerts
    assert taken.cluster == "prod"
    assert taken.id != lie.id
    assert decode_batch(SENSOR.batch(alerts=[lie]), AUTHORITY.trust()).alerts == (taken,)
