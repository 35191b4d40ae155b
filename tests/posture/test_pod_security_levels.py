"""Levels and versions of Pod Security beyond the published fixtures: what the admission plugin decides, row by row."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status
from seawall.posture.engine import Report
from seawall.posture.frameworks import comply, find
from seawall.posture.pod_security import violations

STRICT: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD_STRICT: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def report(spec: dict[str, Any], annotations: dict[str, str] | None = None, minor: int | None = None) -> Report:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": annotations or {}},
        "spec": spec,
    }
    return assess_documents([document], today=date(2026, 1, 1), minor=minor)


def strict(context: dict[str, Any] | None = None, pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "containers": [{"name": "c", "image": "i", "securityContext": {**STRICT, **(context or {})}}],
        "securityContext": {**POD_STRICT, **(pod or {})},
        **spec,
    }


WINDOWS = {"os": {"name": "windows"}}
POD_NOTE = "seccomp.security.alpha.kubernetes.io/pod"
NOTE = "container.seccomp.security.alpha.kubernetes.io/"


@pytest.mark.parametrize(
    ("level", "minor", "spec", "annotations", "broken"),
    [
        pytest.param("restricted", 37, strict(), {}, set(), id="strict"),
        pytest.param("restricted", 24, strict({"allowPrivilegeEscalation": None}, **WINDOWS), {}, {"privilege escalation"}, id="windows before 1.25"),
        pytest.param("restricted", 25, strict({"allowPrivilegeEscalation": None}, **WINDOWS), {}, set(), id="windows from 1.25"),
        pytest.param("restricted", 30, strict({"capabilities": {"add": ["NET_RAW"]}}, **WINDOWS), {}, set(), id="capabilities mean nothing on windows"),
        pytest.param("baseline", 30, strict({"capabilities": {"add": ["NET_RAW"]}}, **WINDOWS), {}, {"capabilities"}, id="baseline does not know windows"),
        pytest.param("restricted", 30, strict({"seccompProfile": {"type": "Unconfined"}}, **WINDOWS), {}, set(), id="seccomp means nothing on windows"),
        pytest.param("baseline", 18, strict(), {POD_NOTE: "runtime/defaultx"}, {"seccomp"}, id="no known profile"),
        pytest.param("baseline", 18, strict(), {f"{NOTE}other": "unconfined"}, set(), id="annotation of no container"),
        pytest.param("baseline", 18, strict(), {f"{NOTE}c": "localhost/x"}, set(), id="local profile"),
        pytest.param("baseline", 19, strict(), {POD_NOTE: "unconfined"}, set(), id="annotations end with 1.18"),
        pytest.param("restricted", 34, strict({"procMount": "Unmasked"}, hostUsers=False), {}, {"/proc mount"}, id="user namespaces before 1.35"),
        pytest.param("baseline", 35, strict({"procMount": "Unmasked"}, hostUsers=False), {}, set(), id="baseline unmasks in a user namespace"),
        pytest.param("restricted", 35, strict({"procMount": "Unmasked"}, hostUsers=False), {}, {"/proc mount (restricted)"}, id="restricted never unmasks"),
        pytest.param("restricted", 35, strict({"runAsUser": 0}, {"runAsNonRoot": None}, hostUsers=False), {}, set(), id="root in a user namespace"),
        pytest.param("restricted", 34, strict({"runAsUser": 0}, hostUsers=False), {}, {"run as user"}, id="root before 1.35"),
        pytest.param("restricted", 37, strict({"runAsNonRoot": False}), {}, {"run as non-root"}, id="container overrides the pod"),
        pytest.param("restricted", 37, strict({"capabilities": {"drop": ["all"]}}), {}, {"capabilities (restricted)"}, id="spelling counts"),
        pytest.param("restricted", 37, strict(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]), {}, {"volume types"}, id="one answer for a host path"),
        pytest.param("restricted", 37, strict(volumes=[{"name": "v", "image": {"reference": "i"}}]), {}, set(), id="image volume"),
        pytest.param("restricted", 37, strict(ephemeralContainers=[{"name": "d", "image": "i"}]), {}, {"privilege escalation", "capabilities (restricted)"}, id="debug container"),
        pytest.param("baseline", 26, strict(pod={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), {}, {"sysctls"}, id="sysctl before 1.27"),
        pytest.param("baseline", 27, strict(pod={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), {}, set(), id="sysctl from 1.27"),
        pytest.param("baseline", 36, strict(pod={"sysctls": [{"name": "net.ipv4.tcp_notsent_lowat"}]}), {}, {"sysctls"}, id="sysctl before 1.37"),
        pytest.param("baseline", 37, strict(pod={"sysctls": [{"name": "net/ipv4/tcp_syncookies"}]}), {}, {"sysctls"}, id="slashes are another name"),
        pytest.param("baseline", 30, strict(pod={"seLinuxOptions": {"type": "container_engine_t"}}), {}, {"SELinux"}, id="engine type before 1.31"),
        pytest.param("baseline", 31, strict(pod={"seLinuxOptions": {"type": "container_engine_t"}}), {}, set(), id="engine type from 1.31"),
    ],
)  # fmt: skip
def test_levels(level: str, minor: int, spec: dict[str, Any], annotations: dict[str, str], broken: set[str]) -> None:
    workload = report(spec, annotations).world.workloads[0]
    assert set(violations(workload, level, minor)) == broken


def test_the_framework_decides_as_the_plugin_does() -> None:
    # A user id above 0 satisfies the control, but not the restricted level, which wants runAsNonRoot.
    judged = report(strict({"runAsUser": 1000}, {"runAsNonRoot": None}))
    assert judged.status_of("WL-003") is Status.PASS
    restricted = comply(judged, find("pod_security_restricted"))
    assert {item.id for item in restricted.requirements if item.status is Status.FAIL} == {"run as non-root"}
    assert restricted.score == 0
    assert comply(judged, find("pod_security_baseline")).score == 1


def test_older_clusters_are_judged_by_their_version() -> None:
    spec = strict(pod={"seLinuxOptions": {"type": "container_engine_t"}})
    assert report(spec, minor=30).status_of("WL-023") is Status.FAIL
    assert report(spec, minor=31).status_of("WL-023") is Status.PASS
