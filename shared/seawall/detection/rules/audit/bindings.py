"""Role bindings: cluster-admin, other powerful roles, any change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.workloads import at, items, mapping, once, text, written
from seawall.domain.alerts import Entity, Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.identities import actor_entity
from seawall.domain.severity import Severity

EVERYONE = frozenset({"system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"})
ADMIN_ROLES = frozenset({"cluster-admin", "system:masters", "cluster-admins", "cluster-owner"})
POWERFUL_ROLES = frozenset(
    {
        "admin", "edit", "system:node", "system:kube-controller-manager", "system:kube-scheduler",
        "system:aggregate-to-admin", "system:aggregate-to-edit", "system:controller:clusterrole-aggregation-controller",
        "system:controller:replicaset-controller", "system:controller:daemon-set-controller",
        "system:controller:job-controller", "system:controller:cronjob-controller",
        "system:controller:generic-garbage-collector", "system:controller:namespace-controller",
        "system:kubelet-api-admin", "system:auth-delegator", "system:persistent-volume-provisioner",
        "aks-cluster-admin-role", "eks:service-operations", "sudoer", "cluster-manager",
        "system:certificates.k8s.io:kube-apiserver-client-approver", "system:node-bootstrapper",
        "system:openshift:scc:privileged", "system:openshift:scc:hostaccess", "system:openshift:scc:hostmount-anyuid",
        "system:openshift:scc:hostnetwork", "system:openshift:scc:node-exporter", "system:openshift:scc:anyuid", "system:image-builder-admin",
    }
)  # fmt: skip
"""Built-in roles from which a way to more leads (bootstrap policy; distributions)."""
_BINDINGS = ("rolebindings", "clusterrolebindings")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a binding grants to whom; `subjects` are (kind, name, namespace)."""

    role: str
    role_kind: str
    subjects: tuple[tuple[str, str, str], ...]


@once
def binding_of(event: AuditEvent) -> Binding:
    """Return the binding that a request wrote, as far as its body says."""
    body = written(event)
    subjects = tuple(
        (text(item.get("kind")), text(item.get("name")), text(item.get("namespace")))
        for item in map(mapping, items(body.get("subjects"))[:200])
        if text(item.get("name"))
    )
    role, kind = text(at(body, "roleRef", "name")), text(at(body, "roleRef", "kind"))
    if not role and event.verb != "create":
        answer = event.response_body
        role, kind = text(at(answer, "roleRef", "name")), text(at(answer, "roleRef", "kind"))
    return Binding(role, kind, subjects)


def subject_entities(binding: Binding, cluster: str) -> tuple[Entity, ...]:
    """Return those who get the permissions as entities."""
    found = []
    for kind, name, namespace in binding.subjects[:20]:
        full = f"system:serviceaccount:{namespace}:{name}" if kind == "ServiceAccount" else name
        found.append(actor_entity(full, cluster))
    return tuple(found)


def subject_words(binding: Binding) -> str:
    """Return those who get the permissions, for a message."""
    words = [f"{kind or 'subject'} {f'{ns}/' if ns else ''}{name}" for kind, name, ns in binding.subjects[:3]]
    more = f" and {len(binding.subjects) - 3} more" if len(binding.subjects) > 3 else ""
    return (", ".join(words) or "somebody") + more


