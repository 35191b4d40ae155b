"""Every form that a source delivers is recognised by itself, and none of them raises."""

from __future__ import annotations

import base64
import gzip
import io
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.detection.sources.files import read_log
from seawall.detection.sources.recognise import decode
from seawall.domain.audit_events import AuditEvent, CloudActivity, RegistryEvent

from tests.detection.events import aks, audit, eks, gke


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(dump(value))).decode()


RESOURCE = "/SUBSCRIPTIONS/0/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/AKS-PROD"


def row(event: dict[str, Any], *, as_text: bool = False) -> dict[str, Any]:
    """The event as a row of the table AKSAudit; `as_text`: its dynamic columns as JSON in texts, one left out for its size."""
    columns = {"AuditId": "auditID", "Stage": "stage", "Verb": "verb", "RequestUri": "requestURI", "User": "user", "SourceIps": "sourceIPs",
               "UserAgent": "userAgent", "ObjectRef": "objectRef", "ResponseStatus": "responseStatus", "RequestReceivedTime": "requestReceivedTimestamp"}  # fmt: skip
    found = {column: event[name] for column, name in columns.items() if name in event}
    if as_text:
        found = {column: value if isinstance(value, str) else json.dumps(value) for column, value in found.items()}
        found["RequestObject"] = "skipped-too-big-size-object"
    return found | {"Type": "AKSAudit", "TimeGenerated": "2026-11-02T09:30:00Z", "_ResourceId": RESOURCE.lower()}


FORMS = [
    pytest.param(dump(audit(name="a")), 1, "", id="one event"),
    pytest.param(dump({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [audit(name="a"), audit(name="a")]}), 2, "", id="EventList"),
    pytest.param(dump([audit(name="a"), audit(name="a")]), 2, "", id="list of events"),
    pytest.param(dump(aks(audit(name="a"), audit(name="a"))), 2, "aks-prod", id="AKS, log as text"),
    pytest.param(dump(aks(audit(name="a"), as_object=True)), 1, "aks-prod", id="AKS, log as object"),
    pytest.param(dump([aks(audit(name="a")), aks(audit(name="a"))]), 2, "aks-prod", id="list of AKS messages"),
    pytest.param(dump(eks(audit(name="a"))), 1, "prod", id="EKS document"),
    pytest.param(dump({"awslogs": {"data": packed(eks(audit(name="a")))}}), 1, "prod", id="EKS to Lambda"),
    pytest.param(gzip.compress(dump(eks(audit(name="a")))), 1, "prod", id="EKS gzip"),
    pytest.param(packed(eks(audit(name="a"))).encode(), 1, "prod", id="EKS gzip, base64"),
    pytest.param(dump({"Records": [{"kinesis": {"data": packed(eks(audit(name="a")))}}]}), 1, "prod", id="Kinesis"),
    pytest.param(dump({"records": [{"recordId": "1", "data": packed(eks(audit(name="a")))}]}), 1, "prod", id="Firehose"),
    pytest.param(dump(gke("io.k8s.core.v1.pods.create", "core/v1/namespaces/shop/pods/a")), 1, "gke-prod", id="GKE entry"),
    pytest.param(dump({"message": {"data": base64.b64encode(dump(gke("io.k8s.core.v1.pods.create", "core/v1/namespaces/shop/pods/a"))).decode()}}), 1, "gke-prod", id="Pub/Sub"),
    pytest.param(dump({"log": json.dumps(audit(name="a"))}), 1, "", id="wrapped by a log shipper"),
    pytest.param(dump({"records": [record | {"properties": json.dumps(record["properties"])} for record in aks(audit(name="a"))["records"]]}), 1, "aks-prod", id="AKS, properties as text"),
    pytest.param(dump(row(audit(name="a"))), 1, "aks-prod", id="row of AKSAudit"),
    pytest.param(dump({"records": [row(audit(name="a"), as_text=True)]}), 1, "aks-prod", id="exported row of AKSAudit, values as text"),
    pytest.param(dump({"Category": "kube-audit", "log_s": json.dumps(audit(name="a")), "ResourceId": RESOURCE}), 1, "aks-prod", id="row of AzureDiagnostics"),
    pytest.param(dump({"events": [{"timestamp": 1, "message": json.dumps(audit(name="a"))}], "nextForwardToken": "f/1"}), 1, "", id="printed by aws logs get-log-events"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "count", "cluster"), FORMS)
def test_forms(data, count, cluster):
    batch = decode(data)
    assert not batch.rejects
    assert [type(event) for event in batch.events] == [AuditEvent] * count
    assert {(event.verb, event.name, event.cluster) for event in batch.events} == {("create", "a", cluster)}
    assert [event.index for event in batch.events] == list(range(count))


