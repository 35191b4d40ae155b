"""Push notifications of eight registries."""

from __future__ import annotations

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.domain.errors import MalformedEvent
from seawall.oci.notifications import jfrog_signature_holds, parse_notification

DIGEST = "sha256:" + "1" * 64
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
KINDS = ("acr", "eventgrid", "ecr", "gar", "distribution", "harbor", "jfrog", "dockerhub")


def target(**more: object) -> dict[str, object]:
    return {
        "mediaType": MANIFEST,
        "size": 10,
        "digest": DIGEST,
        "length": 10,
        "repository": "shop/api",
        "tag": "1.4.2",
    } | more


def pushed(host: str = "acmereg.azurecr.io", **more: object) -> dict[str, object]:
    event = {"id": "e1", "timestamp": "2026-11-02T09:14:07.123456789Z", "action": "push", "target": target()}
    return event | {"request": {"id": "r", "host": host, "method": "PUT"}} | more


def grid(kind: str = "Microsoft.ContainerRegistry.ImagePushed", data: object = None) -> dict[str, object]:
    return {"id": "g1", "eventType": kind, "subject": "ignored:it", "data": pushed() if data is None else data}


def ecr(**detail: object) -> dict[str, object]:
    full = {
        "result": "SUCCESS",
        "repository-name": "shop/api",
        "image-digest": DIGEST,
        "action-type": "PUSH",
        "image-tag": "1.4.2",
    } | detail
    return {
        "id": "x",
        "detail-type": "ECR Image Action",
        "account": "123456789012",
        "region": "eu-west-1",
        "time": "2026-11-02T09:20:00Z",
        "detail": full,
    }


GAR = "europe-west1-docker.pkg.dev/acme-prod/shop/api"


def gar(**more: object) -> dict[str, object]:
    data = {"action": "INSERT", "digest": f"{GAR}@{DIGEST}", "tag": f"{GAR}:1.4.2"} | more
    return {
        "message": {"data": base64.b64encode(json.dumps(data).encode()).decode(), "messageId": "m"},
        "subscription": "s",
    }


def harbor(**resource: object) -> dict[str, object]:
    full = {"digest": DIGEST, "tag": "1.4.2", "resource_url": "harbor.acme.example/shop/api:1.4.2"} | resource
    repository = {"name": "api", "repo_full_name": "shop/api"}
    return {
        "type": "PUSH_ARTIFACT",
        "occur_at": 1793600000,
        "operator": "ci",
        "event_data": {"resources": [full], "repository": repository},
    }


def jfrog(**data: object) -> dict[str, object]:
    full = {
        "repo_key": "docker-local",
        "name": "manifest.json",
        "sha256": "1" * 64,
        "image_name": "shop/api",
        "tag": "1.4.2",
    } | data
    return {"domain": "docker", "event_type": "pushed", "data": full}