@detection(
    id="AU-0004",
    title="Somebody was bound to cluster-admin",
    severity=Severity.MEDIUM,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=_BINDINGS,
    catalogue=("K8S_ClusterAdminBinding",),
    needs=("request bodies of RBAC objects",),
    benign=(
        "Set-up of a new cluster, an operator or a CI system by an administrator.",
        "A GitOps controller applying a reviewed change (lowered).",
    ),
    investigate=("Is the subject a person, a service account, or somebody new?", "Did the caller bind itself?"),
    response="Delete the binding if nobody stands for it, then rotate the subject's credentials.",
    action="took cluster-admin",
    confidence="high",
)
def cluster_admin_bound(event: AuditEvent) -> Match | None:
    """A binding to `cluster-admin` (or to the group that bypasses authorisation) was made or changed."""
    binding = binding_of(event)
    to_masters = any(name == "system:masters" for _, name, _ in binding.subjects)
    if binding.role not in ADMIN_ROLES and not to_masters:
        return None
    if may(event, "write-bindings") and not binding.subjects:
        return None
    severity, reasons = grade(event, Severity.MEDIUM)
    wide = event.resource == "clusterrolebindings"
    if not wide:
        reasons.append("limited to one namespace")
    if event.name == "kubeadm:cluster-admins" and {name for _, name, _ in binding.subjects} == {event.name}:
        severity = min(severity, Severity.LOW)
        reasons.append("the binding that kubeadm makes for the cluster's first administrators")
    service_accounts = [name for kind, name, _ in binding.subjects if kind == "ServiceAccount"]
    if (
        wide
        and caller_kind(event.actor) == "service_account"
        and severity >= Severity.MEDIUM
        and not may(event, "write-bindings")
    ):
        severity = max(severity, Severity.HIGH)
        reasons.append("a service account granted it")
    if any(name == event.actor for _, name, _ in binding.subjects):
        severity = max(severity, Severity.HIGH)
        reasons.append("the caller granted it to itself")
    if wide and any(name == "default" for name in service_accounts):
        reasons.append("a default service account gets it: every pod without its own uses that")
        severity = max(severity, Severity.HIGH) if severity >= Severity.MEDIUM else severity
    if may(event, "write-bindings"):
        severity = Severity.INFORMATIONAL
        reasons.append("a platform identity wrote it")
    return Match(
        f"{who(event)} bound {subject_words(binding)} to {binding.role or 'system:masters'} by {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
        entities=subject_entities(binding, event.cluster),
    )


@detection(
    id="AU-0005",
    title="Somebody was bound to a powerful built-in role",
    severity=Severity.MEDIUM,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=_BINDINGS,
    catalogue=("K8S_HighPrivilegesRole", "K8S_ServiceAcountPermissionAnomaly"),
    needs=("request bodies of RBAC objects",),
    benign=("A team gets `admin` or `edit` in its own namespace (lowered to informational).",),
    investigate=("Which objects does the role open?", "Who is the subject?"),
    response="Remove the binding, grant a narrower role.",
    action="was given a powerful role",
)
def powerful_role_bound(event: AuditEvent) -> Match | None:
    """`admin`, `edit` or a role of the control plane itself was bound; cluster-wide it is nearly cluster-admin."""
    binding = binding_of(event)
    if binding.role not in POWERFUL_ROLES or may(event, "write-bindings"):
        return None
    if binding.role in ("system:auth-delegator", "system:openshift:scc:anyuid"):
        base = Severity.LOW
    elif event.resource == "rolebindings" and binding.role in ("admin", "edit"):
        base = Severity.INFORMATIONAL
    elif binding.role == "system:node-bootstrapper":
        base = Severity.LOW
    else:
        base = Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} bound {subject_words(binding)} to {binding.role} by {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
        entities=subject_entities(binding, event.cluster),
    )


@detection(
    id="AU-0006",
    title="Role binding changed",
    severity=Severity.INFORMATIONAL,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=_BINDINGS,
    catalogue=(
        "Sigma: Kubernetes Rolebinding Modification",
        "Elastic: Creation of a RoleBinding Referencing a ServiceAccount",
    ),
    needs=("metadata of RBAC writes",),
    benign=("Ordinary administration, charts and operators.",),
    investigate=("Join it with what the subject did next.",),
    response="None alone; it gives context to other alerts.",
    action="changed a role binding",
    confidence="low",
)
def binding_written(event: AuditEvent) -> Match | None:
    """A record that permissions were handed out, for incidents; platform identities are left out."""
    if may(event, "write-bindings") or may(event, "control-loops") or may(event, "deploy"):
        return None
    binding = binding_of(event)
    if binding.role in ADMIN_ROLES | POWERFUL_ROLES:
        return None
    base = Severity.INFORMATIONAL
    reasons: tuple[str, ...] = ()
    if caller_kind(event.actor) == "service_account" and any(k == "ServiceAccount" for k, _, _ in binding.subjects):
        base, reasons = Severity.LOW, ("a service account gives permissions to a service account",)
    elif not binding.role and _ADMIN_NAME.search(event.name):
        base, reasons = Severity.LOW, ("its contents were not logged, its name says administrator",)
    elif any(name == "system:nodes" or name.startswith("system:serviceaccounts:") for _, name, _ in binding.subjects):
        base, reasons = Severity.LOW, ("every node, or every service account of a namespace, gets it",)
    return Match(
        f"{who(event)} wrote {event.resource} {place(event)}: {binding.role or 'role not logged'} for {subject_words(binding)}",
        severity=base,
        reasons=reasons,
        entities=subject_entities(binding, event.cluster),
    )


