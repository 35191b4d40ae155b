"""The asset graph in the store, on both databases."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from seawall.adapters.sql.store import SqlStore
from seawall.domain.assets import (
    Asset,
    AssetChange,
    AssetEvent,
    AssetSnapshot,
    AssetState,
    AssetVersion,
    Relation,
    differences,
)

T0 = datetime(2026, 11, 23, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def state(name: str = "web", scope: str = "prod", *, kind: str = "Deployment", **body: Any) -> AssetState:
    identifier = f"k8s://{scope}/shop/{kind}/{name}"
    image = f"image:{body.get('image', 'web:1')}"
    return AssetState(
        scope, Asset(identifier, kind, name), "shop", (Relation(identifier, "runs", image),), {"spec": dict(body)}
    )


def snapshot(minutes: float, *states: AssetState, scope: str = "prod", kind: str = "Deployment") -> AssetSnapshot:
    return AssetSnapshot(scope, at(minutes), frozenset({kind}), states)


def change(minutes: float, item: AssetState, *, gone: bool = False) -> AssetChange:
    return AssetChange(item.asset.id, item.scope, item.asset.kind, at(minutes), None if gone else item)


def told(versions: list[AssetVersion]) -> list[tuple[float, float | None, Any]]:
    """(from, to, image) in minutes, oldest first."""

    def minutes(time: datetime) -> float:
        return (time - T0) / timedelta(minutes=1)

    return [
        (
            minutes(version.valid_from),
            minutes(version.valid_to) if version.valid_to else None,
            version.state.body["spec"].get("image", "") if version.state else None,
        )
        for version in reversed(versions)
    ]


WEB = state().asset.id


def test_listings_make_versions(store: SqlStore) -> None:
    first = snapshot(0, state(image="web:1"), state("db", image="db:1"))
    assert len(store.assets.apply(first).added) == 2
    assert store.assets.apply(first).total == 0
    applied = store.assets.apply(snapshot(10, state(image="web:2")))
    assert (applied.changed, applied.removed) == ((WEB,), ("k8s://prod/shop/Deployment/db",))
    assert told(store.assets.history(WEB)) == [(0, 10, "web:1"), (10, None, "web:2")]
    then, now = store.assets.get(WEB, at(5)), store.assets.get(WEB)
    assert then is not None
    assert now is not None
    assert differences(then.body, now.body)[0].path == "spec.image"
    assert [item.asset.name for item in store.assets.find(at=at(5))] == ["db", "web"]
    assert [item.asset.name for item in store.assets.find()] == ["web"]
    assert store.assets.relations(WEB) == ([Relation(WEB, "runs", "image:web:2")], [])
    assert store.assets.relations("image:web:2") == ([], [Relation(WEB, "runs", "image:web:2")])
    assert store.assets.relations("image:db:1") == ([], [])
    assert store.assets.counts("prod") == {"Deployment": 1}
    assert [(item.kind, item.taken_at, item.assets) for item in store.assets.scopes()] == [("Deployment", at(10), 1)]
    assert store.assets.apply(snapshot(5, state(image="late"))).total == 0, "an older listing says nothing new"
    assert [item.asset.name for item in store.assets.objects("prod")] == ["web"]


def test_kinds_that_were_not_listed_stay(store: SqlStore) -> None:
    store.assets.apply(snapshot(0, state()))
    store.assets.apply(snapshot(1, state("sa", kind="ServiceAccount"), kind="ServiceAccount"))
    assert store.assets.counts() == {"Deployment": 1, "ServiceAccount": 1}
    partial = AssetSnapshot("prod", at(2), frozenset(), (state(image="web:9"),))
    assert store.assets.apply(partial).changed == (WEB,)
    assert store.assets.counts() == {"Deployment": 1, "ServiceAccount": 1}


def test_a_word_that_comes_late_takes_its_place_in_the_past(store: SqlStore) -> None:
    store.assets.apply(snapshot(0, state(image="web:1")))
    store.assets.apply(snapshot(10, state(image="web:3")))
    assert store.assets.change([change(5, state(image="web:2"))]).total == 0
    assert told(store.assets.history(WEB)) == [(0, 5, "web:1"), (5, 10, "web:2"), (10, None, "web:3")]
    assert store.assets.relations("image:web:2") == ([], [])
    store.assets.change([change(8, state(image="web:3"))])
    assert told(store.assets.history(WEB))[-1] == (8, None, "web:3"), "the change happened earlier than it was listed"


def test_what_was_seen_again_later_is_not_overruled(store: SqlStore) -> None:
    store.assets.apply(snapshot(0, state(image="web:1")))
    store.assets.apply(snapshot(10, state(image="web:1")))
    store.assets.change([change(5, state(image="evil:1"))])
    assert told(store.assets.history(WEB)) == [(0, 5, "web:1"), (5, 10, "evil:1"), (10, None, "web:1")]


def test_a_late_create_does_not_bring_back_what_was_deleted(store: SqlStore) -> None:
    store.assets.change([change(5, state(), gone=True)])
    store.assets.change([change(3, state(image="web:1"))])
    assert store.assets.get(WEB) is None
    assert told(store.assets.history(WEB)) == [(3, 5, "web:1"), (5, None, None)]
    store.assets.apply(snapshot(20))
    store.assets.change([change(15, state("job", image="job:1"))])
    assert store.assets.get("k8s://prod/shop/Deployment/job") is None
    assert told(store.assets.history("k8s://prod/shop/Deployment/job")) == [(15, 20, "job:1"), (20, None, None)]


def test_a_listing_does_not_overrule_a_newer_event(store: SqlStore) -> None:
    store.assets.change([change(10, state(image="web:2"))])
    store.assets.apply(snapshot(9, state(image="web:1")))
    assert told(store.assets.history(WEB)) == [(9, 10, "web:1"), (10, None, "web:2")]
    store.assets.apply(snapshot(9.5))
    assert store.assets.get(WEB) is not None


def test_versions_say_who(store: SqlStore) -> None:
    event = AssetEvent("e1", WEB, "prod", at(7), "patch", "alice", "198.51.100.7", "kubectl", "deployments")
    store.assets.apply(snapshot(0, state(image="web:1")))
    store.assets.apply(snapshot(10, state(image="web:2")))
    assert store.assets.note([event, event]) == 1
    assert store.assets.note([event]) == 0
    newest, oldest = store.assets.history(WEB)
    assert newest.events == (event,)
    assert oldest.events == ()
    (listed,) = store.assets.between(at(0), at(10))
    assert (listed.valid_from, listed.events) == (at(10), (event,))
    assert store.assets.between(at(0), at(10), "other") == []
    assert store.assets.events(WEB) == [event]


def test_the_past_is_bounded(store: SqlStore) -> None:
    for minute in range(12):
        store.assets.apply(snapshot(minute, state(image=f"web:{minute}")))
    store.assets.apply(snapshot(20))
    store.assets.note([AssetEvent("e1", WEB, "prod", at(1), "patch", "alice")])
    assert store.assets.prune(at(3), versions=5) > 0
    versions = store.assets.history(WEB)
    assert len(versions) == 5
    assert versions[0].state is None
    assert store.assets.events(WEB) == []
    store.assets.prune(at(30))
    assert store.assets.history(WEB) == []


@pytest.mark.parametrize("seed", range(10))
def test_the_present_does_not_depend_on_the_order(store: SqlStore, seed: int) -> None:
    chance = random.Random(seed)
    times = chance.sample(range(30), 9)
    deeds: list[tuple[float, str, str]] = [
        (minutes, chance.choice(["set", "gone", "list", "list-none"]), chance.choice("abc")) for minutes in times
    ]
    ends = []
    for turn in range(3):
        scope = f"s{turn}"
        item = state(scope=scope)
        for minutes, what, image in chance.sample([*deeds, *deeds], 2 * len(deeds)):
            now = replace(item, body={"spec": {"image": image}})
            if what.startswith("list"):
                # One listing has one content: two of the same moment and scope do not differ.
                some = [] if what == "list-none" else [replace(item, body={"spec": {"image": "listed"}})]
                store.assets.apply(snapshot(minutes * 2 + (0.5 if some else 1), *some, scope=scope))
            else:
                store.assets.change([change(minutes * 2, now, gone=what == "gone")])
        found = store.assets.get(item.asset.id)
        ends.append(found.body if found is not None else None)
        timeline = store.assets.history(item.asset.id)
        for newer, older in pairwise(timeline):
            assert older.valid_to == newer.valid_from, told(timeline)
    assert ends[0] == ends[1] == ends[2]


def test_a_large_listing(store: SqlStore) -> None:
    many = [state(f"w{number:05}", image=f"i{number % 7}") for number in range(2500)]
    assert len(store.assets.apply(snapshot(0, *many)).added) == 2500
    applied = store.assets.apply(snapshot(1, *many[10:], state("w00020", image="new")))
    assert (len(applied.removed), len(applied.changed)) == (10, 1)
    assert store.assets.counts() == {"Deployment": 2490}
