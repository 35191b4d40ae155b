"""What API servers ask."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.admission.review import WARNINGS_CHARACTERS, Answer, read, write
from seawall.domain.errors import MalformedEvent


def review(obj: Any, kind: str = "Pod", group: str = "", operation: str = "CREATE", old: Any = None) -> bytes:
    request = {
        "uid": "u-1", "kind": {"group": group, "version": "v1", "kind": kind}, "operation": operation, "namespace": "shop",
        "userInfo": {"username": "alice"}, "object": obj, "oldObject": old, "dryRun": False, "options": {"x": 1},
    }  # fmt: skip
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


POD = {
    "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}],
    "initContainers": [{"image": "i:1"}],
}
TEMPLATE = {"spec": {"template": {"metadata": {}, "spec": POD}}}


@pytest.mark.parametrize(
    ("body", "images"),
    [
        pytest.param(review({"spec": POD}), ("i:1", "a:1", "b:1"), id="pod"),
        pytest.param(review({"spec": POD | {"initContainers": None}}), ("a:1", "b:1"), id="null list"),
        pytest.param(
            review({"spec": POD | {"ephemeralContainers": [{"image": "debug"}]}}, old={"spec": POD}, operation="UPDATE"),
            ("debug",),
            id="kubectl debug",
        ),
        pytest.param(review({"spec": {"volumes": [{"image": {"reference": "v:1"}}, {"emptyDir": {}}]}}), ("v:1",), id="image volume"),
        pytest.param(review(TEMPLATE, "Deployment", "apps"), ("i:1", "a:1", "b:1"), id="deployment"),
        pytest.param(review({"spec": {"jobTemplate": TEMPLATE}}, "CronJob", "batch"), ("i:1", "a:1", "b:1"), id="cron job"),
        pytest.param(review({"template": {"spec": POD}}, "PodTemplate"), ("i:1", "a:1", "b:1"), id="pod template"),
        pytest.param(review(TEMPLATE, "Deployment", "apps", "UPDATE", TEMPLATE), (), id="label edited"),
        pytest.param(review(None, operation="DELETE", old={"spec": POD}), (), id="deleted"),
        pytest.param(review({"spec": {"replicas": 3}}, "Scale", "autoscaling", "UPDATE"), (), id="scaled"),
        pytest.param(review({"spec": {"template": "text"}}, "Thing", "example.org"), (), id="somebody else's kind"),
    ],
)  # fmt: skip
def test_images_of_a_review(body: bytes, images: tuple[str, ...]) -> None:
    asked = read(body)
    assert asked.images == images
    assert (asked.uid, asked.namespace, asked.user) == ("u-1", "shop", "alice")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 200_000,
        review({"spec": {"containers": "no list"}}),
        review({"spec": POD}).replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
        b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}',
        b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}',
        review({"spec": {"containers": [{"image": f"x:{number}"} for number in range(1001)]}}),
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read(body)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    with suppress(MalformedEvent):
        read(body)


def test_an_answer_keeps_to_what_an_api_server_takes() -> None:
    answer = json.loads(write("u-1", Answer(False, ("r" * 9000,), tuple(f"{number}" * 300 for number in range(99)))))
    response = answer["response"]
    assert (answer["kind"], response["uid"], response["allowed"]) == ("AdmissionReview", "u-1", False)
    assert len(response["status"]["message"]) <= 4000
    assert max(map(len, response["warnings"])) <= 256
    assert sum(map(len, response["warnings"])) <= WARNINGS_CHARACTERS
