"""Running containers in the store, on both databases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from seawall.adapters.sql.store import SqlStore
from seawall.domain.running import RunningChange, RunningContainer, RunningSnapshot, RunningSource

T0 = datetime(2026, 11, 23, tzinfo=UTC)
SENSOR, CLUSTER = RunningSource.SENSOR, RunningSource.CLUSTER
DIGEST = "sha256:" + "a" * 64


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def container(name: str = "web", minutes: float = 0, **other: Any) -> RunningContainer:
    values: dict[str, Any] = {
        "cluster": "prod", "node": "n1", "namespace": "shop", "pod": f"{name}-1", "container": name,
        "container_id": f"id-{name}", "digest": DIGEST, "seen_at": at(minutes),
    }  # fmt: skip
    return RunningContainer(**(values | other))


def snapshot(
    minutes: float, *containers: RunningContainer, source: RunningSource = CLUSTER, node: str = ""
) -> RunningSnapshot:
    return RunningSnapshot(source=source, cluster="prod", taken_at=at(minutes), containers=containers, node=node)


def change(item: RunningContainer, *, running: bool = True, source: RunningSource = SENSOR) -> RunningChange:
    return RunningChange(source=source, container=item, running=running)


def names(store: SqlStore) -> list[str]:
    return [item.container for item in store.running.all()]


def test_a_snapshot_says_what_runs_and_what_does_not(store: SqlStore) -> None:
    first = snapshot(0, container("web"), container("db", digest="sha256:" + "b" * 64, namespace="data"))
    assert store.running.apply(first) == 2
    assert store.running.apply(first) == 0
    assert [item.container for item in store.running.of_digests([DIGEST])] == ["web"]
    assert [item.container for item in store.running.in_cluster("prod", namespace="data")] == ["db"]
    assert store.running.in_cluster("test") == []
    assert store.running.digests() == {DIGEST: 1, "sha256:" + "b" * 64: 1}
    assert store.running.apply(snapshot(1, container("web"))) == 1
    assert names(store) == ["web"]
    (web,) = store.running.all()
    assert web.seen_at == at(1)
    assert store.running.apply(first) == 0
    assert names(store) == ["web"]
    assert [(scope.source, scope.node, scope.taken_at) for scope in store.running.scopes()] == [(CLUSTER, "", at(1))]


def test_two_sources_are_one_container(store: SqlStore) -> None:
    store.running.apply(
        snapshot(
            0, container(container_id="containerd://id-web", owner="Deployment/web", image="shop/web:1", node="n1")
        )
    )
    seen = container(digest="", namespace="", pod="", container="", in_use=("deb/libssl3", "deb/libc6", "deb/libssl3"))
    store.running.apply(snapshot(0.5, seen, source=SENSOR, node="n1"))
    (one,) = store.running.of_digests([DIGEST])
    assert (one.container_id, one.owner, one.namespace) == ("id-web", "Deployment/web", "shop")
    assert one.in_use == ("deb/libc6", "deb/libssl3")
    assert one.seen_at == at(0.5)


@pytest.mark.parametrize(
    ("minutes", "runs"),
    [
        pytest.param(1, True, id="within the grace an API server may not have heard of it yet"),
        pytest.param(5, False, id="later it is gone"),
    ],
)
def test_absence_in_the_other_source(store: SqlStore, minutes: float, runs: bool) -> None:
    store.running.change([change(container())])
    store.running.apply(snapshot(minutes))
    assert bool(store.running.all()) is runs


def test_an_end_counts_though_the_api_server_lags(store: SqlStore) -> None:
    store.running.change([change(container()), change(container(minutes=1), running=False)])
    store.running.apply(snapshot(1.2, container()))
    assert names(store) == []
    store.running.apply(snapshot(9, container()))
    assert names(store) == ["web"], "minutes later the API server still has it: it was started again"


def test_a_node_speaks_for_itself(store: SqlStore) -> None:
    store.running.apply(snapshot(0, container("a"), source=SENSOR, node="n1"))
    store.running.apply(snapshot(0, container("b"), source=SENSOR, node="n2"))
    store.running.apply(snapshot(1, source=SENSOR, node="n1"))
    assert names(store) == ["b"]


def test_what_nobody_confirms_is_forgotten(store: SqlStore) -> None:
    store.running.apply(snapshot(0, container("a"), source=SENSOR, node="n1"))
    store.running.apply(snapshot(60, container("b"), source=SENSOR, node="n2"))
    assert store.running.forget(at(30)) == 1
    assert names(store) == ["b"]
    assert [scope.node for scope in store.running.scopes()] == ["n2"]


def _node(name: str) -> str:
    return f"n{1 + ord(name) % 2}"


def _deeds(chance: random.Random) -> list[RunningSnapshot | RunningChange]:
    deeds: list[RunningSnapshot | RunningChange] = []
    for _ in range(12):
        source, node, minutes = chance.choice([SENSOR, CLUSTER]), chance.choice(["n1", "n2"]), chance.randrange(0, 12)
        items = [
            container(name, minutes, node=_node(name), image=str(chance.random()))
            for name in chance.sample("abcd", chance.randrange(0, 4))
            if source is CLUSTER or _node(name) == node
        ]
        if chance.random() < 0.5:
            deeds.append(snapshot(minutes, *items, source=source, node=node if source is SENSOR else ""))
        else:
            deeds += [change(item, running=chance.random() < 0.6, source=source) for item in items]
    return deeds


@pytest.mark.parametrize("seed", range(8))
def test_any_order_and_repeats_end_alike(store: SqlStore, seed: int) -> None:
    chance = random.Random(seed)
    deeds, ends = _deeds(chance), []
    for turn in range(3):
        cluster = f"c{turn}"
        order: Sequence[RunningSnapshot | RunningChange] = chance.sample([*deeds, *deeds], 2 * len(deeds))
        for deed in order:
            if isinstance(deed, RunningSnapshot):
                store.running.apply(msgspec.structs.replace(deed, cluster=cluster))
            else:
                moved = msgspec.structs.replace(deed.container, cluster=cluster)
                store.running.change([msgspec.structs.replace(deed, container=moved)])
        ends.append([msgspec.structs.replace(item, cluster="") for item in store.running.in_cluster(cluster)])
    assert ends[0] == ends[1] == ends[2]


def test_writers_at_once(store: SqlStore) -> None:
    snapshots = [snapshot(n % 5, *(container(f"c{k}") for k in range(n % 5, 8))) for n in range(20)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(store.running.apply, snapshots))
    assert names(store) == ["c4", "c5", "c6", "c7"]


def test_a_cluster_of_many(store: SqlStore) -> None:
    many = [container(f"c{number:05}") for number in range(3000)]
    assert store.running.apply(snapshot(0, *many)) == 3000
    assert store.running.apply(snapshot(1, *many[:-1])) == 1
    assert len(store.running.of_digests([DIGEST])) == 2999
