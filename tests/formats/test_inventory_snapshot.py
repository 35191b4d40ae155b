"""Listings that arrive: whole, broken, hostile."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from seawall.adapters.inventory_push import push_listing
from seawall.domain.errors import ConfigError, MalformedEvent, TooLarge
from seawall.formats import inventory_snapshot
from seawall.formats.inventory_snapshot import decode_snapshot, encode_snapshot, is_snapshot
from seawall.ports.inventory_source import Collected
from seawall.posture.objects import Note, Obj

T0 = datetime(2026, 11, 23, tzinfo=UTC)
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "aHVudGVyMg=="}}
LISTING = Collected(
    "prod",
    T0,
    [Obj({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})],
    {"Pod"},
    {"Secret"},
    [Note("Secret", "403")],
)


def test_a_listing_arrives_as_it_was() -> None:
    body = encode_snapshot(LISTING)
    assert is_snapshot(body)
    found = decode_snapshot(body, "prod", T0)
    assert (found.taken_at, found.complete, found.unread, found.notes) == (T0, {"Pod"}, {"Secret"}, LISTING.notes)
    assert [obj.body for obj in found.objects] == [obj.body for obj in LISTING.objects]


def test_values_of_secrets_are_dropped_on_arrival() -> None:
    body = gzip.compress(
        json.dumps({"seawall": "inventory/1", "taken_at": T0.isoformat(), "objects": [SECRET]}).encode()
    )
    assert "aHVudGVyMg==" not in str(decode_snapshot(body, "prod", T0).objects[0].body)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"seawall": "inventory/9", "taken_at": T0.isoformat(), "objects": []}).encode(),
        json.dumps({"seawall": "inventory/1", "taken_at": "2026-11-23T00:00:00", "objects": []}).encode(),
        json.dumps(
            {"seawall": "inventory/1", "taken_at": (T0 + timedelta(hours=1)).isoformat(), "objects": []}
        ).encode(),
        json.dumps({"seawall": "inventory/1", "taken_at": T0.isoformat(), "objects": [3]}).encode(),
    ],
)
def test_what_is_no_listing_is_refused(document: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode_snapshot(gzip.compress(document), "prod", T0)


def test_a_bomb_costs_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_snapshot, "MAX_BYTES", 1 << 20)
    with pytest.raises(TooLarge):
        decode_snapshot(gzip.compress(b" " * (8 << 20)), "prod", T0)
    with pytest.raises(MalformedEvent):
        decode_snapshot(b"\x1f\x8bnonsense", "prod", T0)


def test_the_secret_travels_encrypted_only() -> None:
    with pytest.raises(ConfigError, match="https"):
        push_listing("http://seawall.example.com", "prod", LISTING, "secret")
