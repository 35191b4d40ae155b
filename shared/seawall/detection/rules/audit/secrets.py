"""Reads, lists and changes of secrets."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.workloads import all_texts, mapping, text, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_READS = ("metadata of reads of secrets (AKS: kube-audit; GKE: Data Access logs)",)
_PLATFORM_NOTES = {
    "aks": "kube-audit-admin leaves out reads: only the full kube-audit category shows them.",
    "gke": "Reads are in Data Access audit logs, which are off until the project switches them on.",
}
_RESPONSE = "Rotate the secrets that were read, then the caller's own credentials."
_BURST = 10
_LISTING = ("list", "watch")


def _reader(event: AuditEvent) -> bool:
    return may(event, "list-secrets") or may(event, "read-secrets")


@detection(
    id="AU-0301",
    title="Secrets of all namespaces listed",
    severity=Severity.HIGH,
    attack=("T1552.007",),
    on=AuditEvent,
    verbs=("list", "watch", "get"),
    resources=("secrets",),
    catalogue=(
        "X_SecretBulkRead",
        "Panther: All Secrets Dumped Across Namespaces",
        "Elastic: Secrets List Across Cluster",
    ),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=(
        "Controllers that serve certificates or secrets everywhere (left out by exact identity).",
        "`helm list -A` by an administrator: it lists the secrets of its own type (lowered).",
    ),
    investigate=("Which client was it, and did it list once (dump) or watch for days (controller)?",),
    response=_RESPONSE,
    action="read all secrets",
    confidence="high",
)
def secrets_listed_everywhere(event: AuditEvent) -> Match | None:
    """One call returned the secrets of every namespace, contents included: `list` has always shown the values."""
    if event.namespace or event.name or may(event, "list-secrets"):
        return None
    if event.verb == "get" and event.object_ref is not None and event.object_ref.name:
        return None
    base, reasons = Severity.HIGH, []
    if _of_helm(event):
        base = Severity.LOW
        reasons.append("limited to the records of Helm releases")
    elif (
        _watches(event)
        and caller_kind(event.actor) == "service_account"
        and event.agent
        and not _tool(event.agent)
        and not _BY_HAND.match(event.agent)
    ):
        # Whoever dumps secrets lists them once; what keeps a cache is some controller of this cluster.
        base = Severity.LOW
        reasons.append("a controller-like watch by a service account")
    severity, found = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} the secrets of all namespaces",
        severity=severity,
        reasons=(*reasons, *found),
        key=f"{event.actor}|all-secrets",
    )


_BY_HAND = re.compile(r"(kubectl|oc|k9s|lens)\b", re.IGNORECASE)


def _of_helm(event: AuditEvent) -> bool:
    uri = event.uri.lower()
    return "type%3dhelm.sh" in uri or "owner%3dhelm" in uri or "type=helm.sh" in uri or "owner=helm" in uri


def _watches(event: AuditEvent) -> bool:
    return event.verb == "watch" or "resourceVersion=0" in event.uri


_TOOLS = re.compile(
    r"^(curl|wget|python|go-http-client|aiohttp|httpx|requests|okhttp|axios|node-fetch|libwww|java/|ruby|powershell|postman)",
    re.IGNORECASE,
)


_LIBRARIES = re.compile(r"(okhttp|java/|axios|node-fetch|ruby|aiohttp)", re.IGNORECASE)
"""What applications use to call the API server; few people do."""


def _tool(agent: str) -> bool:
    return bool(_TOOLS.match(agent))


@detection(
    id="AU-0302",
    title="Many secrets read in a short time",
    severity=Severity.HIGH,
    attack=("T1552.007",),
    on=AuditEvent,
    verbs=("get", "list"),
    resources=("secrets",),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="cluster+actor",
    threshold=_BURST,
    distinct="target",
    catalogue=(
        "X_SecretBulkRead",
        "Elastic: Rapid Secret GET Activity Against Multiple Objects",
        "Panther: Secret Enumeration by a User",
        "Sigma: Kubernetes Secrets Enumeration",
    ),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=("Deployment tools that read every secret they compare (left out by exact identity).",),
    investigate=("Do the secrets belong to the caller's task?",),
    response=_RESPONSE,
    action="read many secrets",
)
def secrets_read_in_bulk(event: AuditEvent) -> Match | None:
    """One identity read at least ten different secrets within ten minutes."""
    kind = caller_kind(event.actor)
    if _reader(event) or may(event, "control-loops") or kind == "node":
        return None
    base, reasons = Severity.HIGH, []
    by_hand = not event.agent or _tool(event.agent) or _BY_HAND.match(event.agent)
    if kind in ("service_account", "system") and not by_hand:
        own = is_own_namespace(event, event.namespace)
        base = Severity.LOW if own else Severity.MEDIUM
        reasons.append(f"a service account with a controller's client{', in its own namespace' if own else ''}")
    return Match(
        f"{who(event)} read at least {_BURST} different secrets within 10 minutes",
        severity=base,
        reasons=tuple(reasons),
        key=f"{event.actor}|bulk",
    )


@detection(
    id="AU-0303",
    title="Platform secret read by a workload's identity",
    severity=Severity.MEDIUM,
    attack=("T1552.007",),
    on=AuditEvent,
    verbs=("get", "list", "watch"),
    resources=("secrets",),
    catalogue=("X_SystemSecretRead", "Elastic: Secret get or list from Node or Pod Service Account"),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=("An add-on that lives in its own namespace and shares a secret with kube-system.",),
    investigate=("Which pod holds this service account's token?",),
    response=_RESPONSE,
    action="read the platform's secrets",
)
def platform_secret_read(event: AuditEvent) -> Match | None:
    """A service account of a workload's namespace, or a person, read secrets of a platform namespace."""
    namespace = event.namespace
    if (
        not context().is_system(namespace)
        or _reader(event)
        or may(event, "control-loops")
        or may(event, "system-workloads")
    ):
        return None
    kind = caller_kind(event.actor)
    if kind in ("node", "system") or is_own_namespace(event, namespace):
        return None
    wide = event.verb == "list" and not event.name and not _of_helm(event)
    base = Severity.MEDIUM if kind == "service_account" or wide else Severity.LOW
    severity, reasons = grade(event, base)
    return Match(f"{who(event)} {done(event)} secrets in {place(event)}", severity=severity, reasons=tuple(reasons))


