"""Who may call the API server at all: anonymous callers, permissions given to everyone."""

from __future__ import annotations

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.judgement import match, place, who
from seawall.detection.rules.audit.bindings import EVERYONE, binding_of
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

HEALTH_PATHS = (
    "/healthz", "/livez", "/readyz", "/version", "/api", "/apis", "/openapi/v2", "/openapi/v3",
    "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/openid/v1/jwks",
)  # fmt: skip
"""What every default installation answers without a login (ClusterRole system:public-info-viewer, discovery)."""


def is_public_path(uri: str) -> bool:
    """True for a path that tells nothing about the cluster's contents."""
    path = uri.partition("?")[0].rstrip("/")
    return path in HEALTH_PATHS or path.startswith(("/healthz/", "/livez/", "/readyz/"))


def _is_harmless(event: AuditEvent) -> bool:
    if event.object_ref is not None and event.object_ref.resource:
        return False
    # Bootstrap and login endpoints carry their own proof.
    return is_public_path(event.uri) if event.uri else not event.verb


@detection(
    id="AU-0001",
    title="Anonymous API request was allowed",
    severity=Severity.HIGH,
    attack=("T1078.001", "T1190"),
    on=AuditEvent,
    actors=("anonymous",),
    catalogue=("X_AnonymousAccess",),
    needs=("metadata of all requests",),
    benign=(
        "A load balancer or installer that reads a path your own role opened to everyone.",
        "`kubeadm join` reading the `cluster-info` ConfigMap in kube-public (lowered).",
    ),
    investigate=("Find the binding named in authorization.k8s.io/reason.", "List what else this address asked for."),
    response="Remove the binding that lets unauthenticated users in, or switch off anonymous authentication.",
    action="got in without a login",
    confidence="high",
)
def anonymous_request_allowed(event: AuditEvent) -> Match | None:
    """Somebody who did not authenticate asked for something other than a health path, and the API server gave it.

    By default anonymous callers reach only version and health. Anything else means that a role was bound to
    `system:anonymous` or `system:unauthenticated`.
    """
    if _is_harmless(event):
        return None
    base = Severity.HIGH
    if event.resource == "configmaps" and event.namespace == "kube-public" and event.name == "cluster-info":
        base = Severity.LOW
    kind = context().networks.kind(event.source_ip)
    reasons = ("the call came from a public address",) if kind in ("public", "cloud", "listed") else ()
    if base is Severity.LOW:
        return Match("An anonymous caller read the join information of the cluster", severity=base, reasons=reasons)
    return match(
        event, base, f"was allowed to {event.verb} {event.resource or event.uri} {place(event)}", reasons=reasons
    )


@detection(
    id="AU-0002",
    title="Anonymous request to a health endpoint from a public address",
    severity=Severity.INFORMATIONAL,
    attack=("T1190",),
    on=AuditEvent,
    actors=("anonymous",),
    origins=("public", "cloud", "listed"),
    catalogue=("X_AnonymousAccess",),
    needs=("metadata of all requests",),
    benign=("Health checks of a managed load balancer.",),
    investigate=("Check that the API server is meant to be reachable from this network.",),
    response="Limit the API server's public addresses to those that need it.",
    action="asked for the API server's health from outside",
    confidence="low",
)
def anonymous_health_from_outside(event: AuditEvent) -> Match | None:
    """The API server answers the public internet. Harmless alone; it shows that the endpoint is exposed and probed."""
    if not _is_harmless(event) or not event.uri:
        return None
    return Match(
        f"Anonymous {event.verb or 'request'} of {event.uri.partition('?')[0]} from {event.source_ip}",
        key=f"health|{event.source_ip}",
    )


@detection(
    id="AU-0003",
    title="Permissions were given to everyone",
    severity=Severity.HIGH,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("rolebindings", "clusterrolebindings"),
    catalogue=("X_AnonymousBinding",),
    needs=("request bodies of RBAC objects",),
    benign=("The distribution's own bindings of discovery roles to system:authenticated during an upgrade.",),
    investigate=("Read what the role allows.", "Search for anonymous or unexpected calls since then."),
    response="Delete the binding, then look for use of it since it was made.",
    action="opened the cluster to everyone",
    confidence="high",
)
def everyone_bound(event: AuditEvent) -> Match | None:
    """A role was bound to anonymous callers, or to every authenticated one.

    On GKE `system:authenticated` is anybody with a Google account; elsewhere it is every service account.
    """
    binding = binding_of(event)
    groups = sorted(name for kind, name, _ in binding.subjects if name in EVERYONE and kind in ("Group", "User", ""))
    if not groups or (binding.role in _PUBLIC_ROLES and groups in _USUAL):
        return None
    base = Severity.HIGH
    if binding.role == "kubeadm:bootstrap-signer-clusterinfo" and event.namespace == "kube-public":
        return Match(f"{who(event)} opened the join information of the cluster to everyone", severity=Severity.LOW)
    if groups == ["system:authenticated"] and binding.role not in ("cluster-admin", "admin", "edit"):
        base = Severity.MEDIUM
    return match(event, base, f"bound {binding.role or 'a role'} to {', '.join(groups)} in {place(event)}")


_USUAL = (
    ["system:authenticated"],
    ["system:serviceaccounts"],
    ["system:authenticated", "system:unauthenticated"],
)
"""To whom Kubernetes and OpenShift bind them."""
_PUBLIC_ROLES = frozenset(
    {
        "system:basic-user", "system:discovery", "system:public-info-viewer", "system:scope-impersonation",
        "system:service-account-issuer-discovery", "basic-user", "self-access-reviewer", "cluster-status",
        "system:openshift:discovery", "system:openshift:public-info-viewer", "system:oauth-token-deleter",
        "system:webhook", "system:build-strategy-docker", "helm-chartrepos-viewer", "console-extensions-reader",
    }
)  # fmt: skip
"""Roles that Kubernetes and OpenShift bind to everyone themselves (bootstrap policies)."""
