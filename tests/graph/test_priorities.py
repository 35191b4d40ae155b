"""Failures get their urgency from the attack paths that their repair would close."""

from __future__ import annotations

from datetime import date
from typing import Any

from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Priority, Status
from seawall.graph.priorities import priorities
from seawall.posture.engine import Report

RBAC = "rbac.authorization.k8s.io"


def deployment(name: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"serviceAccountName": name, "containers": [{"name": "c", "image": "i:1", **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def admin(account: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "shop"}],
    }


def judge(*documents: dict[str, Any]) -> dict[tuple[str, str], Priority]:
    report: Report = assess_documents(documents, today=date(2026, 1, 1))
    report.priorities = priorities(report)
    return {
        (item.control, item.object.name): item.priority
        for item in report.assessments(passes=False)
        if item.status is Status.FAIL and item.priority is not None
    }


def test_the_same_failure_is_more_urgent_on_a_path() -> None:
    found = judge(deployment("powerful"), deployment("harmless"), admin("powerful"))
    assert found["WL-031", "powerful"].paths > 0
    assert found["WL-031", "powerful"].path[-1] == "ClusterAdmin"
    assert found["WL-031", "harmless"].paths == 0
    assert found["WL-031", "powerful"].score > found["WL-031", "harmless"].score


def test_the_binding_and_the_escape_lie_on_paths() -> None:
    found = judge(deployment("a", securityContext={"privileged": True}), admin("a"))
    assert found["RB-001", "b"].paths > 0
    assert "Node" in found["WL-001", "a"].path[-1]
    assert found["WL-019", "a"].paths == 0


def test_urgent_failures_come_first() -> None:
    report = assess_documents([deployment("a"), admin("a")], today=date(2026, 1, 1))
    report.priorities = priorities(report)
    failures = [item for item in report.assessments(passes=False) if item.status is Status.FAIL]
    scores = [item.priority.score for item in failures if item.priority is not None]
    assert len(scores) == len(failures)
    assert scores == sorted(scores, reverse=True)
