"""Service accounts: made, given tokens and cloud identities, borrowed by pods."""

from __future__ import annotations

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import grade, is_own_namespace, may, place, who
from seawall.detection.workloads import at, mapping, pod_of, text, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity


@detection(
    id="AU-0601",
    title="Service-account token minted by somebody else",
    severity=Severity.MEDIUM,
    attack=("T1528", "T1098"),
    on=AuditEvent,
    verbs=("create",),
    resources=("serviceaccounts/token",),
    catalogue=("X_TokenRequest", "Elastic: Service Account Token Created via TokenRequest API"),
    needs=("metadata of serviceaccounts/token",),
    benign=("`kubectl create token` by an administrator; Vault and other brokers (their own identity).",),
    investigate=("What may this service account do?", "Where was the token used?"),
    response="Delete and re-create the service account: that ends its tokens.",
    action="minted a service-account token",
)
def token_minted(event: AuditEvent) -> Match | None:
    """Nodes mint the tokens of the pods they run. Anybody else who mints one can then act as that service account."""
    kind = caller_kind(event.actor)
    if kind == "node" or may(event, "mint-tokens") or may(event, "control-loops"):
        return None
    if event.actor == f"system:serviceaccount:{event.namespace}:{event.name}":
        return None
    base, reasons = Severity.LOW, []
    seconds = at(written(event), "spec", "expirationSeconds")
    if isinstance(seconds, int) and seconds > 48 * 3600:
        base = Severity.MEDIUM
        reasons.append(f"valid for {seconds // 3600} hours")
    if context().is_system(event.namespace):
        base = Severity.MEDIUM
        reasons.append("the service account is the platform's")
    if kind == "service_account" and not is_own_namespace(event, event.namespace):
        base = Severity.MEDIUM
        reasons.append("asked for by a service account of another namespace")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} minted a token of service account {place(event)}", severity=severity, reasons=(*reasons, *found)
    )


@detection(
    id="AU-0602",
    title="Service account created",
    severity=Severity.INFORMATIONAL,
    attack=("T1136",),
    on=AuditEvent,
    verbs=("create",),
    resources=("serviceaccounts",),
    catalogue=("Falco: Service Account Created in Kube Namespace", "Sigma: New Kubernetes Service Account Created"),
    needs=("metadata of writes",),
    benign=("Every deployment of a chart.",),
    investigate=("What is bound to it?",),
    response="Delete it if nobody stands for it.",
    action="created a service account",
    confidence="low",
)
def service_account_created(event: AuditEvent) -> Match | None:
    """A new identity; in a platform namespace it hides among the platform's own."""
    if may(event, "control-loops") or may(event, "system-workloads") or may(event, "deploy") or event.name == "default":
        return None
    system = context().is_system(event.namespace)
    if not system:
        return Match(f"{who(event)} created service account {place(event)}", severity=Severity.INFORMATIONAL)
    return Match(
        f"{who(event)} created service account {place(event)}",
        severity=Severity.LOW,
        reasons=("in a platform namespace",),
    )


@detection(
    id="AU-0611",
    title="Pod runs as a control-plane service account",
    severity=Severity.HIGH,
    attack=("T1078.001",),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"),
    mentions=(b"serviceAccount",),
    catalogue=("Elastic: Suspicious Assignment of Controller Service Account",),
    needs=("request bodies of pods and workloads",),
    benign=("None known: control loops run in the control plane, not in pods.",),
    investigate=("Who may create workloads in kube-system?",),
    response="Delete the workload, look at what its identity did.",
    action="ran a pod as a control-plane identity",
    confidence="high",
)
def controller_service_account(event: AuditEvent) -> Match | None:
    """A pod in kube-system names the service account of a control loop, which may write nearly everything."""
    pod = pod_of(event)
    if pod is None or pod.namespace != "kube-system":
        return None
    account = text(pod.spec.get("serviceAccountName")) or text(pod.spec.get("serviceAccount"))
    if not account or account in ("coredns", "metrics-server", "kube-proxy"):
        return None
    full = f"system:serviceaccount:kube-system:{account}"
    if not context().allowances.may(full, "control-loops") or context().allowances.known_workload(
        "kube-system", pod.workload
    ):
        return None
    return Match(
        f"{who(event)} made {pod.resource} {place(event)} that runs as {account}", key=f"{pod.namespace}|{pod.workload}"
    )


_CLOUD_ANNOTATIONS = (
    "eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id",
    "azure.workload.identity/tenant-id",
)  # fmt: skip


@detection(
    id="AU-0612",
    title="Service account linked to a cloud identity",
    severity=Severity.MEDIUM,
    attack=("T1098.001", "T1078.004"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("serviceaccounts",),
    catalogue=("X_CloudIdentityAnnotation",),
    needs=("request bodies of service accounts",),
    benign=("Deployment of an application that uses cloud services.",),
    investigate=("What may the cloud identity do, and does its trust policy name this service account?",),
    response="Remove the annotation, narrow the trust policy of the cloud role.",
    action="linked a service account to a cloud role",
)
def cloud_identity_linked(event: AuditEvent) -> Match | None:
    """An annotation makes every pod of the service account get credentials of a cloud role."""
    if may(event, "system-workloads"):
        return None
    notes = mapping(mapping(written(event).get("metadata")).get("annotations"))
    linked = [
        f"{key.partition('/')[0]}: {text(notes[key])[:120]}" for key in _CLOUD_ANNOTATIONS if text(notes.get(key))
    ]
    if not linked:
        return None
    severity, reasons = grade(event, Severity.LOW if event.verb == "create" else Severity.MEDIUM)
    return Match(
        f"{who(event)} linked service account {place(event)} to {linked[0]}", severity=severity, reasons=tuple(reasons)
    )
