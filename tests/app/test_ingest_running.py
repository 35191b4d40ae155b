"""A sensor's batch becomes running containers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from seawall.adapters.sql.store import SqlStore
from seawall.app.ingest_running import keep_running
from seawall.domain.runtime_events import (
    NO_PROCESS,
    ContainerContext,
    ContainerInUse,
    ContainerStart,
    ContainerStop,
    ImageInUse,
    NodeInventory,
    Process,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WEB = ContainerContext("a" * 64, name="web", image="r.example/web:1", image_digest="sha256:" + "1" * 64, pod="web-1",
                       namespace="shop", owner="Deployment/web", started_ns=1)  # fmt: skip
JOB = ContainerContext("b" * 64, name="job", pod="job-1", namespace="shop")


@pytest.fixture
def store(tmp_path):
    found = SqlStore(f"sqlite:///{tmp_path / 'seawall.sqlite'}")
    yield found.running
    found.close()


def at(kind, seconds, **more):
    ts_ns = int((NOW + timedelta(seconds=seconds)).timestamp() * 1e9)
    return kind(ts_ns=ts_ns, process=more.pop("process", NO_PROCESS), node="n1", cluster="prod", **more)


def seen(store):
    return {item.container: item for item in store.all()}


def test_snapshot_start_use_and_end(store):
    keep_running(store, [at(NodeInventory, -60, containers=(ContainerInUse(WEB, ("deb/libc6",)),))], NOW)
    web = seen(store)["web"]
    assert (web.owner, web.node, web.digest, web.in_use) == ("Deployment/web", "n1", WEB.image_digest, ("deb/libc6",))
    assert web.started_at is not None
    keep_running(
        store,
        [
            at(ContainerStart, -50, container=JOB, process=Process(pid=9)),
            at(ImageInUse, -40, container=WEB, full=True, packages=("deb/libc6", "npm/@scope/x")),
        ],
        NOW,
    )
    assert seen(store)["web"].in_use == ("deb/libc6", "npm/@scope/x")
    assert seen(store)["job"].owner == "Pod/job-1"
    assert [item.container for item in store.of_digests([WEB.image_digest])] == ["web"]
    keep_running(store, [at(ContainerStop, -30, container=JOB)], NOW)
    assert set(seen(store)) == {"web"}


def test_late_and_repeated_batches_change_nothing(store):
    late = [at(ContainerStart, -50, container=JOB, process=Process(pid=9))]
    keep_running(store, [at(ContainerStop, -30, container=JOB)], NOW)
    keep_running(store, late, NOW)
    assert seen(store) == {}
    snapshot = [at(NodeInventory, -10, containers=(ContainerInUse(WEB),))]
    assert keep_running(store, snapshot, NOW) == 1
    assert keep_running(store, snapshot, NOW) == 0


def test_a_clock_that_is_ahead_does_not_cost_the_batch(store):
    keep_running(store, [at(NodeInventory, 86_400, containers=(ContainerInUse(WEB),))], NOW)
    assert seen(store)["web"].seen_at == NOW
