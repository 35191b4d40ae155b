"""Audit events bring the asset graph and the results up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from seawall.adapters.sql.store import SqlStore
from seawall.app.discover import take
from seawall.app.follow_assets import FLUSH_AFTER, AssetFollower, mutations
from seawall.app.judge_posture import PosturePolicy
from seawall.detection.sources.recognise import decode
from seawall.domain.errors import Unavailable
from seawall.domain.posture import ObjectRef, Status
from seawall.ports.inventory_source import Collected
from seawall.posture.objects import Obj

T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEB = "k8s://prod/shop/Deployment/web"


@pytest.fixture
def store(tmp_path) -> Iterator[SqlStore]:
    opened = SqlStore(f"sqlite:///{tmp_path / 'seawall.sqlite'}")
    yield opened
    opened.close()


def deployment(*, privileged: bool = False, env: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    container = {"name": "c", "image": "web:1", "securityContext": {"privileged": privileged}, "env": env or []}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


def event(verb: str, body: dict[str, Any] | None, *, minutes: float = 1, name: str = "web", **other: Any) -> bytes:
    at = (T0 + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    record: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"{verb}-{minutes}",
        "stage": "ResponseComplete", "verb": verb, "user": {"username": "alice"}, "sourceIPs": ["198.51.100.7"],
        "userAgent": "kubectl", "requestURI": f"/apis/apps/v1/namespaces/shop/deployments/{name}",
        "objectRef": {"resource": "deployments", "namespace": "shop", "name": name, "apiGroup": "apps", "apiVersion": "v1"},
        "responseStatus": {"code": 200}, "requestReceivedTimestamp": at, "stageTimestamp": at,
    }  # fmt: skip
    if body is not None:
        record["responseObject"] = body
    return json.dumps(record | other).encode()


def events(*raw: bytes) -> list[Any]:
    return [item for body in raw for item in decode(body, cluster="prod").events]


class Reader:
    """A cluster that has one deployment."""

    def __init__(self, body: dict[str, Any] | None, *, fails: bool = False) -> None:
        self.body, self.fails, self.reads = body, fails, 0

    def read(self, kind: str, namespace: str, name: str) -> Obj | None:
        self.reads += 1
        if self.fails:
            raise Unavailable("no answer")
        return Obj(self.body) if self.body is not None else None


def follower(store: SqlStore, reader: Reader | None = None) -> AssetFollower:
    return AssetFollower(store, publishers=list, policy=PosturePolicy, reader=lambda _scope: reader)


def listed(store: SqlStore, *bodies: dict[str, Any], at: datetime = T0) -> None:
    collected = Collected("prod", at, [Obj(body) for body in bodies], {"Deployment", "Pod"})
    take(collected, store, publishers=list, policy=PosturePolicy(), now=at)


def privileged_fails(store: SqlStore) -> bool:
    ref = ObjectRef("Deployment", "web", "shop")
    found = store.assessments.find(scope="prod", ref=ref, status=Status.FAIL)
    return any("privileged" in item.path for item in found)


def test_a_change_is_in_the_graph_and_judged_within_a_minute(store: SqlStore) -> None:
    listed(store, deployment())
    assert not privileged_fails(store)
    following = follower(store)
    now = T0 + timedelta(minutes=1, seconds=2)
    batch = events(event("update", deployment(privileged=True)))
    assert following.take(batch, now) == 1
    assert following.take(batch, now) == 0
    (newest, _) = store.assets.history(WEB)
    assert (newest.events[0].actor, newest.events[0].source_ip) == ("alice", "198.51.100.7")
    before = len(store.assessments.find(scope="prod"))
    following.take([], now + FLUSH_AFTER)
    assert privileged_fails(store)
    assert abs(len(store.assessments.find(scope="prod")) - before) < 5, "the results of other objects stay"
    following.take(events(event("update", deployment(), minutes=2)), now + timedelta(minutes=1))
    assert following.flush(now + timedelta(minutes=1)) > 0
    assert not privileged_fails(store)


def urgency(store: SqlStore) -> dict[str, Any]:
    ref = ObjectRef("Deployment", "web", "shop")
    found = store.assessments.find(scope="prod", ref=ref, status=Status.FAIL)
    return {item.id: item.priority for item in found if item.priority is not None and item.priority.paths}


def test_failures_keep_the_attack_paths_that_they_lie_on(store: SqlStore) -> None:
    listed(store, deployment(privileged=True))
    before = urgency(store)
    assert before
    assert all(priority.path for priority in before.values())
    following = follower(store)
    following.take(events(event("update", deployment(privileged=True, env=[{"name": "a", "value": "b"}]))), T0)
    following.flush(T0 + timedelta(minutes=2))
    assert urgency(store) == before


def test_a_deleted_object_has_no_results(store: SqlStore) -> None:
    listed(store, deployment(privileged=True))
    assert privileged_fails(store)
    following = follower(store)
    following.take(events(event("delete", {"kind": "Status", "metadata": {}})), T0 + timedelta(minutes=1))
    following.flush(T0 + timedelta(minutes=1))
    assert store.assets.get(WEB) is None
    assert store.assessments.find(scope="prod", ref=ObjectRef("Deployment", "web", "shop")) == []


def test_an_object_that_is_waiting_to_be_deleted_is_still_there(store: SqlStore) -> None:
    body = deployment()
    body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:01:30Z", "finalizers": ["x"]}
    follower(store).take(events(event("delete", body)), T0)
    assert store.assets.get(WEB) is not None


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(event("update", deployment(), responseStatus={"code": 403}), id="refused"),
        pytest.param(event("get", deployment()), id="read"),
        pytest.param(event("update", deployment(), stage="RequestReceived"), id="begun"),
        pytest.param(event("update", deployment(), requestURI="/apis/x?dryRun=All"), id="dry run"),
        pytest.param(
            event("update", deployment(), objectRef={"resource": "leases", "name": "l", "namespace": "n"}), id="lease"
        ),
        pytest.param(
            event("update", deployment(), objectRef={"resource": "deployments", "apiGroup": "apps", "namespace": "shop", "name": "web", "subresource": "status"}),
            id="status",
        ),
    ],
)  # fmt: skip
def test_what_changes_nothing(raw: bytes) -> None:
    assert mutations(events(raw)) == []


def test_an_event_without_the_object_reads_it_once(store: SqlStore) -> None:
    reader = Reader(deployment(privileged=True))
    batch = events(event("patch", None), event("patch", None, minutes=2))
    assert follower(store, reader).take(batch, T0) == 1
    assert reader.reads == 1
    assert len(store.assets.events(WEB)) == 2
    assert follower(store, Reader(None)).take(events(event("patch", None, minutes=3)), T0) == 1
    assert store.assets.get(WEB) is None


def test_without_a_reader_the_call_is_noted_and_the_timer_finds_the_rest(store: SqlStore) -> None:
    listed(store, deployment())
    following = follower(store)
    assert following.take(events(event("patch", None)), T0) == 0
    assert [item.actor for item in store.assets.events(WEB)] == ["alice"]
    assert follower(store, Reader(None, fails=True)).take(events(event("patch", None, minutes=2)), T0) == 0
    listed(store, deployment(privileged=True), at=T0 + timedelta(minutes=30))
    newest = store.assets.history(WEB)[0]
    assert [item.actor for item in newest.events] == ["alice", "alice"]


def test_no_value_of_an_event_is_stored(store: SqlStore) -> None:
    body = deployment(env=[{"name": "PASSWORD", "value": "hunter2"}])
    following = follower(store)
    following.take(events(event("create", body)), T0)
    following.flush(T0)
    assert "hunter2" not in str(store.assets.get(WEB))


def test_metadata_alone_is_no_object(store: SqlStore) -> None:
    listed(store, deployment(privileged=True))
    body = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "shop"}}
    assert follower(store).take(events(event("update", body)), T0) == 0
    state = store.assets.get(WEB)
    assert state is not None
    assert "spec" in state.body


POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


def uncovered(store: SqlStore, name: str) -> bool:
    found = store.assessments.find(scope="prod", ref=ObjectRef("Deployment", name, "shop"), status=Status.FAIL)
    return any("no policy restricts" in item.reason for item in found)


def test_what_depends_on_a_changed_object_is_judged_again(store: SqlStore) -> None:
    listed(store, deployment())
    assert uncovered(store, "web")
    following = follower(store)
    place = {
        "requestURI": "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/deny",
        "objectRef": {"resource": "networkpolicies", "namespace": "shop", "name": "deny", "apiGroup": "networking.k8s.io", "apiVersion": "v1"},
    }  # fmt: skip
    now = T0 + timedelta(minutes=1)
    following.take(events(event("create", POLICY, **place)), now)
    following.flush(now)
    assert not uncovered(store, "web")
    following.take(events(event("delete", None, minutes=2, **place)), now + timedelta(minutes=1))
    following.flush(now + timedelta(minutes=1))
    assert uncovered(store, "web")
