"""Whether a workload's account can take over the cluster, by the token that its pods get."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status

ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}  # fmt: skip
BINDING = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "all"}, "roleRef": {"kind": "ClusterRole", "name": "all"}, "subjects": [{"kind": "ServiceAccount", "name": "sa", "namespace": "n"}]}  # fmt: skip
PROJECTED = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]


@pytest.mark.parametrize(
    ("account", "pod", "expected"),
    [
        pytest.param(None, {}, Status.FAIL, id="by default"),
        pytest.param(False, {}, Status.NOT_APPLICABLE, id="the account says no"),
        pytest.param(False, {"automountServiceAccountToken": True}, Status.FAIL, id="the pod says yes over the account"),
        pytest.param(True, {"automountServiceAccountToken": False}, Status.NOT_APPLICABLE, id="the pod says no over the account"),
        pytest.param(False, {"volumes": PROJECTED}, Status.FAIL, id="a projected token all the same"),
    ],
)  # fmt: skip
def test_takeover_needs_a_token(account: bool | None, pod: dict[str, Any], expected: Status) -> None:
    objects = [
        ROLE,
        BINDING,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa", "namespace": "n"}, "automountServiceAccountToken": account},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"serviceAccountName": "sa", "containers": [{"name": "c", "image": "a:1"}], **pod}},
    ]  # fmt: skip
    assert assess_documents(objects, today=date(2026, 1, 1), controls=["RB-024"]).status_of("RB-024") is expected