_ADMIN_NAME = re.compile(r"cluster-?admin|system:masters", re.IGNORECASE)
_HAND_TOOL = re.compile(r"(kubectl|oc|curl|wget|python|python-requests|ruby|java)[/ _-]", re.IGNORECASE)


@detection(
    id="AU-0008",
    title="Roles or bindings written by a service account",
    severity=Severity.LOW,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete", "deletecollection"),
    resources=("roles", "clusterroles", *_BINDINGS),
    actors=("service_account",),
    catalogue=(
        "Elastic: Service Account Modified RBAC Objects",
        "K8S_ServiceAcountPermissionAnomaly",
        "K8S_ServiceAccountRareOperation",
    ),
    needs=("metadata of RBAC writes",),
    benign=(
        "Operators that make roles for what they manage; CI that deploys with a service account (medium with kubectl).",
    ),
    investigate=("Which pod holds the token?", "What does the written role or binding allow, and to whom?"),
    response="Restore the object; delete the service account's pods and its bindings if nobody stands for it.",
    action="changed who may do what with a service account",
)
def rbac_by_service_account(event: AuditEvent) -> Match | None:
    """A workload's identity changed permissions. Few workloads have that task; with a tool that people use by hand, the
    token was probably taken out of its pod. Platform identities are left out by exact name."""
    if any(may(event, power) for power in ("write-bindings", "control-loops", "deploy", "system-workloads")):
        return None
    by_hand = bool(_HAND_TOOL.match(event.agent))
    wide = event.resource.startswith("cluster")
    own = is_own_namespace(event, event.namespace)
    reasons = [f"with the client {event.agent[:60]!r}"] if by_hand and not own else []
    base = Severity.MEDIUM if reasons else Severity.LOW if wide or not own else Severity.INFORMATIONAL
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}",
        severity=min(severity, Severity.LOW) if own else severity,
        reasons=(*reasons, *found),
        key=f"{event.actor}|{event.resource}|{event.namespace}",
    )


@detection(
    id="AU-0007",
    title="Platform role or binding deleted or changed",
    severity=Severity.HIGH,
    attack=("T1098.006", "T1531"),
    on=AuditEvent,
    verbs=("update", "patch", "delete", "deletecollection"),
    resources=("roles", "clusterroles", *_BINDINGS),
    catalogue=("Falco: System ClusterRole Modified/Deleted", "Panther: System Role Modified or Deleted"),
    needs=("metadata of RBAC writes",),
    benign=(
        "Reconciliation by the API server or the distribution after an upgrade (left out by exact identity).",
        "An administrator aggregating rules into a built-in role.",
    ),
    investigate=("Compare the role with the distribution's original.", "Who uses the role?"),
    response="Restore the role: the API server re-creates its defaults on restart (auto-update annotation).",
    action="changed the platform's own roles",
    confidence="high",
)
def system_role_changed(event: AuditEvent) -> Match | None:
    """Roles named `system:…` are the control plane's own. Widening one gives every component that uses it new power; deleting
    all roles of a platform namespace, or of the cluster, takes it away."""
    name = event.name
    if event.verb == "deletecollection":
        if event.namespace and not context().is_system(event.namespace):
            return None
        name = "system:"
    if not (name.startswith(("system:", "eks:", "gce:", "aks-")) or name in ("cluster-admin", "admin", "edit", "view")):
        return None
    if may(event, "write-bindings") or may(event, "control-loops"):
        return None
    base = Severity.HIGH if name.startswith("system:") or name == "cluster-admin" else Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}", severity=severity, reasons=tuple(reasons)
    )
