"""Plans: what they change, that their inverse restores, what they refuse. No cluster."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.domain.alerts import Alert, Entity, EntityKind, Incident
from seawall.domain.errors import InputError
from seawall.domain.responses import Current, Request
from seawall.domain.severity import Severity
from seawall.response.action import cluster_role, plan
from seawall.response.kubectl import command
from seawall.response.offers import actions, offers
from seawall.response.pods import LABEL

T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
PATH = "/api/v1/namespaces/shop/pods/web-1"
DIGEST = "sha256:" + "a" * 64


def pod(**spec: Any) -> dict[str, Any]:
    meta = {"name": "web-1", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"}, "creationTimestamp": "2026-11-02T09:00:00Z"}  # fmt: skip
    return {"kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "c"}], **spec}}


def current(body: dict[str, Any], kind: str = "Pod", **more: Any) -> Current:
    target = {
        "Pod": Entity(EntityKind.POD, "shop/web-1", "prod"),
        "Node": Entity(EntityKind.NODE, "node-1", "prod"),
    }.get(kind, Entity(EntityKind.WORKLOAD, "shop/web", "prod"))
    return Current(target, PATH, kind, body, **more)


def patched(body: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply a JSON patch as RFC 6902 says, but for `test` of an absent member with null, which API servers let pass."""
    body = copy.deepcopy(body)
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place = body
        for part in way:
            place = place[part]
        if operation["op"] == "test":
            assert place.get(last) == operation["value"], operation
        elif operation["op"] == "remove":
            del place[last]
        else:
            place[last] = operation["value"]
    return body


KEYS = st.sampled_from(["app", "tier", "pod-template-hash", "a/b", "x~y", LABEL])


@pytest.mark.parametrize(
    ("action", "kind"), [("isolate-pod", "Pod"), ("quarantine-pod", "Pod"), ("cordon-node", "Node"), ("stop-workload", "CronJob")]
)  # fmt: skip
@given(
    labels=st.none() | st.dictionaries(KEYS, st.text("ab1", max_size=3), max_size=4),
    field=st.sampled_from([None, False]),
)
def test_the_inverse_restores_and_a_second_time_changes_nothing(
    action: str, kind: str, labels: dict[str, str] | None, field: bool | None
) -> None:
    body = pod() | {"kind": kind}
    body["metadata"]["labels"] = labels
    if labels is None:
        del body["metadata"]["labels"]
    if field is not None:
        body["spec"] |= {"unschedulable": field, "suspend": field}
    made = plan(actions()[action], current(body, kind))
    after = body
    for change in made.changes:
        if change.do.method == "PATCH":
            after = patched(after, change.do.body)
    policies = tuple(change.do.body for change in made.changes if change.do.method == "POST")
    again = plan(actions()[action], current(after, kind, policies=policies))
    assert (again.done, again.changes) == (True, ())
    for change in reversed(made.changes):
        assert change.undo is not None
        if change.undo.method == "PATCH":
            after = patched(after, change.undo.body)
        else:
            assert change.undo.path == f"{change.do.path}/{change.do.body['metadata']['name']}"
    assert after == body


@pytest.mark.parametrize("action", sorted(set(actions()) - {"deny-image"}))
def test_every_request_is_bound_to_the_object_that_was_looked_at(action: str) -> None:
    kind = {"node": "Node", "workload": "Deployment", "pod": "Pod"}[actions()[action].on.value]
    made = plan(actions()[action], current(pod(replicas=3), kind))
    assert made.changes
    for request in [part for change in made.changes for part in (change.do, change.undo) if part]:
        if request.method == "PATCH":
            assert request.body[0] == {"op": "test", "path": "/metadata/uid", "value": "u-1"}
        else:
            assert "u-1" in f"{request.path}{request.body}"


def test_the_policy_selects_this_pod_and_allows_nothing() -> None:
    (label, policy) = plan(actions()["isolate-pod"], current(pod())).changes
    assert patched(pod(), label.do.body)["metadata"]["labels"] == {"app": "web", LABEL: "u-1"}
    assert policy.do.body["spec"] == {
        "podSelector": {"matchLabels": {LABEL: "u-1"}},
        "policyTypes": ["Ingress", "Egress"],
    }


def allowing(selector: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "open"}, "spec": {"podSelector": selector, **spec}}


@pytest.mark.parametrize(
    ("policy", "action", "refused"),
    [
        pytest.param(allowing({"matchLabels": {"app": "web"}}, ingress=[{}]), "isolate-pod", True, id="allows ingress"),
        pytest.param(allowing({"matchLabels": {"app": "web"}}, egress=[{}]), "isolate-pod", True, id="allows egress"),
        pytest.param(allowing({"matchLabels": {"app": "web"}}), "isolate-pod", False, id="allows nothing"),
        pytest.param(allowing({"matchLabels": {"app": "db"}}, ingress=[{}]), "isolate-pod", False, id="another pod"),
        pytest.param(allowing({"matchLabels": {"app": "web"}}, ingress=[{}]), "quarantine-pod", False, id="label gone"),
        pytest.param(allowing({}, ingress=[{}]), "quarantine-pod", True, id="selects all"),
    ],
)
def test_a_policy_that_would_go_on_to_allow_is_named(policy: dict[str, Any], action: str, refused: bool) -> None:
    made = plan(actions()[action], current(pod(), policies=(policy,)))
    assert bool([why for why in made.refusals if "NetworkPolicy open" in why]) is refused