@detection(
    id="AU-0304",
    title="Secret read by a scripting client or a node",
    severity=Severity.MEDIUM,
    attack=("T1552.007",),
    on=AuditEvent,
    verbs=("get", "list", "watch"),
    resources=("secrets",),
    catalogue=(
        "Elastic: Secret get or list with Suspicious User Agent",
        "Elastic: Secret or ConfigMap Access via Azure Arc Proxy",
    ),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=("Home-made controllers without a user agent of their own.",),
    investigate=("Which process on which pod sends this client string?",),
    response=_RESPONSE,
    action="read secrets with a scripting tool",
)
def secret_read_by_tool(event: AuditEvent) -> Match | None:
    """A secret was read with curl, a script library or the like: how a stolen token is tried out by hand."""
    if _reader(event):
        return None
    agent = event.agent
    if event.actor == "system:serviceaccount:azure-arc:azure-arc-kube-aad-proxy-sa" and event.impersonated is not None:
        reason, base = "the call came through the Azure Arc proxy", Severity.LOW
    elif caller_kind(event.actor) == "node" and _tool(agent):
        reason, base = "a node's credential was used with a scripting client", Severity.HIGH
    elif (
        _LIBRARIES.match(agent)
        and caller_kind(event.actor) == "service_account"
        and is_own_namespace(event, event.namespace)
    ):
        reason, base = f"the client calls itself {agent[:60]!r}, as many applications do", Severity.LOW
    elif _tool(agent) and not agent.lower().startswith("go-http-client"):
        reason, base = f"the client calls itself {agent[:60]!r}", Severity.MEDIUM
    elif (
        (not agent or _tool(agent))
        and event.verb != "watch"
        and caller_kind(event.actor) == "service_account"
        and not is_own_namespace(event, event.namespace)
    ):
        # Home-made controllers have no name of their own either.
        reason, base = "the client gives no name of its own", Severity.LOW
    else:
        return None
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} secrets in {place(event)}",
        severity=severity,
        reasons=(reason, *reasons),
        key=f"{event.actor}|{event.namespace}|tool|{severity}",
    )


