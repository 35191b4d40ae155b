"""Objects that break, and just do not break, each control that admission can enforce."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

from seawall.app.assess_posture import assess_documents
from seawall.domain.posture import Status
from seawall.posture.enforcement import enforceable

USER: dict[str, Any] = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001}
DIGEST = f"@sha256:{'a' * 64}"
GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {
        "serviceAccountName": "app",
        "securityContext": {**USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "c",
                "image": f"registry.example.com/app:1{DIGEST}",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "limits": {"cpu": "1", "memory": "64Mi", "ephemeral-storage": "1Gi"},
                    "requests": {"cpu": "1", "memory": "64Mi"},
                },
                "livenessProbe": {"tcpSocket": {"port": 80}},
                "readinessProbe": {"tcpSocket": {"port": 80}},
                "ports": [{"containerPort": 8080}],
            }
        ],
    },
}
"""A pod that passes every enforceable control."""


def pod(**changes: Any) -> dict[str, Any]:
    """Return `GOOD` with fields set: `spec_x` on the pod spec, `sc_x` on the container's securityContext, else on the container."""
    body = copy.deepcopy(GOOD)
    container = body["spec"]["containers"][0]
    for name, value in changes.items():
        target, key = (
            (body["spec"], name[5:])
            if name.startswith("spec_")
            else (container["securityContext"], name[3:])
            if name.startswith("sc_")
            else (container, name)
        )
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
    return body


def annotated(key: str, value: str) -> dict[str, Any]:
    """Return `GOOD` with an annotation."""
    body = copy.deepcopy(GOOD)
    body["metadata"]["annotations"] = {key: value}
    return body


BREAKING: dict[str, dict[str, Any]] = {
    "WL-001": pod(sc_privileged=True, sc_allowPrivilegeEscalation=None),
    "WL-002": pod(sc_allowPrivilegeEscalation=None),
    "WL-007": pod(sc_capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    "WL-008": pod(sc_capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}, sc_allowPrivilegeEscalation=None),
    "WL-009": pod(sc_capabilities={"drop": ["CHOWN"]}),
    "WL-010": pod(sc_capabilities={"drop": ["NET_RAW"]}),
    "WL-011": pod(spec_hostPID=True),
    "WL-012": pod(spec_hostIPC=True),
    "WL-013": pod(spec_hostNetwork=True, ports=None),  # the API server would bind its ports on the host
    "WL-014": pod(ports=[{"containerPort": 8080, "hostPort": 8080}]),
    "WL-015": pod(spec_volumes=[{"name": "v", "hostPath": {"path": "/data"}}]),
    "WL-019": pod(sc_readOnlyRootFilesystem=False),
    "WL-020": pod(spec_securityContext={"runAsNonRoot": True}),
    "WL-021": pod(sc_seccompProfile={"type": "Unconfined"}),
    "WL-022": pod(sc_appArmorProfile={"type": "Unconfined"}),
    "WL-023": pod(sc_seLinuxOptions={"user": "system_u"}),
    "WL-026": pod(sc_procMount="Unmasked"),
    "WL-027": pod(sc_windowsOptions={"hostProcess": True}),
    "WL-030": pod(livenessProbe={"tcpSocket": {"port": 80, "host": "example.com"}}),
    "WL-035": pod(resources={"limits": {"memory": "1Mi"}, "requests": {"cpu": "1", "memory": "1Mi"}}),
    "WL-036": pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1", "memory": "1Mi"}}),
    "WL-037": pod(resources={"limits": {"memory": "1Mi"}}),
    "WL-038": pod(resources={"limits": {"cpu": "1"}}),
    "WL-040": pod(livenessProbe=None),
    "WL-055": pod(spec_shareProcessNamespace=True),
    "WL-056": pod(tty=True),
    "WL-060": pod(spec_hostAliases=[{"ip": "10.0.0.1", "hostnames": ["x"]}]),
    "WL-033": pod(spec_serviceAccount="other", spec_serviceAccountName=None),
    "WL-003": pod(spec_securityContext={"seccompProfile": {"type": "RuntimeDefault"}}),
    "WL-004": pod(sc_runAsUser=0),
    "WL-005": pod(sc_runAsUser=1000),
    "WL-006": pod(spec_securityContext={**USER, "fsGroup": 0}),
    "WL-016": pod(spec_volumes=[{"name": "v", "hostPath": {"path": "/data"}}], volumeMounts=[{"name": "v", "mountPath": "/d"}]),
    "WL-017": pod(spec_volumes=[{"name": "v", "hostPath": {"path": "/etc/ssh/"}}]),
    "WL-018": pod(spec_volumes=[{"name": "v", "hostPath": {"path": "/var/run/docker.sock"}}]),
    "WL-025": pod(spec_securityContext={**USER, "sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}),
    "WL-029": pod(spec_volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]),
    "WL-039": pod(spec_volumes=[{"name": "v", "emptyDir": {}}]),
    "WL-042": pod(image="registry.example.com:5000/app"),
    "WL-043": pod(image="registry.example.com/app:1", imagePullPolicy="Always"),
    "WL-044": pod(image="registry.example.com/app:1", imagePullPolicy="IfNotPresent"),
    "WL-046": pod(image=f"k8s.gcr.io/pause:3{DIGEST}"),
    "WL-050": pod(envFrom=[{"secretRef": {"name": "s"}}]),
    "WL-057": pod(ports=[{"containerPort": 80}]),
    "WL-070": pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    "NW-009": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"port": 80}], "externalIPs": ["203.0.113.7"]}},
    "NW-011": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i", "namespace": "default"}, "spec": {"rules": [{"host": "*.example.com"}]}},
    "NW-007": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}},
    "WL-076": {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"},
        "spec": {"strategy": {"type": "Recreate"}, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": GOOD["spec"]}},
    },
    "NW-020": {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "m", "namespace": "default"}, "spec": {"mtls": {"mode": "PERMISSIVE"}}},
}  # fmt: skip

NEAR_MISSES: dict[str, dict[str, Any]] = {
    "unset host port": pod(ports=[{"containerPort": 8080, "hostPort": 0}]),
    "profile by container": pod(
        spec_securityContext=USER, sc_seccompProfile={"type": "Localhost", "localhostProfile": "x"}
    ),
    "annotation of old": annotated("container.apparmor.security.beta.kubernetes.io/c", "runtime/default"),
    "empty host": pod(livenessProbe={"tcpSocket": {"port": 80, "host": ""}}),
    "net bind service": pod(sc_capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "both account fields": pod(spec_serviceAccount="app"),
    "empty aliases": pod(spec_hostAliases=[]),
    "folder beside the system's": pod(
        spec_volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
        volumeMounts=[{"name": "v", "mountPath": "/etc/ssh"}],
    ),
    "container's own user": pod(
        spec_securityContext={"seccompProfile": {"type": "RuntimeDefault"}}, sc_runAsUser=20000, sc_runAsGroup=20000
    ),
    "safe sysctl": pod(
        spec_securityContext={
            **USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
        }
    ),
    "variables by name": pod(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]),
    "false flags": pod(spec_hostPID=False, spec_hostIPC=False, sc_privileged=False, stdin=False),
}


def failed_by_checks(document: dict[str, Any]) -> set[str]:
    """Return the enforceable controls that the checks fail on an object, on a cluster of version 1.35."""
    report = assess_documents([document], today=date(2026, 8, 1), controls=list(enforceable()), minor=35)
    return {name for name, counts in report.by_control().items() if counts[Status.FAIL]}
