"""Identities that act as others, and who may log in."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.describe import short
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import BREAK_GLASS_GROUP, done, grade, may, who
from seawall.detection.workloads import mapping, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity


@detection(
    id="AU-0605",
    title="Impersonation",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1550", "T1134"),
    on=AuditEvent,
    impersonated=True,
    outcomes=("allowed", "denied", "failed"),
    catalogue=("X_Impersonation", "Elastic: API Request Impersonating Privileged Identity"),
    needs=("metadata of all requests",),
    benign=(
        "`kubectl --as` of an administrator who tests permissions (low).",
        "Portals that forward logged-in users (left out by exact identity).",
    ),
    investigate=("Why did the caller need the other identity?",),
    response="Take the impersonate right away where nobody needs it.",
    action="acted as somebody else",
)
def impersonation(event: AuditEvent) -> Match | None:
    """The caller acted as another user. The permissions are the other's, and so is the name in what it created."""
    assert event.impersonated is not None
    name = event.impersonated.username or ""
    groups = event.impersonated.groups or []
    forwarder = context().allowances.may(event.actor, "impersonate")
    privileged = (
        BREAK_GLASS_GROUP in groups
        or name in ("cluster-admin", "kubernetes-admin", "system:admin", "kubernetes-super-admin", "admin")
        or (name.startswith("system:") and caller_kind(name) in ("system", "node"))
        or name.startswith("system:serviceaccount:kube-system:")
    )
    if forwarder and not (privileged and BREAK_GLASS_GROUP in groups):
        return None
    own = BREAK_GLASS_GROUP in event.groups
    if privileged and own and BREAK_GLASS_GROUP in groups and not name.startswith("system:"):
        base, reason = Severity.LOW, "the caller is a member of system:masters itself"
    elif privileged:
        base, reason = Severity.HIGH, "the other identity is privileged"
    elif own:
        base, reason = Severity.LOW, "the caller is a member of system:masters"
    elif caller_kind(event.actor) == "service_account":
        base, reason = Severity.MEDIUM, "a service account acts as somebody else"
    else:
        base, reason = Severity.LOW, "an ordinary user acts as an ordinary user"
    if event.code >= 400:
        base = Severity.LOW if base >= Severity.MEDIUM else Severity.INFORMATIONAL
        reason += "; it was refused what it asked for"
    return Match(
        f"{event.actor or 'A caller'} acted as {name or 'another user'} ({event.verb} {event.resource or 'request'})",
        severity=base,
        reasons=(reason,),
        key=f"{event.actor}|as|{name}|{base}",
    )


@detection(
    id="AU-0606",
    title="Impersonation was denied",
    severity=Severity.MEDIUM,
    attack=("T1134", "T1078"),
    on=AuditEvent,
    outcomes=("denied",),
    catalogue=("X_Impersonation",),
    needs=("metadata of all requests",),
    benign=("A wrong kubeconfig.",),
    investigate=("What else did the caller try?",),
    response="Check the caller's credentials.",
    action="tried to act as somebody else",
)
def impersonation_denied(event: AuditEvent) -> Match | None:
    """Somebody without the right tried to act as another user.

    The API server logs what was asked for, without the other identity: only the words of its refusal tell.
    """
    if event.verb == "impersonate":
        return Match(f"{who(event)} was denied impersonation of {event.resource} {event.name}")
    found = _NO_IMPERSONATION.search((event.response and event.response.message) or "")
    if found is None:
        return None
    return Match(
        f"{who(event)} was denied impersonation of {found.group(1)} {short(event.name, 200)}".rstrip(),
        key=f"{event.actor}|impersonation",
    )


_NO_IMPERSONATION = re.compile(r'cannot impersonate resource "([a-z/.-]{1,60})"')


@detection(
    id="AU-0613",
    title="Cluster login mapping changed (aws-auth)",
    severity=Severity.HIGH,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete"),
    resources=("configmaps",),
    catalogue=("X_ClusterAuthMapChanged", "Elastic: EKS Authentication Configuration Modified"),
    needs=("metadata of writes of ConfigMaps in kube-system",),
    platforms=("eks",),
    platform_notes={
        "aks": "AKS has no such ConfigMap; see CL-0103.",
        "gke": "GKE has no such ConfigMap; see CL-0103.",
        "self-managed": "Only with aws-iam-authenticator.",
    },
    benign=("A new node group (made by EKS itself), an administrator who adds a team.",),
    investigate=("Which role or user was mapped to which group?",),
    response="Restore the mapping; move to access entries, which CloudTrail records.",
    action="changed who may log in to the cluster",
    confidence="high",
)
def aws_auth_changed(event: AuditEvent) -> Match | None:
    """`aws-auth` says which AWS identities become which Kubernetes users: one line makes an outsider an administrator."""
    if (
        event.name != "aws-auth"
        or event.namespace != "kube-system"
        or may(event, "system-workloads")
        or may(event, "control-loops")
    ):
        return None
    body = " ".join(value for value in mapping(written(event).get("data")).values() if isinstance(value, str))
    reasons = ["it maps somebody to system:masters"] if BREAK_GLASS_GROUP in body else []
    severity, found = grade(event, Severity.HIGH, target_namespace="")
    return Match(f"{who(event)} {done(event)} aws-auth", severity=severity, reasons=(*reasons, *found))


@detection(
    id="AU-0616",
    title="Everyday use of system:masters",
    severity=Severity.INFORMATIONAL,
    attack=("T1078",),
    on=AuditEvent,
    verbs=("create", "update", "patch", "delete", "deletecollection"),
    actors=("user",),
    enabled=False,
    catalogue=("Falco: Full K8s Administrative Access",),
    needs=("metadata of writes",),
    benign=("Clusters whose only login is the administrator's certificate.",),
    investigate=("Could the change have been made with a narrower identity?",),
    response="Give people roles of their own, keep the group for emergencies.",
    action="worked as a member of system:masters",
    confidence="low",
)
def masters_used(event: AuditEvent) -> Match | None:
    """Members of system:masters pass every authorisation check, and nothing can take that from their certificate."""
    if BREAK_GLASS_GROUP not in event.groups or context().allowances.is_platform(event.actor):
        return None
    return Match(f"{who(event)} changed {event.resource} as a member of system:masters", key=f"{event.actor}|masters")