@pytest.mark.parametrize(
    ("method", "name", "expected"),
    [
        ("io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/shop/pods/api-1/exec", ("create", "pods/exec", "shop", "api-1", 101)),
        ("io.k8s.authorization.rbac.v1.clusterrolebindings.create", "rbac.authorization.k8s.io/v1/clusterrolebindings/x", ("create", "clusterrolebindings", "", "x", 200)),
        ("io.k8s.core.v1.secrets.list", "core/v1/namespaces/shop/secrets", ("list", "secrets", "shop", "", 200)),
        ("io.k8s.core.v1.secrets.list", "core/v1/secrets", ("list", "secrets", "", "", 200)),
        ("io.k8s.core.v1.namespaces.delete", "core/v1/namespaces/shop", ("delete", "namespaces", "shop", "shop", 200)),
        ("io.k8s.core.v1.nodes.proxy.get", "core/v1/nodes/n1/proxy", ("get", "nodes/proxy", "", "n1", 200)),
    ],
)  # fmt: skip
def test_gke_mapping(method, name, expected):
    event = decode(dump(gke(method, name))).events[0]
    assert (event.verb, event.resource, event.namespace, (event.object_ref.name or ""), event.code) == expected


def test_gke_refusal():
    assert decode(dump(gke("io.k8s.core.v1.pods.create", "core/v1/namespaces/a/pods/b", code=7))).events[0].code == 403


def test_other_categories_are_passed_over():
    batch = decode(dump(aks({"not": "audit"}, category="kube-controller-manager") | {}))
    assert (len(batch.events), batch.skipped, batch.rejects) == (0, 1, [])
    batch = decode(dump(eks(audit(), stream="kube-scheduler-1")))
    assert (len(batch.events), batch.skipped, batch.rejects) == (0, 1, [])
    assert decode(dump({"messageType": "CONTROL_MESSAGE", "logEvents": []})).skipped == 1


def test_one_cut_off_record_costs_only_itself():
    message = aks(audit(name="a"), audit(name="b"))
    message["records"][0]["properties"]["log"] = message["records"][0]["properties"]["log"][:200]
    batch = decode(dump(message))
    assert [event.name for event in batch.events] == ["b"]
    assert [(reject.reason, reject.index) for reject in batch.rejects] == [("not_json", 0)]
    assert batch.events[0].index == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(dump(audit())[:300], "not_json", id="cut off"),
        pytest.param(b"[" * 200_000, "too_deep", id="deep list"),
        pytest.param(b'{"a":' * 100_000, "too_deep", id="deep object"),
        pytest.param(b'{"kind":"Event","verb":"get","requestObject":' + b"[" * 100_000, "too_deep", id="deep body"),
        pytest.param(b"\0\0\0", "not_json", id="NULs"),
        pytest.param(b"", "not_json", id="nothing"),
        pytest.param(b"true", "wrong_type", id="a word"),
        pytest.param(b"{}", "unknown_format", id="empty object"),
        pytest.param(dump({"awslogs": {"data": "!!!"}}), "bad_compression", id="not base64"),
        pytest.param(dump({"awslogs": {"data": base64.b64encode(gzip.compress(b"\0" * (65 << 20), 1)).decode()}}), "decompression_limit", id="gzip bomb in a field"),
        pytest.param(gzip.compress(b"\0" * (65 << 20), 1), "decompression_limit", id="gzip bomb"),
        pytest.param(gzip.compress(b"x" * 1000)[:-20], "bad_compression", id="cut-off gzip"),
    ],
)  # fmt: skip
def test_hostile_input_is_a_counted_reject(data, reason):
    start = time.monotonic()
    batch = decode(data)
    assert time.monotonic() - start < 5
    assert batch.events == []
    assert reason in batch.rejected


def test_wrong_types_keep_the_event():
    odd = audit(name="a") | {
        "userAgent": 5,
        "sourceIPs": ["1.2.3.4", 7, None],
        "user": {"username": "u", "groups": "x"},
        "responseStatus": {"code": "201"},
    }
    batch = decode(dump(odd))
    assert not batch.rejects
    event = batch.events[0]
    assert (event.actor, event.source_ips, event.code, event.name) == ("u", ["1.2.3.4"], 201, "a")


def test_fields_of_ours_are_not_taken_from_the_line():
    line = dump(
        audit(name="a")
        | {"seawall:file": "/etc/passwd", "seawall:index": 7, "seawall:request": [1], "seawall:views": {"a": 1}}
    )
    event = decode(line, file="f").events[0]
    assert (event.file, event.index, event.request_body) == ("f", 0, None)
    assert decode(dump(audit(name="a") | {"seawall:views": {"a": 1}})).events[0].views_cache is None


def test_invalid_utf8_is_replaced():
    event = decode(dump(audit(name="a")).replace(b"kubectl/", b"kube\xff\xfe/")).events[0]
    assert event.agent.startswith("kube\ufffd")


@settings(max_examples=200)
@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_give_events_or_rejects(data):
    decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.sampled_from(
        ["kind", "items", "records", "Records", "properties", "log", "logEvents", "message", "awslogs", "data", "protoPayload", "operation", "methodName", "verb",
         "user", "objectRef", "requestObject", "http", "events", "eventSource", "eventName", "category", "detail", "detail-type", "request", "auditID"]), children, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300)
@given(json_values)
def test_arbitrary_json_gives_events_or_rejects(value):
    decode(dump(value))