@detection(
    id="AU-0305",
    title="Secret read by a person or a service account",
    severity=Severity.INFORMATIONAL,
    attack=("T1552.007",),
    on=AuditEvent,
    verbs=("get", "list", "watch"),
    resources=("secrets",),
    actors=("user", "service_account", "system"),
    catalogue=("Falco: K8s Secret Get Successfully", "K8S_AnomalousSecretAccess"),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=("Ordinary work.",),
    investigate=("Join it with what the caller did before and after.",),
    response="None alone.",
    action="read a secret",
    confidence="low",
)
def secret_read(event: AuditEvent) -> Match | None:
    """A record for incidents: which identity has seen which secret. Readers by profession are left out by exact name,
    service accounts in their own namespace too."""
    if _reader(event) or may(event, "control-loops") or may(event, "system-workloads"):
        return None
    if not event.namespace and event.verb != "get":
        return None
    if is_own_namespace(event, event.namespace):
        return None
    return Match(f"{who(event)} {done(event)} secret {place(event)}", key=f"{event.actor}|{event.namespace}")


@detection(
    id="AU-0306",
    title="Read of a secret was denied or failed",
    severity=Severity.LOW,
    attack=("T1552.007", "T1613"),
    on=AuditEvent,
    verbs=("get", "list", "watch"),
    resources=("secrets",),
    outcomes=("denied", "failed"),
    catalogue=("Falco: K8s Secret Get Unsuccessfully Tried", "Panther: Secret Access Denied"),
    needs=_READS,
    platform_notes=_PLATFORM_NOTES,
    benign=("A workload that looks for an optional secret (informational).",),
    investigate=("What else was this caller denied?",),
    response="None alone.",
    action="was refused a secret",
    confidence="low",
)
def secret_read_denied(event: AuditEvent) -> Match | None:
    """Somebody asked for a secret without the right to it, or guessed at a name that does not exist."""
    if _reader(event) or may(event, "control-loops") or event.code >= 500:
        return None
    denied = event.code in (401, 403)
    kind = caller_kind(event.actor)
    if not denied and (kind != "user" or event.code != 404):
        return None
    base = Severity.LOW if denied else Severity.INFORMATIONAL
    if denied and not event.namespace and event.verb == "list":
        return Match(
            f"{who(event)} was denied the secrets of all namespaces", severity=Severity.LOW, key=f"{event.actor}|all"
        )
    return Match(
        f"{who(event)} got {event.code} for {event.verb} of secret {place(event)}",
        severity=base,
        key=f"{event.actor}|{event.namespace}",
    )


@detection(
    id="AU-0307",
    title="Secret changed or deleted",
    severity=Severity.INFORMATIONAL,
    attack=("T1485",),
    on=AuditEvent,
    verbs=("update", "patch", "delete", "deletecollection"),
    resources=("secrets",),
    catalogue=("Sigma: Kubernetes Secrets Modified or Deleted",),
    needs=("metadata of writes of secrets",),
    benign=("Rotation and deployment.",),
    investigate=("Does the caller own the secret?",),
    response="Restore the secret from its source.",
    action="changed a secret",
    confidence="low",
)
def secret_changed(event: AuditEvent) -> Match | None:
    """A secret was changed or deleted by a person, or in a platform namespace by somebody outside it."""
    if any(may(event, power) for power in ("control-loops", "system-workloads", "read-secrets", "deploy", "webhooks")):
        return None
    system = context().is_system(event.namespace)
    kind = caller_kind(event.actor)
    if (
        kind in ("node", "system")
        or is_own_namespace(event, event.namespace)
        or (kind == "service_account" and not system)
    ):
        return None
    base = Severity.LOW if system or event.verb == "deletecollection" else Severity.INFORMATIONAL
    return Match(
        f"{who(event)} {done(event)} secret {place(event)}", severity=base, key=f"{event.actor}|{event.namespace}"
    )