HUB = {"push_data": {"pushed_at": 1793600000, "pusher": "u", "tag": "1.4.2"}, "repository": {"repo_name": "acme/api"}}


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        pytest.param("acr", pushed(), f"acmereg.azurecr.io/shop/api:1.4.2@{DIGEST}", id="acr"),
        pytest.param("acr", pushed(target=target(tag=None)), f"acmereg.azurecr.io/shop/api@{DIGEST}", id="acr by digest"),
        pytest.param("eventgrid", [grid()], f"acmereg.azurecr.io/shop/api:1.4.2@{DIGEST}", id="event grid"),
        pytest.param(
            "eventgrid", {"specversion": "1.0", "id": "c", "type": "Microsoft.ContainerRegistry.ImagePushed", "data": pushed()},
            f"acmereg.azurecr.io/shop/api:1.4.2@{DIGEST}", id="event grid as CloudEvent",
        ),
        pytest.param("ecr", ecr(), f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api:1.4.2@{DIGEST}", id="ecr"),
        pytest.param("gar", gar(), f"{GAR}:1.4.2@{DIGEST}", id="artifact registry"),
        pytest.param("gar", gar(tag=None), f"{GAR}@{DIGEST}", id="artifact registry untagged"),
        pytest.param("distribution", {"events": [pushed("registry.example:5050")]}, f"registry.example:5050/shop/api:1.4.2@{DIGEST}", id="distribution"),
        pytest.param("harbor", harbor(), f"harbor.acme.example/shop/api:1.4.2@{DIGEST}", id="harbor"),
        pytest.param("harbor", harbor(tag=DIGEST), f"harbor.acme.example/shop/api@{DIGEST}", id="harbor by digest"),
        pytest.param("jfrog", jfrog(), f"jfrog.example/docker-local/shop/api:1.4.2@{DIGEST}", id="jfrog"),
        pytest.param("dockerhub", HUB, "docker.io/acme/api:1.4.2", id="docker hub has no digest"),
    ],
)  # fmt: skip
def test_a_push(kind, document, expected) -> None:
    (push,) = parse_notification(kind, {"X-JFrog-Registry": "jfrog.example"}, json.dumps(document).encode()).pushes
    assert str(push.reference) == expected


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        pytest.param("acr", pushed(action="delete"), id="acr delete"),
        pytest.param("acr", {"id": "p", "action": "ping"}, id="acr ping"),
        pytest.param("eventgrid", [grid("Microsoft.ContainerRegistry.ChartPushed")], id="chart"),
        pytest.param("ecr", ecr(**{"action-type": "DELETE"}), id="ecr delete"),
        pytest.param("ecr", ecr(result="FAILURE"), id="ecr failure"),
        pytest.param("ecr", ecr() | {"detail-type": "ECR Image Scan"}, id="ecr scan"),
        pytest.param("gar", gar(action="DELETE"), id="artifact registry delete"),
        pytest.param(
            "distribution", {"events": [pushed(target=target(mediaType="application/octet-stream"))]}, id="blob"
        ),
        pytest.param("distribution", {"events": [pushed(action="pull")]}, id="pull"),
        pytest.param(
            "distribution", {"events": [pushed(target=target(tag=f"sha256-{'1' * 64}.att"))]}, id="attestation tag"
        ),
        pytest.param("distribution", {"events": [pushed(target=target(tag=f"sha256-{'1' * 64}"))]}, id="referrers tag"),
        pytest.param("harbor", harbor() | {"type": "PULL_ARTIFACT"}, id="harbor pull"),
        pytest.param("jfrog", jfrog() | {"event_type": "deleted"}, id="jfrog delete"),
        pytest.param("jfrog", jfrog(name="layer.tar"), id="jfrog layer"),
    ],
)
def test_everything_else_is_passed_over(kind, document) -> None:
    assert parse_notification(kind, {"Origin": "https://jfrog.example"}, json.dumps(document).encode()).pushes == ()


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        pytest.param("acr", b"{", "byte", id="not JSON"),
        pytest.param("acr", b"[" * 100_000, "", id="nested without end"),
        pytest.param("quay", b"{}", "path", id="unknown registry"),
        pytest.param("distribution", b'{"events":{}}', "/events", id="not a list"),
        pytest.param(
            "distribution",
            json.dumps({"events": [pushed(target=target(digest="sha256:x"))]}).encode(),
            "/events/0/target/digest",
            id="digest",
        ),
        pytest.param("acr", json.dumps(pushed(request={})).encode(), "/request/host", id="no host"),
        pytest.param("ecr", json.dumps(ecr() | {"account": "x"}).encode(), "account", id="account"),
        pytest.param("gar", b'{"message":{"data":"%%%"}}', "/message/data", id="not base64"),
        pytest.param("jfrog", json.dumps(jfrog()).encode(), "headers", id="jfrog without registry"),
    ],
)
def test_malformed_notifications_say_where(kind, body, where) -> None:
    with pytest.raises(MalformedEvent) as caught:
        parse_notification(kind, {}, body)
    assert where in caught.value.where


def test_repeats_in_one_notification_are_one_push() -> None:
    body = json.dumps({"events": [pushed(), pushed()]}).encode()
    assert len(parse_notification("distribution", {}, body).pushes) == 1


def test_event_grid_handshake() -> None:
    body = json.dumps([{"id": "v", "data": {"validationCode": "512d"}}]).encode()
    notification = parse_notification("eventgrid", {"aeg-event-type": "SubscriptionValidation"}, body)
    assert notification.answer == {"validationResponse": "512d"}


@pytest.mark.parametrize(
    ("shown", "holds"),
    [("secret", True), ("secreu", False), ("", False), ("b" * 64, False), ("3a6a3d26a2d0d5d4fd5fc9bc9ba9b39d", False)],
)
def test_jfrog_shows_the_secret(shown, holds) -> None:
    assert jfrog_signature_holds("secret", shown, b"{}") is holds


def test_jfrog_signs_the_body() -> None:
    import hashlib
    import hmac

    signed = hmac.new(b"secret", b'{"a":1}', hashlib.sha256).hexdigest()
    assert jfrog_signature_holds("secret", signed, b'{"a":1}')
    assert not jfrog_signature_holds("secret", signed, b'{"a":2}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda c: (
        st.lists(c, max_size=4)
        | st.dictionaries(
            st.sampled_from(["events", "target", "action", "data", "message", "detail", "id", "x"]), c, max_size=5
        )
    ),
)


@given(st.sampled_from(KINDS), st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bodies_give_pushes_or_malformed(kind, body) -> None:
    with suppress(MalformedEvent):
        parse_notification(kind, {}, body)
