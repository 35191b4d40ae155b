"""Folding of owners, effective values, exceptions, frameworks, reports, repairs, and the command line."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from seawall.app.assess_posture import assess_documents
from seawall.cli.main import build
from seawall.domain.errors import InputError
from seawall.domain.posture import Status
from seawall.posture.engine import Report, reassess
from seawall.posture.exceptions import read_exceptions
from seawall.posture.frameworks import comply, find, frameworks, read_framework, score_by_team
from seawall.posture.remediation.files import repair_text
from seawall.posture.remediation.patches import apply, json_patch, keys_of, operations
from seawall.posture.reports.oscal import to_oscal
from seawall.posture.reports.pdf import to_pdf
from seawall.posture.reports.tables import to_csv, to_html
from typer.testing import CliRunner

TODAY = date(2026, 8, 1)
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def deployment(name: str = "web", *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": list(containers) or [{"name": "c", "image": "i:1"}], **spec},
            },
        },
    }


def owned(kind: str, name: str, owner: dict[str, Any], hash_: str = "") -> dict[str, Any]:
    labels = {"app": "web", **({"pod-template-hash": hash_} if hash_ else {})}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {"hostPID": True, "containers": [{"name": "c", "image": "i:1"}]},
    }


def judge(*documents: dict[str, Any], **options: Any) -> Report:
    return assess_documents(documents, today=TODAY, **options)


def failed(report: Report, control: str) -> list[tuple[str, str]]:
    return [(item.object.kind, item.object.name) for item in report.failures() if item.control == control]


def test_replicas_are_folded_into_their_owner():
    replica_set = {
        **deployment("web-1"),
        "kind": "ReplicaSet",
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": True}],
        },
    }
    pods = [owned("Pod", f"web-1-{n}", {"kind": "ReplicaSet", "name": "web-1"}) for n in range(3)]
    report = judge(deployment(hostPID=True), replica_set, *pods)
    assert failed(report, "WL-011") == [("Deployment", "web")]
    assert len(report.world.workloads) == 1


def test_pods_stand_for_an_owner_that_was_not_collected():
    report = judge(*[owned("Pod", f"web-abc-{n}", {"kind": "ReplicaSet", "name": "web-abc"}, "abc") for n in range(3)])
    assert failed(report, "WL-011") == [("Deployment", "web")]
    assert next(report.failures()).object.namespace == "shop"


@pytest.mark.parametrize(
    ("pod", "container", "status"),
    [
        pytest.param({"runAsNonRoot": True}, {}, Status.PASS, id="pod"),
        pytest.param({"runAsNonRoot": True}, {"runAsNonRoot": False}, Status.FAIL, id="container wins"),
        pytest.param({"runAsUser": 0}, {"runAsUser": 1000}, Status.PASS, id="container's user wins"),
        pytest.param({}, {}, Status.FAIL, id="image decides"),
    ],
)
def test_effective_values(pod: dict[str, Any], container: dict[str, Any], status: Status):
    document = deployment("web", {"name": "c", "image": "i", "securityContext": container}, securityContext=pod)
    assert judge(document, controls=["WL-003"]).status_of("WL-003") is status


def test_limit_range_gives_limits():
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "l", "namespace": "shop"},
        "spec": {"limits": [{"type": "Container", "default": {"memory": "1Gi"}}]},
    }
    assert judge(deployment(), limits).status_of("WL-036") is Status.PASS
    assert judge(deployment(), limits).status_of("WL-035") is Status.FAIL


def test_ids_hold_when_a_container_moves():
    one, two = {"name": "a", "image": "i", "securityContext": {"privileged": True}}, {"name": "b", "image": "i"}
    ids = [
        {item.id for item in judge(deployment("web", *order)).failures() if item.control == "WL-001"}
        for order in ((one, two), (two, one))
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 1


EXCEPTION = b"""
- {control: WL-001, namespace: sh*, path: "*containers.securityContext.privileged", reason: driver, expires: %s}
- {control: WL-011, labels: {app: other}, reason: not this one}
"""


@pytest.mark.parametrize(("expires", "open_failures"), [("2026-08-01", 0), ("2026-07-31", 1)])
def test_exceptions_cover_until_they_expire(expires: str, open_failures: int):
    document = deployment("web", {"name": "c", "image": "i", "securityContext": {"privileged": True}}, hostPID=True)
    report = judge(document, exceptions=read_exceptions(EXCEPTION % expires.encode(), "f"))
    assert len(failed(report, "WL-001")) == open_failures
    assert len(failed(report, "WL-011")) == 1
    assert any("covers no failure" in note.reason for note in report.partial)
    assert any("expired" in note.reason for note in report.partial) is bool(open_failures)


@pytest.mark.parametrize(
    "text",
    [
        b"- {control: WL-001}",
        b"- {control: NO-1, reason: x}",
        b"- {control: WL-001, reason: x, expires: soon}",
        b"- {control: WL-001, reason: x, colour: red}",
        b"a: 1",
        b"- [",
    ],
)
def test_bad_exceptions_are_refused(text: bytes):
    with pytest.raises(InputError):
        read_exceptions(text, "f")


def test_frameworks_and_scores():
    document = deployment("web", hostPID=True)
    report = judge(
        document, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "sales"}}}
    )
    assert len(frameworks()) == 15
    outcome = {item.id: item for item in comply(report, find("cis_kubernetes_1.12")).requirements}
    assert outcome["5.2.3"].status is Status.FAIL
    assert outcome["5.2.4"].status is Status.PASS
    assert outcome["1.2.1"].status is Status.NOT_APPLICABLE
    own = read_framework(b"id: h\ntitle: H\nrequirements: [{id: a, controls: [WL-012]}]", "f")
    assert comply(report, own).score == 1
    passed, assessed = score_by_team(report)["sales"]
    assert 0 < passed < assessed
    with pytest.raises(InputError):
        find("cis")
    with pytest.raises(InputError):
        read_framework(b"requirements: [{id: a, controls: [X]}]", "f")


def test_reports():
    report = judge(deployment("=cmd()", hostPID=True), cluster="prod")
    compliances = [comply(report, find("nist_800_190"))]
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert {row["name"] for row in rows if row["kind"] == "Deployment"} == {"'=cmd()"}
    page = to_html(judge(deployment("<script>", hostPID=True)), NOW, compliances)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert to_pdf(report, NOW, compliances).startswith(b"%PDF-")
    oscal = to_oscal(report, NOW, compliances)["assessment-results"]
    assert oscal["uuid"] == to_oscal(report, NOW, compliances)["assessment-results"]["uuid"]
    states = {
        item["target"]["target-id"]: item["target"]["status"]["state"] for item in oscal["results"][0]["findings"]
    }
    assert states["WL-011"] == "not-satisfied"
    assert states["WL-012"] == "satisfied"
    observations = {item["uuid"] for item in oscal["results"][0]["observations"]}
    assert all(
        link["observation-uuid"] in observations
        for item in oscal["results"][0]["findings"]
        if item["target"]["target-id"].startswith("WL")
        for link in item["related-observations"]
    )


def test_one_changed_object_is_judged_as_in_the_whole():
    documents = [deployment("web", hostPID=True), deployment("other")]
    whole = judge(*documents)
    obj = whole.world.find("Deployment", "shop", "web")
    assert obj is not None
    part = reassess(whole.world, obj)
    mine = {item.id for item in whole.failures() if item.object.name == "web"}
    assert {item.id for item in part.failures()} == mine


MANIFEST = """\
# the shop
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}   # kept
spec:
  template:
    metadata:
      annotations:
        container.apparmor.security.beta.kubernetes.io/c: unconfined
    spec:
      hostPID: true
      containers:
        - name: c  # first
          image: "k8s.gcr.io/web:1"
          securityContext: {privileged: true, procMount: Unmasked}
