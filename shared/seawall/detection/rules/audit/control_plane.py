"""The cluster's own functions: DNS, events, security sensors."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.workloads import at, mapping, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_DNS_NAMES = frozenset(
    {"coredns", "coredns-custom", "kube-dns", "node-local-dns", "rke2-coredns-rke2-coredns", "dns-default"}
)


@detection(
    id="AU-0401",
    title="Cluster DNS configuration changed",
    severity=Severity.MEDIUM,
    attack=("T1557", "T1565.001"),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete"),
    resources=("configmaps", "dnses"),
    catalogue=("K8S_CoreDnsModification", "Elastic: CoreDNS or Kube-DNS Configuration Modified"),
    needs=("metadata of writes of ConfigMaps in kube-system",),
    platforms=("aks", "eks", "self-managed"),
    platform_notes={"gke": "GKE's fixed audit policy does not record writes of this ConfigMap."},
    benign=("An administrator who adds a forwarder; distribution upgrades (left out by exact identity).",),
    investigate=("Compare the Corefile with the last known one: rewrite, hosts, template and forward lines.",),
    response="Restore the configuration, restart CoreDNS, look for clients that were sent elsewhere.",
    action="changed the cluster's DNS",
    confidence="high",
)
def cluster_dns_changed(event: AuditEvent) -> Match | None:
    """Who writes CoreDNS's configuration can send every workload's traffic to a server of their own."""
    if event.resource == "configmaps":
        if event.name not in _DNS_NAMES or event.namespace not in ("kube-system", "openshift-dns"):
            return None
    elif event.namespace not in ("", "openshift-dns") or event.name != "default":
        return None
    if may(event, "cluster-dns") or may(event, "control-loops"):
        return None
    base = Severity.MEDIUM
    if event.verb == "create" and event.name in ("coredns", "kube-dns") and caller_kind(event.actor) == "user":
        base = Severity.LOW  # It can only be created where there is none: the cluster is being set up.
    severity, reasons = grade(event, base)
    body = " ".join(value for value in mapping(written(event).get("data")).values() if isinstance(value, str))[:65536]
    if re.search(r"\b(rewrite|hosts|template|file)\b", body) and severity >= Severity.MEDIUM:
        reasons.append("the new configuration answers names itself (rewrite, hosts, template or file)")
    return Match(
        f"{who(event)} {done(event)} the DNS configuration {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
    )


@detection(
    id="AU-0406",
    title="Kubernetes events deleted",
    severity=Severity.MEDIUM,
    attack=("T1070",),
    on=AuditEvent,
    verbs=("delete", "deletecollection"),
    resources=("events",),
    catalogue=("K8S_DeleteEvents", "Sigma: Kubernetes Events Deleted", "Elastic: Events Deleted"),
    needs=("metadata of deletions of events",),
    platforms=("aks", "eks", "self-managed"),
    platform_notes={"gke": "GKE's fixed audit policy does not record deletions of events."},
    benign=("Deletion of a whole namespace by its controller (left out by exact identity).",),
    investigate=("What happened in that namespace before?",),
    response="Look at the audit log instead: events are only a copy.",
    action="deleted the cluster's events",
    confidence="high",
)
def events_deleted(event: AuditEvent) -> Match | None:
    """Events show what pods and controllers did. They vanish by themselves after an hour: nobody has to delete them."""
    if may(event, "delete-events") or may(event, "control-loops"):
        return None
    base = Severity.MEDIUM
    if (
        event.verb == "delete"
        and caller_kind(event.actor) == "service_account"
        and is_own_namespace(event, event.namespace)
    ):
        base = Severity.LOW
    severity, reasons = grade(event, base)
    scope = event.namespace or "all namespaces"
    return Match(
        f"{who(event)} deleted events in {scope}",
        severity=severity,
        reasons=tuple(reasons),
        key=f"{event.actor}|{scope}",
    )


@detection(
    id="AU-0407",
    title="Security sensor or policy engine tampered with",
    severity=Severity.HIGH,
    attack=("T1562.001",),
    on=AuditEvent,
    verbs=("delete", "deletecollection", "update", "patch"),
    resources=(
        "daemonsets",
        "deployments",
        "daemonsets/scale",
        "deployments/scale",
        "statefulsets",
        "namespaces",
        "deployments/finalizers",
        "customresourcedefinitions",
    ),
    catalogue=("X_SensorTampered",),
    needs=("metadata of workload writes",),
    benign=("Upgrade or removal of the product by the team that runs it.",),
    investigate=("Is the sensor still running on every node?",),
    response="Put the sensor back, then look at what ran on the nodes meanwhile.",
    action="switched off a security sensor",
    confidence="high",
)
def sensor_tampered(event: AuditEvent) -> Match | None:
    """A security product's workload was deleted, scaled to nothing or kept from its nodes; or a resource definition of a
    policy engine was deleted, and all policies of that kind with it."""
    namespace, name = event.namespace, event.name
    product = _PRODUCTS.get((namespace, name)) or (
        _PRODUCT_NAMESPACES.get(name) if event.resource == "namespaces" else None
    )
    if event.resource == "customresourcedefinitions":
        product = _policy_engine(event.name) if event.verb == "delete" else None
    elif not product and event.verb == "deletecollection":
        product = _PRODUCT_NAMESPACES.get(namespace)
    if not product or any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    if event.verb in ("update", "patch"):
        body = written(event)
        spec = mapping(body.get("spec"))
        selector = mapping(at(spec, "template", "spec", "nodeSelector"))
        stopped = spec.get("replicas") == 0 or any(key not in _ORDINARY_SELECTORS for key in selector)
        if event.resource == "namespaces" or not stopped:
            return None
    severity, reasons = grade(event, Severity.HIGH, target_namespace="" if context().is_system(namespace) else None)
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}, part of {product}",
        severity=severity,
        reasons=tuple(reasons),
    )


def _policy_engine(definition: str) -> str | None:
    """Whose policies live in a resource definition, by the end of its name, which is its API group."""
    return next((product for group, product in _POLICY_GROUPS.items() if definition.endswith(f".{group}")), None)


_POLICY_GROUPS = {
    "gatekeeper.sh": "Gatekeeper", "kyverno.io": "Kyverno", "kubewarden.io": "Kubewarden", "neuvector.com": "NeuVector",
    "security.kubearmor.com": "KubeArmor", "cilium.io": "Cilium", "projectcalico.org": "Calico", "platform.stackrox.io": "StackRox",
}  # fmt: skip
"""API groups of policies that are enforced in clusters (each project's documentation)."""


_ORDINARY_SELECTORS = frozenset(
    {"kubernetes.io/os", "beta.kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/hostname-"}
)


_PRODUCT_NAMESPACES = {
    "seawall-system": "Seawall", "falco": "Falco", "gatekeeper-system": "Gatekeeper", "kyverno": "Kyverno",
    "tetragon": "Tetragon", "tracee": "Tracee", "kubearmor": "KubeArmor", "aqua": "Aqua", "sysdig-agent": "Sysdig",
    "twistlock": "Prisma Cloud", "stackrox": "StackRox", "neuvector": "NeuVector", "lacework": "Lacework",
    "crowdstrike": "CrowdStrike", "falcon-system": "CrowdStrike", "wiz": "Wiz", "mdc": "Defender for Containers",
    "amazon-guardduty": "GuardDuty", "trivy-system": "Trivy operator", "kubescape": "Kubescape",
}  # fmt: skip


_PRODUCTS = {
    **{(namespace, name): product for namespace, name, product in (
        ("seawall-system", "seawall-sensor", "Seawall"), ("seawall-system", "seawall", "Seawall"),
        ("falco", "falco", "Falco"), ("falco-system", "falco", "Falco"), ("kube-system", "falco", "Falco"),
        ("kube-system", "tetragon", "Tetragon"), ("tetragon", "tetragon", "Tetragon"), ("tracee", "tracee", "Tracee"),
        ("kube-system", "microsoft-defender-collector-ds", "Defender for Containers"),
        ("kube-system", "microsoft-defender-publisher-ds", "Defender for Containers"),
        ("kube-system", "microsoft-defender-collector-misc", "Defender for Containers"),
        ("mdc", "microsoft-defender-collector-ds", "Defender for Containers"),
        ("amazon-guardduty", "aws-guardduty-agent", "GuardDuty"),
        ("gatekeeper-system", "gatekeeper-controller-manager", "Gatekeeper"), ("gatekeeper-system", "gatekeeper-audit", "Gatekeeper"),
        ("kube-system", "azure-policy", "Azure Policy"), ("kube-system", "azure-policy-webhook", "Azure Policy"),
        ("kyverno", "kyverno", "Kyverno"), ("kyverno", "kyverno-admission-controller", "Kyverno"),
        ("kyverno", "kyverno-background-controller", "Kyverno"), ("sysdig-agent", "sysdig-agent", "Sysdig"),
        ("stackrox", "collector", "StackRox"), ("stackrox", "sensor", "StackRox"),
        ("stackrox", "admission-control", "StackRox"), ("neuvector", "neuvector-enforcer-pod", "NeuVector"),
        ("twistlock", "twistlock-defender-ds", "Prisma Cloud"), ("aqua", "aqua-enforcer-ds", "Aqua"),
        ("falcon-system", "falcon-node-sensor", "CrowdStrike"), ("kubearmor", "kubearmor", "KubeArmor"),
        ("wiz", "wiz-sensor", "Wiz"), ("lacework", "lacework-agent", "Lacework"),
        ("kube-system", "kube-audit", "audit collection"),
    )}
}  # fmt: skip
"""Security workloads under the names of their own manifests and charts."""
