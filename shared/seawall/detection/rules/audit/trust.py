"""What the cluster's trust rests on beside RBAC: who may log in, which servers answer for it, how its nodes are set up."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.workloads import WRITES, at, items, mapping, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_CRITICAL_MAPS: dict[tuple[str, str], tuple[Severity, str]] = {
    ("kube-system", "extension-apiserver-authentication"): (Severity.HIGH, "the keys that front proxies log in with"),
    ("kube-system", "kube-proxy"): (Severity.MEDIUM, "how every node forwards traffic"),
    ("kube-system", "kubeadm-config"): (Severity.MEDIUM, "how control-plane nodes are set up"),
    ("kube-system", "kubelet-config"): (Severity.MEDIUM, "how kubelets are set up"),
    ("kube-public", "cluster-info"): (Severity.MEDIUM, "which API server joining nodes trust"),
    ("argocd", "argocd-rbac-cm"): (Severity.MEDIUM, "who may deploy by Argo CD"),
    ("argocd", "argocd-cm"): (Severity.MEDIUM, "who may log in to Argo CD, and what it deploys"),
    ("openshift-config", "admin-kubeconfig-client-ca"): (Severity.HIGH, "whose client certificates are administrators"),
    ("openshift-config", "user-ca-bundle"): (Severity.MEDIUM, "which certificate authorities the cluster trusts"),
}
"""ConfigMaps that decide whom the cluster trusts (kubeadm, aggregation layer, Argo CD and OpenShift documentation)."""

_VERSION = re.compile(r"-1\.\d{1,2}$")
"""Before 1.24 kubeadm named the kubelets' ConfigMap after their version."""


@detection(
    id="AU-0408",
    title="Configuration that the cluster's trust rests on changed",
    severity=Severity.MEDIUM,
    attack=("T1098", "T1556"),
    on=AuditEvent,
    verbs=("update", "patch", "delete"),
    resources=("configmaps",),
    catalogue=("X_ClusterAuthMapChanged", "Elastic: Kubernetes Security-Critical ConfigMap Modified"),
    needs=("metadata of writes of ConfigMaps in kube-system",),
    platforms=("aks", "eks", "self-managed"),
    platform_notes={"gke": "GKE's fixed audit policy does not record writes of these ConfigMaps."},
    benign=("Upgrades with kubeadm by an administrator; a reviewed change of Argo CD's access rules.",),
    investigate=("What changed, compared with the last known content?", "Who gained access by it?"),
    response="Restore the ConfigMap, then look for logins and deployments since the change.",
    action="changed whom the cluster trusts",
    confidence="high",
)
def trust_configuration_changed(event: AuditEvent) -> Match | None:
    """A ConfigMap was written that decides who may log in, which certificate authority counts, or how nodes are set up."""
    name = _VERSION.sub("", event.name)
    found = _CRITICAL_MAPS.get((event.namespace, name))
    if found is None or any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    if event.actor == "system:apiserver" or is_own_namespace(event, event.namespace):
        return None
    base, what = found
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} ConfigMap {place(event)}, which says {what}",
        severity=severity,
        reasons=tuple(reasons),
    )


_PLATFORM_POWERS = ("control-loops", "system-workloads", "write-bindings")


def _group(event: AuditEvent) -> str:
    return (event.object_ref and event.object_ref.api_group) or ""


@detection(
    id="AU-0409",
    title="API of the cluster handed to another server",
    severity=Severity.MEDIUM,
    attack=("T1557", "T1546"),
    on=AuditEvent,
    verbs=WRITES,
    resources=("apiservices", "customresourcedefinitions"),
    mentions=(b"service", b"url"),
    catalogue=("X_AdmissionWeakened",),
    needs=("request bodies of APIService objects and resource definitions",),
    benign=("Installation of metrics-server, KEDA or another API extension (low).",),
    investigate=("Which Service answers for the group now, and who runs it?",),
    response="Put the APIService back; rotate tokens of those who called the group meanwhile.",
    action="handed a part of the API to another server",
)
def api_service_written(event: AuditEvent) -> Match | None:
    """An APIService sends a whole API group, with its callers' requests, to a Service in the cluster. A new one is how
    extensions are installed; one that is turned elsewhere hijacks what others trust. A resource definition that is converted
    by a server outside the cluster hands it each object of that kind."""
    if any(may(event, power) for power in _PLATFORM_POWERS):
        return None
    if event.resource == "customresourcedefinitions":
        url = text(at(written(event), "spec", "conversion", "webhook", "clientConfig", "url"))
        if not url:
            return None
        severity, reasons = grade(event, Severity.MEDIUM)
        return Match(
            f"{who(event)} {done(event)} resource definition {event.name}, whose objects {url[:100]} converts",
            severity=severity,
            reasons=tuple(reasons),
        )
    service = mapping(at(written(event), "spec", "service"))
    if not service or (event.verb == "create" and _group(event) not in ("", "apiregistration.k8s.io")):
        return None
    if is_own_namespace(event, text(service.get("namespace"))):
        return None
    base = Severity.LOW if event.verb == "create" else Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} APIService {event.name}, which {text(service.get('namespace'))}/{text(service.get('name'))} answers",
        severity=severity,
        reasons=tuple(reasons),
    )


