"""Admission control: webhooks, policies, pod security labels."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import grade, may, place, who
from seawall.detection.workloads import at, items, mapping, text, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

WEBHOOKS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


POLICIES = (
    "validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings", "clusterpolicies", "policies", "constrainttemplates", "podsecuritypolicies",
    "policyexceptions", "validatingpolicies", "imagevalidatingpolicies", "securitycontextconstraints", "k8s*",
)  # fmt: skip
"""Objects that decide what is admitted: Kubernetes, Kyverno, Gatekeeper (whose library names constraints K8s...), OpenShift."""


@detection(
    id="AU-0402",
    title="Admission webhook registered or changed",
    severity=Severity.MEDIUM,
    attack=("T1546", "T1557"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=WEBHOOKS,
    catalogue=(
        "K8S_AdmissionController",
        "Elastic: Admission Webhook Created or Modified",
        "Panther: Admission Controller Webhook Created",
        "Sigma: Kubernetes Admission Controller Modification",
    ),
    needs=("request bodies of webhook configurations",),
    benign=("Installation of cert-manager, a mesh, a policy engine or an operator.",),
    investigate=("Where does the webhook point, which objects does it see, does it see secrets?",),
    response="Delete the configuration if nobody stands for it; list what was created since.",
    action="registered an admission webhook",
    confidence="high",
)
def webhook_registered(event: AuditEvent) -> Match | None:
    """A webhook sees, and a mutating one changes, every object it asks for: secrets in clear, containers added.

    A change is low, since certificates are refreshed that way, unless it sends the objects out of the cluster.
    """
    if may(event, "webhooks"):
        return None
    made = event.verb == "create"
    base, reasons = (Severity.MEDIUM if made else Severity.LOW), []
    hooks = [mapping(hook) for hook in items(written(event).get("webhooks"))[:50]]
    for hook in hooks:
        url = text(at(hook, "clientConfig", "url"))
        if url and not re.match(r"https://[^/]+\.svc(\.|[:/]|$)|https://(127\.0\.0\.1|localhost)[:/]", url):
            base = Severity.HIGH
            reasons.append(f"it points outside the cluster: {url[:100]}")
        rules = [mapping(rule) for rule in items(hook.get("rules"))]
        if any("*" in items(rule.get("resources")) or "secrets" in items(rule.get("resources")) for rule in rules):
            reasons.append("it sees secrets")
    if not made and (base < Severity.HIGH and _own(event)):
        return None
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} {'registered' if made else 'changed'} the webhook configuration {event.name}",
        severity=severity,
        reasons=(*reasons, *found),
    )


@detection(
    id="AU-0403",
    title="Admission control weakened",
    severity=Severity.HIGH,
    attack=("T1562.001",),
    on=AuditEvent,
    verbs=("update", "patch", "delete", "deletecollection"),
    resources=(*WEBHOOKS, *POLICIES),
    catalogue=("X_AdmissionWeakened",),
    needs=("request bodies of webhook configurations and policies",),
    benign=("Removal of a product; a certificate refresh (left out by content).",),
    investigate=("Which policy no longer holds?", "What was created since that it would have stopped?"),
    response="Restore the policy, then re-check what was admitted meanwhile.",
    action="weakened admission control",
    confidence="high",
)
def admission_weakened(event: AuditEvent) -> Match | None:
    """A webhook or policy was deleted, or set to let pass what it cannot check, to only warn, or to skip namespaces."""
    if any(may(event, power) for power in ("webhooks", "system-workloads", "control-loops")):
        return None
    hook = event.resource in WEBHOOKS
    if (
        event.resource.startswith("k8s")
        and (event.object_ref and event.object_ref.api_group) != "constraints.gatekeeper.sh"
    ):
        return None
    if event.verb in ("delete", "deletecollection"):
        why = "deleted it"
        if event.resource == "policyexceptions":
            return None
    else:
        why = _weakening(written(event), hook=hook)
        if not why:
            return None
    severity, reasons = grade(event, Severity.LOW if event.verb == "delete" and _own(event) else Severity.HIGH)
    return Match(
        f"{who(event)} changed {event.resource} {event.name or '(all)'}: {why}",
        severity=severity,
        reasons=tuple(reasons),
    )


def _own(event: AuditEvent) -> bool:
    """An operator that removes the webhook it made: named after its service account's namespace."""
    parts = event.actor.split(":")
    return len(parts) == 4 and bool(parts[2]) and parts[2] in event.name


