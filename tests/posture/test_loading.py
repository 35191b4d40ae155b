"""Every form of input, and every way in which it can be bad: a note, and the rest is judged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.domain.errors import NotFound
from seawall.posture.loading import Loaded, load, load_bytes
from seawall.posture.yaml_reader import documents

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n"


def read(data: str | bytes, name: str = "f.yaml") -> Loaded:
    loaded = Loaded()
    load_bytes(data.encode() if isinstance(data, str) else data, loaded, name)
    return loaded


def kinds(loaded: Loaded) -> list[str]:
    return [obj.kind for obj in loaded.objects]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(POD + "---\n" + POD.replace("Pod", "Service"), ["Pod", "Service"], id="two documents"),
        pytest.param("# Source: chart/x.yaml\n---\n\n---\n" + POD, ["Pod"], id="rendered Helm with empty documents"),
        pytest.param("\ufeff" + POD, ["Pod"], id="byte order mark"),
        pytest.param(json.dumps({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Pod", "apiVersion": "v1"}]}), ["Pod"], id="List"),
        pytest.param(json.dumps({"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]}), ["Pod"], id="PodList without kinds"),
        pytest.param(json.dumps([{"kind": "Pod", "apiVersion": "v1"}]), ["Pod"], id="array"),
        pytest.param('{"kind":"Pod","apiVersion":"v1"}\n{"kind":"Service","apiVersion":"v1"}', ["Pod", "Service"], id="JSON lines"),
        pytest.param("{kind: Pod, apiVersion: v1}", ["Pod"], id="YAML flow style"),
        pytest.param("kind: Widget\napiVersion: example.com/v1\nmetadata: {name: w}\n", ["Widget"], id="custom resource"),
        pytest.param("base: &a {x: 1}\nkind: ConfigMap\napiVersion: v1\ndata: {<<: *a}\n", ["ConfigMap"], id="anchors and merge"),
        pytest.param(json.dumps({"planned_values": {"root_module": {"resources": [{"type": "aws_eks_cluster", "name": "c", "values": {"name": "c"}}]}}}), ["AWS::EKS::Cluster"], id="Terraform plan"),
        pytest.param(json.dumps({"planned_values": {"root_module": {"child_modules": [{"resources": [{"type": "google_container_cluster", "name": "c", "values": {}}]}]}}}), ["container.googleapis.com/Cluster"], id="Terraform module"),
        pytest.param(json.dumps({"cluster": {"name": "c", "resourcesVpcConfig": {}}}), ["AWS::EKS::Cluster"], id="describe-cluster"),
        pytest.param(json.dumps({"value": [{"type": "microsoft.containerservice/managedclusters", "name": "c", "properties": {}}]}), ["Microsoft.ContainerService/managedClusters"], id="ARM list"),
        pytest.param(json.dumps({"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/r", "adminUserEnabled": True}), ["Microsoft.ContainerRegistry/registries"], id="az acr show"),
        pytest.param("Resources:\n  R:\n    Type: AWS::ECR::Repository\n    Properties: {RepositoryName: !Ref Name}\n", ["AWS::ECR::Repository"], id="CloudFormation with a short intrinsic"),
        pytest.param(json.dumps({"clusters": [{"name": "g", "nodePools": []}]}), ["container.googleapis.com/Cluster"], id="GKE clusters.list"),
    ],
)  # fmt: skip
def test_forms(data: str, expected: list[str]):
    loaded = read(data)
    assert kinds(loaded) == expected
    assert loaded.notes == []


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param("kind: Pod\n  bad: [\n---\n" + POD, "not valid YAML at line 2", id="broken document"),
        pytest.param(BOMB + "---\n" + POD, "aliases expand to more than", id="alias bomb"),
        pytest.param("a: &a [*a]\n---\n" + POD, "", id="cycle"),
        pytest.param("x: " + "[" * 5000 + "]" * 5000 + "\n---\n" + POD, "nested deeper", id="deep flow"),
        pytest.param("- " * 5000 + "x\n---\n" + POD, "nested deeper", id="deep block"),
        pytest.param(
            "kind: Pod\nmetadata:\n  name: {{ .Values.name }}\n---\n" + POD, "Helm template", id="unrendered Helm"
        ),
        pytest.param(
            "kind: Service\nkind: Service\napiVersion: v1\n---\n" + POD, "duplicate key kind", id="duplicate key"
        ),
        pytest.param("!!python/object/apply:os.system ['true']\n---\n" + POD, "", id="tag that would run code"),
        pytest.param("kind: Pod\nspec: 1\n---\n" + POD, "without a readable apiVersion", id="no apiVersion"),
    ],
)
def test_bad_documents_cost_only_themselves(data: str, said: str):
    start = time.monotonic()
    loaded = read(data)
    assert time.monotonic() - start < 5
    assert kinds(loaded)[-1] == "Pod"
    assert loaded.objects[-1].name == "p"
    if said:
        assert any(said in note.reason for note in loaded.notes), loaded.notes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b'{"kind":"Pod","apiVersion":"v1"', "not valid", id="cut off JSON"),
        pytest.param(
            b'{"kind":"Pod","kind":"Pod","apiVersion":"v1"}', "duplicate key kind", id="duplicate key in JSON"
        ),
        pytest.param(b"\xff\xfe\x00", "", id="odd bytes"),
        pytest.param(b'{"kind":"PodList","apiVersion":"v1","items":{"a":1}}', "is not a list", id="items no list"),
        pytest.param(b"[" * 100_000, "", id="deep JSON"),
    ],
)
def test_bad_json(data: bytes, said: str):
    loaded = read(data, "f.json")
    assert any(said in note.reason for note in loaded.notes), loaded.notes


def test_values_of_secrets_are_not_kept():
    loaded = read(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, managedFields: [{}]}\ndata: {password: aHVudGVyMg==}\nstringData: {token: abc}\n"
    )
    assert loaded.objects[0].body["data"] == {"password": None}
    assert "aHVudGVyMg" not in str(loaded.objects[0].body)
    assert "managedFields" not in loaded.objects[0].meta


def test_a_long_list_is_read_item_by_item():
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}, "data": {"k": "v" * 500}}
        for number in range(10_000)
    ]
    loaded = read(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "dump.json")
    assert len(loaded.objects) == 10_000
    assert loaded.notes == []


def test_folder_without_links_and_with_a_missing_file(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(POD)
    (tmp_path / "b.txt").write_text("no manifest")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nothing")
    loaded = load(tmp_path)
    assert kinds(loaded) == ["Pod"]
    assert [note.where for note in loaded.notes] == ["gone.yaml"]
    with pytest.raises(NotFound):
        load(tmp_path / "missing")


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_any_bytes_give_values_or_errors(data: bytes):
    for document in documents(data):
        assert document.error == "" or document.value is None
    read(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=20,
    )
)
@settings(max_examples=150)
def test_any_object_is_judged_without_an_exception(spec: object):
    from datetime import date

    from seawall.app.assess_posture import assess_documents

    for kind, api in (
        ("Pod", "v1"),
        ("Deployment", "apps/v1"),
        ("NetworkPolicy", "networking.k8s.io/v1"),
        ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"),
        ("Ingress", "networking.k8s.io/v1"),
    ):
        body = {
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": "x", "labels": spec, "annotations": spec},
            "spec": spec,
            "subjects": spec,
            "roleRef": spec,
            "rules": spec,
        }
        report = assess_documents(
            [
                body,
                {**body, "spec": {"containers": spec, "template": {"spec": {"containers": [spec], "volumes": spec}}}},
            ],
            today=date(2026, 1, 1),
        )
        assert not [note for note in report.partial if "could not be judged" in note.reason], report.partial
        assert not [finding for _, _, finding in report.found if "could not be judged" in finding.reason]