def test_files_lines_and_documents():
    lines = b"\n".join([dump(audit(name="a")), b"{broken", dump(audit(name="c"))]) + b"\n"
    for data in (lines, gzip.compress(lines)):
        events, last = [], None
        for batch in read_log(io.BytesIO(data), file="x"):
            events += [(event.name, event.index) for event in batch.events]
            last = batch
        assert events == [("a", 0), ("c", 2)]
        assert last.rejected == {"not_json": 1}
    pretty = json.dumps(aks(audit(name="a"), audit(name="b")), indent=1).encode()
    assert [e.name for b in read_log(io.BytesIO(pretty)) for e in b.events] == ["a", "b"]
    twice = b"\n".join(json.dumps(audit(name=n), indent=2).encode() for n in "ab")
    assert [e.name for b in read_log(io.BytesIO(twice)) for e in b.events] == ["a", "b"]


def test_a_line_without_end_is_one_reject():
    data = b'{"a":"' + b"x" * (40 << 20) + b"\n" + dump(audit(name="b")) + b"\n"
    names, last = [], None
    for batch in read_log(io.BytesIO(dump(audit(name="a")) + b"\n" + data)):
        names += [event.name for event in batch.events]
        last = batch
    assert names == ["a", "b"]
    assert last.rejected == {"too_large": 1}


def test_a_log_that_was_truncated_under_its_writer():
    """It begins with NULs, as many as were there before; a record is behind them, on the same line."""
    line = json.dumps(audit("create", "pods", ns="shop")).encode()
    for start in (b"\0" * 5, b"\0" * 70_000 + b"\n", b"\n" * 70_000):
        found = [len(batch.events) for batch in read_log(io.BytesIO(start + line + b"\n\0\0" + line))]
        assert sum(found) == 2


def test_a_list_is_read_up_to_a_number_of_records(monkeypatch):
    monkeypatch.setattr("seawall.detection.sources.recognise.MAX_RECORDS", 3)
    batch = decode(json.dumps({"kind": "EventList", "items": [audit("get", "pods") for _ in range(5)]}).encode())
    assert len(batch.events) == 3
    assert batch.rejected == {"too_large": 1}


def test_cloud_and_registry_logs():
    trail = {"eventVersion": "1.09", "eventSource": "eks.amazonaws.com", "eventName": "AssociateAccessPolicy", "eventTime": "2026-11-02T09:30:00Z", "eventID": "e1",
             "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/eve"}, "requestParameters": {"name": "prod"}}  # fmt: skip
    for form in (
        trail,
        {"Records": [trail]},
        {"detail-type": "AWS API Call via CloudTrail", "source": "aws.eks", "detail": trail},
    ):
        event = decode(dump(form)).events[0]
        assert isinstance(event, CloudActivity)
        assert (event.operation, event.cluster, event.actor) == (
            "eks:associateaccesspolicy",
            "prod",
            "arn:aws:iam::1:user/eve",
        )
    notice = {
        "events": [
            {
                "id": "1",
                "action": "push",
                "target": {"repository": "app", "tag": "1", "digest": "sha256:1"},
                "request": {"addr": "10.0.0.1:5", "host": "r.example"},
            }
        ]
    }
    event = decode(dump(notice)).events[0]
    assert isinstance(event, RegistryEvent)
    assert (event.action, event.registry, event.repository, event.source_ip) == ("push", "r.example", "app", "10.0.0.1")


def test_webhooks_of_registries():
    resource = {"digest": "sha256:1", "tag": "1", "resource_url": "harbor.example/shop/app:1"}
    harbor = {"type": "DELETE_ARTIFACT", "occur_at": 1_780_000_000, "operator": "eve",
              "event_data": {"resources": [resource, resource | {"digest": "sha256:2"}], "repository": {"repo_full_name": "shop/app"}}}  # fmt: skip
    batch = decode(dump(harbor))
    assert [(event.action, event.registry, event.repository, event.digest, event.actor) for event in batch.events] == [
        ("delete", "harbor.example", "shop/app", "sha256:1", "eve"),
        ("delete", "harbor.example", "shop/app", "sha256:2", "eve"),
    ]
    assert len({event.id for event in batch.events}) == 2
    version = {"version": "sha256:3", "container_metadata": {"tag": {"name": "v1", "digest": "sha256:3"}}}
    package = {"name": "App", "namespace": "Acme", "package_type": "CONTAINER", "package_version": version}
    event = decode(dump({"action": "published", "registry_package": package, "sender": {"login": "eve"}})).events[0]
    assert (event.action, event.registry, event.repository, event.tag, event.digest) == ("push", "ghcr.io", "acme/app", "v1", "sha256:3")  # fmt: skip
    npm = {"action": "published", "registry_package": package | {"package_type": "npm"}}
    assert decode(dump(npm)).events == []


def test_truncation_anywhere_never_raises():
    data = dump(aks(audit(name="a", body={"x": [1, 2, {"y": "z"}]})))
    rng = random.Random(7)
    for _ in range(300):
        decode(data[: rng.randrange(len(data))])