def _weakening(body: dict[str, object], *, hook: bool) -> str:
    if hook:
        for item in map(mapping, items(body.get("webhooks"))[:50]):
            if item.get("failurePolicy") == "Ignore":
                return "failures are ignored"
            rules = item.get("rules")
            if isinstance(rules, list) and not rules:
                return "it looks at nothing any more"
            for expression in items(at(item, "namespaceSelector", "matchExpressions")):
                by_name = mapping(expression).get("key") in ("kubernetes.io/metadata.name", "name")
                if (
                    by_name
                    and mapping(expression).get("operator") == "NotIn"
                    and set(map(str, items(mapping(expression).get("values"))))
                    - {"kube-system", "kube-node-lease", "kube-public"}
                ):
                    return "namespaces are left out"
        return ""
    spec = mapping(body.get("spec"))
    for key in ("validationFailureAction", "enforcementAction", "failurePolicy"):
        value = text(spec.get(key))
        if value.lower() in ("audit", "warn", "dryrun", "ignore"):
            return f"{key} is {value}"
    actions = items(spec.get("validationActions"))
    if actions and "Deny" not in actions:
        return "it only warns or audits"
    if any(body.get(key) is True for key in ("allowPrivilegedContainer", "allowHostDirVolumePlugin", "allowHostPID")):
        return "privileged pods are allowed"
    return ""


@detection(
    id="AU-0404",
    title="Policy exception added",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=AuditEvent,
    verbs=("create",),
    resources=("policyexceptions", "validatingadmissionpolicybindings", "mutatingadmissionpolicies"),
    catalogue=("X_AdmissionWeakened",),
    needs=("metadata of policy writes",),
    benign=("A reviewed exception applied by GitOps (lowered).",),
    investigate=("What does the exception let through?",),
    response="Delete the exception if nobody stands for it.",
    action="made an exception to a policy",
)
def policy_exception(event: AuditEvent) -> Match | None:
    """An exception to a policy was added, or a policy that changes objects."""
    if event.resource == "validatingadmissionpolicybindings":
        actions = items(mapping(written(event).get("spec")).get("validationActions"))
        if not actions or "Deny" in actions:
            return None
    severity, reasons = grade(event, Severity.MEDIUM if event.resource == "policyexceptions" else Severity.LOW)
    return Match(f"{who(event)} created {event.resource} {place(event)}", severity=severity, reasons=tuple(reasons))


@detection(
    id="AU-0405",
    title="Namespace opened for privileged pods",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("namespaces",),
    catalogue=("X_AdmissionWeakened",),
    needs=("request bodies of namespaces",),
    benign=("A namespace for node agents, made by an administrator or a chart.",),
    investigate=("Which pods were created there since?",),
    response="Set the label back to baseline or restricted.",
    action="switched off pod security for a namespace",
)
def namespace_made_privileged(event: AuditEvent) -> Match | None:
    """A namespace's Pod Security label was set to privileged, or a label that takes it out of a policy engine or mesh."""
    if any(may(event, power) for power in ("system-workloads", "control-loops", "write-bindings")):
        return None
    labels = mapping(mapping(written(event).get("metadata")).get("labels"))
    why = ""
    if text(labels.get(_ENFORCE)) == "privileged":
        why = "allows privileged pods"
    elif _takes_away(event, labels):
        why = "takes its pod security level away"
    elif any(text(labels.get(key)) in ("ignore", "true") for key in _EXEMPTIONS):
        why = "takes it out of an admission policy"
    if not why:
        return None
    base = Severity.LOW if event.verb == "create" else Severity.MEDIUM
    if caller_kind(event.actor) == "service_account" and base is Severity.LOW:
        base = Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} labelled namespace {event.name or event.namespace}: {why}",
        severity=severity,
        reasons=tuple(reasons),
    )


_ENFORCE = "pod-security.kubernetes.io/enforce"


def _takes_away(event: AuditEvent, labels: dict[str, object]) -> bool:
    """A merge patch that sets the label to null, or a JSON patch that removes it."""
    body = event.request_body
    if isinstance(body, list):
        return any(
            mapping(item).get("op") == "remove"
            and text(mapping(item).get("path")).endswith(_ENFORCE.replace("/", "~1"))
            for item in body[:200]
        )
    return event.verb == "patch" and _ENFORCE in labels and labels[_ENFORCE] is None


_EXEMPTIONS = (
    "admission.gatekeeper.sh/ignore", "control-plane.alpha.kubernetes.io/ignore", "policies.kyverno.io/ignore",
    "seawall.io/ignore",
)  # fmt: skip