---
kind: Service
apiVersion: v1
metadata: {name: s}
spec: {externalIPs: [1.2.3.4]}
"""


def test_repair_keeps_comments_and_leaves_what_is_not_safe():
    text, fixed, left, notes = repair_text(MANIFEST, "f.yaml", today=TODAY)
    assert notes == []
    assert text.startswith("# the shop\n")
    assert "# kept" in text
    assert "# first" in text
    assert '"registry.k8s.io/web:1"' in text
    body, service = yaml.safe_load_all(text)
    spec = body["spec"]["template"]["spec"]
    assert "hostPID" not in spec
    assert spec["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "appArmorProfile": {"type": "RuntimeDefault"},
    }
    assert spec["containers"][0]["securityContext"]["privileged"] is True, "grade S"
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "externalIPs" not in service["spec"]
    assert {"WL-002", "WL-010", "WL-011", "WL-020", "WL-022", "WL-026", "WL-046", "NW-009"} <= {
        item.control for item in fixed
    }
    assert "WL-001" in {item.control for item in left}
    again, fixed_again, _, _ = repair_text(text, "f.yaml", today=TODAY)
    assert (again, fixed_again) == (text, [])
    risky, _, _, _ = repair_text(MANIFEST, "f.yaml", today=TODAY, grades=("A", "S"))
    assert (
        "privileged"
        not in next(yaml.safe_load_all(risky))["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    )


def test_unreadable_manifest_is_left_alone():
    text, fixed, _, notes = repair_text("a: [\n", "f.yaml", today=TODAY)
    assert (text, fixed, len(notes)) == ("a: [\n", [], 1)


def test_patches_undo_each_other():
    document = deployment("web", {"name": "c", "image": "i:1", "securityContext": {"privileged": True}}, hostPID=True)
    changes = [change for item in judge(document).failures() for change in operations(item)]
    after = apply(document, changes)
    assert json_patch(document, after)
    assert json_patch(after, document)
    assert not [item for item in judge(after).failures() if item.control in {"WL-001", "WL-002", "WL-011", "WL-020"}]
    assert keys_of('spec.containers[0].x["a/b"]') == ("spec", "containers", 0, "x", "a/b")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "m.yaml"
    file.write_text(MANIFEST)
    return file


def run(*arguments: str) -> Any:
    return CliRunner().invoke(build(), ["posture", *arguments])


def test_command_line_json(manifest: Path):
    done = run("assess", str(manifest), "--format", "json")
    assert done.exit_code == 0
    value = json.loads(done.stdout)
    assert set(value) == {"results", "summary", "frameworks", "partial"}
    first = value["results"][0]
    assert {"control", "status", "severity", "object", "path", "actual", "expected", "fix"} <= set(first)
    assert set(first["object"]) == {"kind", "namespace", "name"}
    assert value["summary"]["controls"]["WL-011"] == "fail"
    assert len(value["summary"]["controls"]) == 336


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fail-on", "critical"], 3),
        (["--fail-on", "low", "-c", "WL-012"], 0),
        (["-c", "WL-*", "--framework", "pod_security_baseline"], 0),
    ],
)
def test_command_line_codes(manifest: Path, arguments: list[str], code: int):
    assert run("assess", str(manifest), *arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments",
    [
        ["assess", "nowhere.yaml"],
        ["assess", "{}", "--control", "XX-1"],
        ["assess", "{}", "--format", "xml"],
        ["assess", "{}", "--fail-on", "soon"],
        ["enforce", "--engine", "none"],
    ],
)
def test_command_line_errors_are_known(manifest: Path, arguments: list[str]):
    from seawall.domain.errors import SeawallError

    done = run(*[part.format(manifest) for part in arguments])
    assert isinstance(done.exception, SeawallError)


def test_table_is_readable_at_80_columns(manifest: Path):
    done = run("assess", str(manifest))
    assert done.exit_code == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "WL-001" in done.stdout
    assert "critical" in done.stdout


def test_command_line_fix_and_controls(manifest: Path):
    assert "-      hostPID: true" in run("fix", str(manifest)).stdout
    assert run("fix", str(manifest), "--write").exit_code == 0
    assert "hostPID" not in manifest.read_text()
    rows = json.loads(run("controls", "--format", "json").stdout)
    assert len(rows) == 336
    assert rows[0]["mappings"]["cis_kubernetes_1.12"] == ["5.2.2"]
    policies = list(yaml.safe_load_all(run("enforce", "-c", "WL-001").stdout))
    assert [item["kind"] for item in policies] == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]


@pytest.mark.shared
def test_inventories_go_through_without_an_exception_or_false_unknown(shared_data: Path):
    from seawall.app.assess_posture import assess
    from seawall.posture.loading import load

    for folder in sorted(item for item in (shared_data / "posture" / "inventory").iterdir() if item.is_dir()):
        loaded = load(folder)
        report = assess(loaded.objects, today=TODAY, notes=loaded.notes)
        assert loaded.objects, folder
        reasons = {finding.reason for _, _, finding in report.found if finding.status is Status.UNKNOWN}
        assert not [reason for reason in reasons if "could not be judged" in reason or "wrong type" in reason], (
            folder,
            reasons,
        )
