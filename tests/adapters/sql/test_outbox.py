"""The outbox on SQLite and PostgreSQL: written once, one sender at a time, in order, until it is settled."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from seawall.adapters.sql.outbox import SqlOutbox
from seawall.adapters.sql.store import SqlStore
from seawall.ports.outbox import OutboxEntry

T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def entry(seq: int = 1, subject: str = "incident-1", destination: str = "sentinel") -> OutboxEntry:
    return OutboxEntry(destination, "incident", subject, seq, {"seq": seq}, T0)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def claim(outbox: SqlOutbox, seconds: float = 0, limit: int = 10) -> list[OutboxEntry]:
    return outbox.claim("sentinel", limit=limit, now=at(seconds), lease_s=60)


def test_a_change_is_written_once_and_its_document_comes_back(store: SqlStore) -> None:
    assert store.outbox.add([entry(), entry(2)]) == 2
    assert store.outbox.add([entry(2), entry(3)]) == 1
    assert [(item.seq, item.body, item.attempts) for item in claim(store.outbox)] == [
        (seq, {"seq": seq}, 1) for seq in (1, 2, 3)
    ]


def test_one_sender_per_destination(store: SqlStore) -> None:
    store.outbox.add([entry(), entry(destination="webhook")])
    other = SqlOutbox(store.database)
    assert len(claim(store.outbox)) == 1
    assert claim(other, 59) == [], "the lease is alive"
    assert len(other.claim("webhook", limit=1, now=T0, lease_s=60)) == 1, "another destination is free"
    (taken,) = claim(other, 61)
    assert taken.attempts == 2
    store.outbox.release("sentinel")
    assert claim(store.outbox, 62) == [], "a lost lease is not ours to release"
    other.release("sentinel")
    assert len(claim(store.outbox, 62)) == 1


def test_settled_entries_do_not_come_back(store: SqlStore) -> None:
    store.outbox.add([entry(1, "a"), entry(2, "b"), entry(3, "c")])
    one, two, three = claim(store.outbox)
    store.outbox.done([one], now=at(1), units=1)
    store.outbox.poison([two], reason="400", now=at(1))
    store.outbox.retry([three], not_before=at(300), reason="429")
    store.outbox.release("sentinel")
    assert store.outbox.pending() == {"sentinel": 1}
    assert claim(store.outbox, 299) == []
    store.outbox.release("sentinel")
    assert [item.subject for item in claim(store.outbox, 300)] == ["c"]


def test_a_later_change_waits_for_the_earlier_one(store: SqlStore) -> None:
    store.outbox.add([entry(1)])
    store.outbox.retry(claim(store.outbox), not_before=at(300), reason="503")
    store.outbox.release("sentinel")
    store.outbox.add([entry(2), entry(1, "other")])
    assert [(item.subject, item.seq) for item in claim(store.outbox, 10)] == [("other", 1)]


def test_units_and_what_the_receiver_knows(store: SqlStore) -> None:
    store.outbox.add([entry(1), entry(2), entry(3)])
    first, second, third = claim(store.outbox)
    store.outbox.done([first], now=at(0), units=1)
    store.outbox.done([second], now=at(30))
    store.outbox.done([third], now=at(61), units=1)
    assert store.outbox.units_since("sentinel", at(1)) == 1
    assert store.outbox.units_since("sentinel", at(-1)) == 2
    known = store.outbox.latest("sentinel", "incident", "incident-1", below_seq=3)
    raised = store.outbox.latest("sentinel", "incident", "incident-1", below_seq=3, min_units=1)
    assert known is not None
    assert raised is not None
    assert (known.seq, raised.seq) == (2, 1)
    assert store.outbox.latest("sentinel", "incident", "incident-1", below_seq=1) is None


def test_overlapping_rounds_of_one_server_do_not_take_each_others_entries(store: SqlStore) -> None:
    store.outbox.add([entry()])
    assert len(claim(store.outbox)) == 1

    def second_round() -> None:
        taken.extend(claim(store.outbox, 10))
        store.outbox.release("sentinel")

    taken: list[OutboxEntry] = []
    timer = threading.Thread(target=second_round)
    timer.start()
    timer.join()
    taken += claim(store.outbox, 20)
    assert taken == [], "the first round still delivers"


def test_incidents_do_not_wait_behind_results_of_posture(store: SqlStore) -> None:
    store.outbox.add([OutboxEntry("sentinel", "assessment", f"a-{number}", 1, {}, T0) for number in range(20)])
    store.outbox.add([OutboxEntry("sentinel", "incident", "incident-1", 1, {}, at(5))])
    assert claim(store.outbox, 10)[0].subject == "incident-1"


def test_the_order_is_that_of_creation_within_the_limit(store: SqlStore) -> None:
    kinds = {"incident": 3, "alert": 1, "image": 0, "assessment": 2, "asset": 4}
    store.outbox.add([OutboxEntry("sentinel", kind, "s", 1, {}, at(second)) for kind, second in kinds.items()])
    assert [item.kind for item in claim(store.outbox, 10)] == ["alert", "incident", "image", "assessment", "asset"]
    store.outbox.release("sentinel")
    assert [item.kind for item in claim(store.outbox, 20, limit=3)] == ["alert", "incident", "image"]


def test_what_was_settled_long_ago_is_forgotten(store: SqlStore) -> None:
    store.outbox.add([entry(number, f"i-{number}") for number in range(4)])
    old, new, poison, _ = claim(store.outbox)
    store.outbox.done([old], now=at(1))
    store.outbox.poison([poison], reason="400", now=at(2))
    store.outbox.done([new], now=at(100))
    assert store.outbox.forget(at(50)) == 2
    assert store.outbox.forget(at(50)) == 0
    assert store.outbox.pending() == {"sentinel": 1}
    assert store.outbox.latest("sentinel", "incident", "i-1", below_seq=9) is not None


def test_texts_of_documents_may_have_nul(store: SqlStore) -> None:
    store.outbox.add([OutboxEntry("sentinel", "image", "a\0b", 1, {"name": "a\0b", "text": r"a\u0000b"}, T0)])
    assert claim(store.outbox)[0].body == {"name": "a\ufffdb", "text": r"a\u0000b"}