def in_meta(**meta: Any) -> dict[str, Any]:
    body = pod()
    body["metadata"] |= meta
    return body


@pytest.mark.parametrize("action", ["isolate-pod", "quarantine-pod", "terminate-pod"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(in_meta(namespace="kube-system"), "platform's", id="kube-system"),
        pytest.param(in_meta(namespace="openshift-dns"), "platform's", id="openshift"),
        pytest.param(in_meta(labels={"app.kubernetes.io/name": "seawall-sensor"}), "part of Seawall", id="our own"),
        pytest.param(in_meta(creationTimestamp="2026-11-02T09:30:01Z"), "another one of that name", id="made later"),
        pytest.param(pod(), "", id="an ordinary pod"),
    ],
)
def test_what_is_refused_by_default(action: str, body: dict[str, Any], says: str) -> None:
    refused = plan(actions()[action], current(body, seen_at=T0)).refusals
    assert (says in " ".join(refused)) if says else not refused


def test_a_node_of_the_control_plane_is_refused() -> None:
    body = in_meta(labels={"node-role.kubernetes.io/control-plane": ""})
    assert plan(actions()["cordon-node"], current(body, "Node")).refusals


@pytest.mark.parametrize(
    ("action", "body", "kind"),
    [
        pytest.param("isolate-pod", pod(hostNetwork=True), "Pod", id="host network"),
        pytest.param("quarantine-pod", pod(hostNetwork=True), "Pod", id="quarantine on the host network"),
        pytest.param("terminate-pod", in_meta(annotations={"kubernetes.io/config.mirror": "x"}), "Pod", id="static"),
        pytest.param("stop-workload", pod(), "DaemonSet", id="daemon set"),
    ],
)
def test_what_cannot_be_done_says_what_can(action: str, body: dict[str, Any], kind: str) -> None:
    with pytest.raises(InputError) as raised:
        plan(actions()[action], current(body, kind))
    assert raised.value.hint


ALERT = Alert(
    "alert-1", "RT-1", "t", "m", Severity.HIGH, (), T0, T0, "runtime", cluster="prod",
    entities=(
        Entity(EntityKind.POD, "shop/web-1", "prod"), Entity(EntityKind.WORKLOAD, "shop/web", "prod"),
        Entity(EntityKind.NODE, "node-1", "prod"), Entity(EntityKind.IMAGE, "r.example/web:1"),
        Entity(EntityKind.POD, "kube-system/dns", "prod"), Entity(EntityKind.POD, "no-namespace", "prod"),
    ),
    context={"image_digest": DIGEST},
)  # fmt: skip


def test_offers_are_what_fits_and_nothing_of_the_platform() -> None:
    incident = Incident("incident-1", "t", Severity.HIGH, T0, T0, ("alert-1",), entities=ALERT.entities)
    found = {(offer.action, offer.target.id) for offer in offers(incident, [ALERT])}
    assert found == {
        ("isolate-pod", "shop/web-1"), ("quarantine-pod", "shop/web-1"), ("terminate-pod", "shop/web-1"),
        ("stop-workload", "shop/web"), ("cordon-node", "node-1"), ("deny-image", DIGEST),
    }  # fmt: skip


def test_names_in_a_command_are_quoted() -> None:
    hostile = replace(ALERT, id="a;b", entities=(Entity(EntityKind.POD, "x/y; reboot", "prod"),), context={})
    assert {offer.command.partition(" --action")[0] for offer in offers(hostile)} == {"seawall respond 'a;b'"}
    assert all("'x/y; reboot'" in offer.command for offer in offers(hostile))


def test_a_role_grants_what_its_action_needs_and_no_more() -> None:
    rules = cluster_role(actions()["isolate-pod"])["rules"]
    assert {name for rule in rules for name in rule["resources"]} == {"pods", "networkpolicies"}
    assert not {"*", "update", "deletecollection"} & {verb for rule in rules for verb in rule["verbs"]}


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        pytest.param(PATH, "kubectl patch pods web-1 -n shop --type=json -p ", id="core"),
        pytest.param("/apis/apps/v1/namespaces/shop/deployments/web/scale", "kubectl patch deployments web -n shop --subresource=scale ", id="scale"),
        pytest.param("/api/v1/nodes/node-1", "kubectl patch nodes node-1 --type=json -p ", id="cluster-wide"),
    ],
)  # fmt: skip
def test_a_plan_as_kubectl_commands(path: str, begins: str) -> None:
    assert command(Request("PATCH", path, [])).startswith(begins)


def test_an_image_is_denied_once() -> None:
    target = Entity(EntityKind.IMAGE, DIGEST)
    assert plan(actions()["deny-image"], Current(target)).changes
    assert plan(actions()["deny-image"], Current(target, denied=frozenset({DIGEST}))).done


def test_a_pod_that_ends_already_is_left_alone() -> None:
    assert plan(actions()["terminate-pod"], current(in_meta(deletionTimestamp="2026-11-02T09:30:00Z"))).done