@detection(
    id="AU-0410",
    title="Configuration of all nodes written",
    severity=Severity.MEDIUM,
    attack=("T1543", "T1098.004"),
    on=AuditEvent,
    verbs=WRITES,
    resources=("machineconfigs", "kubeletconfigs", "containerruntimeconfigs"),
    catalogue=("X_StaticPodDirMount",),
    needs=("metadata of writes of these objects",),
    platforms=("self-managed",),
    platform_notes=dict.fromkeys(("aks", "eks", "gke"), "These objects exist on OpenShift only."),
    benign=("An administrator of OpenShift who tunes nodes; GitOps (lowered).",),
    investigate=("Which files, units, users and keys does it bring to the nodes?",),
    response="Delete the object; the operator rolls the nodes back.",
    action="changed the configuration of all nodes",
)
def node_configuration_written(event: AuditEvent) -> Match | None:
    """A MachineConfig writes files, services and login keys of every node of a pool. Operators of the platform do that."""
    if _group(event) not in ("", "machineconfiguration.openshift.io") or any(may(event, p) for p in _PLATFORM_POWERS):
        return None
    if event.actor.startswith("system:serviceaccount:openshift-"):
        return None
    users = items(at(written(event), "spec", "config", "passwd", "users"))
    severity, reasons = grade(event, Severity.HIGH if users else Severity.MEDIUM)
    if users:
        reasons.append("it brings users or login keys")
    return Match(f"{who(event)} {done(event)} {event.resource} {event.name}", severity=severity, reasons=tuple(reasons))


@detection(
    id="AU-0618",
    title="Login provider, user or group of OpenShift written",
    severity=Severity.MEDIUM,
    attack=("T1136", "T1098"),
    on=AuditEvent,
    verbs=WRITES,
    resources=("oauths", "users", "groups", "identities", "useridentitymappings", "oauthclients"),
    catalogue=("X_ClusterAuthMapChanged",),
    needs=("metadata of writes of these objects",),
    platforms=("self-managed",),
    platform_notes=dict.fromkeys(("aks", "eks", "gke"), "These objects exist on OpenShift only."),
    benign=("An administrator who adds a colleague (low); a first login (left out by exact identity).",),
    investigate=("Who can log in now that could not before?",),
    response="Remove the entry, end the sessions of those it let in.",
    action="changed who may log in",
)
def openshift_login_written(event: AuditEvent) -> Match | None:
    """Who may log in to OpenShift, and which groups they are in, was written by hand: low for a person's account, medium
    for a login provider, a login client and groups that administer."""
    if not _group(event).endswith("openshift.io") or event.actor.startswith("system:serviceaccount:openshift-"):
        return None
    if any(may(event, power) for power in _PLATFORM_POWERS):
        return None
    names = {event.name, *texts(written(event).get("groups"))}
    strong = event.resource in ("oauths", "oauthclients") or any(map(_ADMINISTERS.search, names))
    if event.resource == "users" and event.name == "~":
        return None
    severity, reasons = grade(event, Severity.MEDIUM if strong else Severity.LOW)
    return Match(f"{who(event)} {done(event)} {event.resource} {event.name}", severity=severity, reasons=tuple(reasons))


_ADMINISTERS = re.compile(r"(^|[-:])(cluster-)?admins?$|^system:masters$")


@detection(
    id="AU-0912",
    title="Endpoints of a service written by hand",
    severity=Severity.LOW,
    attack=("T1557",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("endpoints", "endpointslices"),
    catalogue=("X_ServiceExternalIPs",),
    needs=("request bodies of endpoints",),
    benign=("An external database given a name in the cluster.",),
    investigate=("Whose address is it, and which Service sends traffic there?",),
    response="Delete the endpoints; take the right to write them away (CVE-2021-25740).",
    action="sent a service's traffic elsewhere",
)
def endpoints_written(event: AuditEvent) -> Match | None:
    """A person gave a Service addresses of their own: its callers are sent there, past network policies. An address of
    the node itself or of the cloud's metadata service is medium."""
    if caller_kind(event.actor) not in ("user", "anonymous") or any(may(event, power) for power in _PLATFORM_POWERS):
        return None
    body = written(event)
    addresses = [
        text(mapping(address).get("ip"))
        for subset in map(mapping, items(body.get("subsets"))[:50])
        for address in items(subset.get("addresses"))[:50]
    ] + [name for entry in map(mapping, items(body.get("endpoints"))[:50]) for name in texts(entry.get("addresses"))]
    if not addresses:
        return None
    inward = any(address.startswith(("127.", "169.254.")) or address == "::1" for address in addresses)
    severity, reasons = grade(event, Severity.MEDIUM if inward else Severity.LOW)
    return Match(
        f"{who(event)} pointed Service {place(event)} at {', '.join(addresses[:3])}",
        severity=severity,
        reasons=tuple(reasons),
    )