@detection(
    id="AU-0308",
    title="Non-expiring service-account token made by hand",
    severity=Severity.MEDIUM,
    attack=("T1098", "T1528"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("secrets",),
    catalogue=("X_LongLivedTokenSecret", "Panther: Long-Lived Service Account Token Created"),
    needs=("request bodies of secrets (or their names), which many policies leave out",),
    benign=("CI systems and old installers that want a token in a Secret.",),
    investigate=("Which service account, and what may it do?",),
    response="Delete the Secret; use TokenRequest or workload identity.",
    action="made a token that never expires",
)
def long_lived_token(event: AuditEvent) -> Match | None:
    """A Secret of type service-account-token holds a token without an end. Kubernetes makes none itself since 1.24. A
    bootstrap token lets a machine join as a node, or its holder ask for a node's certificate."""
    if may(event, "mint-tokens") or may(event, "control-loops") or may(event, "list-secrets"):
        return None
    body = written(event)
    if text(body.get("type")) == "bootstrap.kubernetes.io/token" or _BOOTSTRAP.fullmatch(event.name):
        if event.verb != "create" or is_own_namespace(event, "kube-system"):
            return None
        severity, reasons = grade(event, Severity.MEDIUM)
        return Match(f"{who(event)} made the bootstrap token {event.name}", severity=severity, reasons=tuple(reasons))
    if text(body.get("type")) != "kubernetes.io/service-account-token":
        return None
    notes = mapping(mapping(body.get("metadata")).get("annotations"))
    account = text(notes.get("kubernetes.io/service-account.name")) or "a service account"
    base = Severity.MEDIUM if context().is_system(event.namespace) else Severity.LOW
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} made a token that never expires for {event.namespace}/{account}",
        severity=severity,
        reasons=tuple(reasons),
    )


_BOOTSTRAP = re.compile(r"bootstrap-token-[a-z0-9]{6}")

_CREDENTIAL = re.compile(
    r"aws[_-]?access[_-]?key[_-]?id|aws[_-]?secret[_-]?access[_-]?key|aws[_-]?s3[_-]?access[_-]?key|\bAKIA[0-9A-Z]{16}\b|\bASIA[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY|pass(word|wd|phrase)[\"']?\s*[:=]\s*[\"']?[^\s\"'${<]|\bsecret[_-]?key[\"']?\s*[:=]"
    r"|client[_-]?secret[\"']?\s*[:=]|api[_-]?key[\"']?\s*[:=]\s*\S|AccountKey=[A-Za-z0-9+/]{20}|\bgh[pousr]_[A-Za-z0-9]{30}"
    r"|\bxox[baprs]-[A-Za-z0-9-]{10}|\"private_key\"\s*:|(?<![a-z])[a-z]{2,12}://[^\s:/@]{1,100}:[^\s:/@]{3,200}@",
    re.IGNORECASE,
)
_CREDENTIAL_KEY = re.compile(
    r"(^pass|(^|[_.-])pass(word|wd|phrase)|secret([_.-]?key)?|private[_.-]?key|api[_.-]?key|token)$|^aws_.{0,60}key",
    re.IGNORECASE,
)


@detection(
    id="AU-0309",
    title="Credentials written to a ConfigMap",
    severity=Severity.LOW,
    attack=("T1552.007", "T1552.001"),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("configmaps",),
    catalogue=("Falco: Create/Modify Configmap With Private Credentials",),
    needs=("request bodies of ConfigMaps",),
    benign=("Configuration that names a password's place, not the password.",),
    investigate=("Who can read ConfigMaps in this namespace?",),
    response="Move the value into a secret store, rotate it.",
    action="wrote a credential into a ConfigMap",
)
def credentials_in_config_map(event: AuditEvent) -> Match | None:
    """A ConfigMap holds what looks like a key or a password: anybody with `view` reads it. Values are never kept."""
    if may(event, "control-loops") or event.name in ("kube-root-ca.crt", "openshift-service-ca.crt"):
        return None
    data = mapping(written(event).get("data"))
    keys = [
        key
        for key, value in data.items()
        if isinstance(value, str) and value.strip() and _CREDENTIAL_KEY.search(key[:300])
    ]
    found = keys or [
        key for key, value in data.items() for part in all_texts(value) if _CREDENTIAL.search(part[:65536])
    ]
    if not found:
        return None
    severity, reasons = grade(event, Severity.LOW)
    severity = min(severity, Severity.LOW)
    return Match(
        f"{who(event)} wrote a credential into ConfigMap {place(event)} (key {found[0][:60]})",
        severity=severity,
        reasons=tuple(reasons),
    )
