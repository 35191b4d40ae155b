"""Client certificates: asked for and approved."""

from __future__ import annotations

import base64
import binascii
import re

from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import BREAK_GLASS_GROUP, grade, may, who
from seawall.detection.workloads import at, items, mapping, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_PRIVILEGED_SUBJECTS = (
    "system:masters",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "kube-apiserver",
    "system:nodes",
    "system:node:",
    "cluster-admin",
    "kubernetes-admin",
    "system:serviceaccount:",
    "system:apiserver",
)


_CLIENT_SIGNERS = (
    "kubernetes.io/kube-apiserver-client",
    "kubernetes.io/kube-apiserver-client-kubelet",
    "kubernetes.io/legacy-unknown",
)


def _csr_subject(body: dict[str, object]) -> bytes:
    request = at(body, "spec", "request")
    if not isinstance(request, str) or len(request) > 100_000:
        return b""
    try:
        pem = base64.b64decode(request)
        inner = re.search(rb"-----BEGIN [A-Z ]*CERTIFICATE REQUEST-----(.+?)-----END", pem, re.DOTALL)
        return base64.b64decode(inner.group(1)) if inner else pem
    except (binascii.Error, ValueError):
        return b""


@detection(
    id="AU-0603",
    title="Client certificate requested",
    severity=Severity.LOW,
    attack=("T1098", "T1649"),
    on=AuditEvent,
    verbs=("create",),
    resources=("certificatesigningrequests",),
    catalogue=(
        "X_CsrAbuse",
        "Panther: Client Certificate Credential Created",
        "Elastic: Client Certificate Signing Request Created or Approved",
    ),
    needs=("request bodies of certificate signing requests",),
    benign=(
        "Administrators who give out certificates; operators that ask for serving certificates (left out by signer).",
    ),
    investigate=("Which name and groups does the request hold?", "Was it approved, and by whom?"),
    response="Deny or delete the request; a certificate that was issued cannot be taken back: rotate the CA or deny the user.",
    action="asked for a client certificate",
)
def client_certificate_requested(event: AuditEvent) -> Match | None:
    """A client certificate is a login that cannot be revoked and outlives the account that asked for it.

    A name or group of the control plane in the request makes it high.
    """
    if any(may(event, power) for power in ("approve-certificates", "control-loops", "system-workloads")):
        return None
    body = written(event)
    signer = text(at(body, "spec", "signerName"))
    if signer and signer not in _CLIENT_SIGNERS:
        return None
    kind = caller_kind(event.actor)
    if kind == "node" or event.actor.startswith("system:bootstrap:"):
        own = not signer or signer.endswith("kubelet")
        return (
            None
            if own
            else Match(f"{who(event)} asked for a client certificate that is not a node's", severity=Severity.HIGH)
        )
    base, reasons = Severity.LOW, []
    subject = _csr_subject(body)
    names = [name for name in _PRIVILEGED_SUBJECTS if name.encode() in subject]
    groups = [name for name in texts(at(body, "spec", "groups")) if name == BREAK_GLASS_GROUP]
    if names:
        base = Severity.HIGH
        reasons.append(f"for {names[0]}")
    if kind == "service_account":
        base = max(base, Severity.MEDIUM)
        reasons.append("asked for by a service account")
    if groups and not names:
        reasons.append("by a member of system:masters")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} asked for client certificate {event.name}", severity=severity, reasons=(*reasons, *found)
    )


@detection(
    id="AU-0604",
    title="Certificate request approved by hand",
    severity=Severity.MEDIUM,
    attack=("T1649", "T1098"),
    on=AuditEvent,
    verbs=("update", "patch"),
    resources=("certificatesigningrequests/approval", "certificatesigningrequests/status"),
    catalogue=("X_CsrAbuse",),
    needs=("metadata of certificate approvals",),
    benign=("An administrator approving a colleague or a node.",),
    investigate=("Whose certificate is it? Did the approver ask for it too?",),
    response="Find what the certificate was used for; rotate the CA if it must not live.",
    action="approved a client certificate",
    confidence="high",
)
def certificate_approved(event: AuditEvent) -> Match | None:
    """Somebody other than the platform's approvers let a certificate be signed."""
    if any(may(event, power) for power in ("approve-certificates", "control-loops", "system-workloads")):
        return None
    body = written(event)
    base, reasons = Severity.MEDIUM, []
    conditions = [text(mapping(item).get("type")) for item in items(at(body, "status", "conditions"))]
    if conditions and "Approved" not in conditions and event.resource.endswith("approval"):
        return None
    if event.resource.endswith("status"):
        if not at(body, "status", "certificate"):
            return None
        base = Severity.HIGH
        reasons.append("the certificate was put in directly, past the signer")
    requester = text(at(body, "spec", "username"))
    if requester and requester == event.actor:
        base = Severity.HIGH
        reasons.append("the approver had asked for it")
    if any(name.encode() in _csr_subject(body) for name in _PRIVILEGED_SUBJECTS):
        base = Severity.HIGH
        reasons.append("for a name of the control plane")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} approved certificate request {event.name}", severity=severity, reasons=(*reasons, *found)
    )
