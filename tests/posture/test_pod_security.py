"""The ten baseline checks that matter most: what fires, and the near miss that does not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **spec},
    }


def status(document: dict[str, Any], control: str) -> Status:
    return assess_documents([document], today=date(2026, 1, 1), controls=[control]).status_of(control)


def security(**fields: Any) -> dict[str, Any]:
    return {"securityContext": fields}


@pytest.mark.parametrize(
    ("control", "document", "expected"),
    [
        pytest.param("WL-001", pod(security(privileged=True)), Status.FAIL, id="privileged"),
        pytest.param("WL-001", pod(security(privileged=False)), Status.PASS, id="not privileged"),
        pytest.param("WL-001", pod(security(privileged="yes")), Status.UNKNOWN, id="privileged of the wrong type"),
        pytest.param("WL-001", pod(initContainers=[security(privileged=True)]), Status.FAIL, id="privileged init"),
        pytest.param(
            "WL-001", pod(ephemeralContainers=[security(privileged=True)]), Status.FAIL, id="privileged debug"
        ),
        pytest.param("WL-001", pod(initContainers="all"), Status.UNKNOWN, id="containers are no list"),
        pytest.param("WL-007", pod(security(capabilities={"add": ["NET_RAW"]})), Status.FAIL, id="raw sockets added"),
        pytest.param("WL-007", pod(security(capabilities={"add": ["CHOWN"]})), Status.PASS, id="default capability"),
        pytest.param("WL-007", pod(security(capabilities=None)), Status.PASS, id="capabilities null"),
        pytest.param("WL-008", pod(security(capabilities={"add": ["CAP_SYS_ADMIN"]})), Status.FAIL, id="with prefix"),
        pytest.param("WL-011", pod(hostPID=True), Status.FAIL, id="host pid"),
        pytest.param("WL-011", pod(hostPID=False), Status.PASS, id="own pid"),
        pytest.param("WL-012", pod(hostIPC=True), Status.FAIL, id="host ipc"),
        pytest.param("WL-013", pod(hostNetwork=True), Status.FAIL, id="host network"),
        pytest.param("WL-014", pod({"ports": [{"hostPort": 80}]}), Status.FAIL, id="host port"),
        pytest.param("WL-014", pod({"ports": [{"hostPort": 0}]}), Status.PASS, id="host port 0"),
        pytest.param("WL-015", pod(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]), Status.FAIL, id="host path"),
        pytest.param("WL-015", pod(volumes=[{"name": "v", "emptyDir": {}}]), Status.PASS, id="empty dir"),
        pytest.param("WL-021", pod(security(seccompProfile={"type": "Unconfined"})), Status.FAIL, id="seccomp off"),
        pytest.param("WL-021", pod(), Status.PASS, id="seccomp unset"),
        pytest.param("WL-025", pod(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), Status.FAIL, id="sysctl"),
        pytest.param("WL-026", pod(security(procMount="Unmasked")), Status.FAIL, id="proc unmasked"),
        pytest.param("WL-026", pod(security(procMount="Unmasked"), hostUsers=False), Status.PASS, id="user namespace"),
        pytest.param("WL-027", pod(security(windowsOptions={"hostProcess": True})), Status.FAIL, id="host process"),
    ],
)
def test_baseline(control: str, document: dict[str, Any], expected: Status) -> None:
    assert status(document, control) is expected


def test_a_knative_service_runs_pods_and_is_no_service_of_the_core() -> None:
    spec = pod(security(privileged=True))["spec"]
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "k", "namespace": "shop"},
        "spec": {"template": {"spec": spec}},
    }
    assert status(service, "WL-001") is Status.FAIL
    assert status(service, "NW-007") is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("api", "template", "expected"),
    [
        pytest.param("apps.kruise.io/v1alpha1", {"containers": [{"name": "a", "securityContext": {"privileged": True}}]}, Status.FAIL, id="privileged"),
        pytest.param("apps.kruise.io/v1alpha1", {"containers": [{"name": "a"}]}, Status.PASS, id="plain"),
        pytest.param("apps.kruise.io/v1alpha1", {"containers": "none"}, Status.NOT_APPLICABLE, id="no list of containers"),
        pytest.param("v1", {"containers": [{"name": "a"}]}, Status.NOT_APPLICABLE, id="no custom resource"),
    ],
)  # fmt: skip
def test_a_custom_resource_with_containers_where_a_deployment_has_them_runs_pods(
    api: str, template: dict[str, Any], expected: Status
) -> None:
    made = {"apiVersion": api, "kind": "CloneSet", "metadata": {"name": "c", "namespace": "shop"}, "spec": {"template": {"spec": template}}}  # fmt: skip
    assert status(made, "WL-001") is expected
