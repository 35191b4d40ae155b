"""Responses in the store, on both databases: a history that only grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from seawall.adapters.sql.store import SqlStore
from seawall.domain.alerts import Entity, EntityKind
from seawall.domain.responses import DENY_IMAGE, Change, Request, Response, ResponseEvent, ResponseState

T0 = datetime(2026, 11, 23, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
POD = Response(
    "response-1", "isolate-pod", Entity(EntityKind.POD, "shop/web-1", "prod"), "incident-1", "u-1", "https://api", "a reason",
    changes=(Change(Request("PATCH", "/x", [{"op": "test", "path": "/a", "value": None}]), Request("DELETE", "/y", {"a": [1]})),),
    history=(ResponseEvent(ResponseState.STARTED, T0, "ana"),),
)  # fmt: skip


def event(state: ResponseState, minutes: int, note: str = "") -> ResponseEvent:
    return ResponseEvent(state, T0 + timedelta(minutes=minutes), "ana", note)


def test_a_response_is_kept_with_its_history(store: SqlStore) -> None:
    assert store.responses.get("response-1") is None
    store.responses.begin(POD)
    assert store.responses.get("response-1") == POD
    applied = event(ResponseState.APPLIED, 1, "a \x00 note")
    store.responses.note("response-1", applied)
    kept = store.responses.get("response-1")
    assert kept == replace(POD, history=(*POD.history, replace(applied, note="a \ufffd note")))
    assert kept.state is ResponseState.APPLIED


def test_nothing_that_was_written_changes(store: SqlStore) -> None:
    store.responses.begin(POD)
    store.responses.begin(replace(POD, reason="another", history=(event(ResponseState.STARTED, 9),)))
    store.responses.note("response-1", event(ResponseState.APPLIED, 1))
    store.responses.note("response-1", event(ResponseState.APPLIED, 5, "again"))
    kept = store.responses.get("response-1")
    assert kept is not None
    assert (kept.reason, [item.at for item in kept.history]) == ("a reason", [T0, T0 + timedelta(minutes=1)])


def test_responses_are_found_by_what_they_answer(store: SqlStore) -> None:
    later = replace(POD, id="response-0", subject="alert-1", history=(event(ResponseState.STARTED, 2),))
    for item in (later, POD, replace(POD, id="response-2", subject="incident-2")):
        store.responses.begin(item)
    assert [item.id for item in store.responses.of({"incident-1", "alert-1"})] == ["response-1", "response-0"]
    assert store.responses.of(()) == []
    assert [item.id for item in store.responses.newest(2)] == ["response-0", "response-1"]


def test_an_image_is_denied_from_its_application_to_its_undoing(store: SqlStore) -> None:
    denial = replace(POD, action=DENY_IMAGE, target=Entity(EntityKind.IMAGE, DIGEST))
    store.responses.begin(denial)
    store.responses.begin(replace(POD, id="response-2"))
    store.responses.note("response-2", event(ResponseState.APPLIED, 1))
    assert store.responses.denied() == frozenset()
    store.responses.note("response-1", event(ResponseState.APPLIED, 1))
    assert store.responses.denied() == {DIGEST}
    store.responses.note("response-1", event(ResponseState.UNDONE, 2))
    assert store.responses.denied() == frozenset()
