"""Looking around: probing permissions, denied calls, scanners, broad listing."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import may, who
from seawall.detection.rules.audit.access import is_public_path
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_SELF_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews")
_AD_HOC = re.compile(
    r"^(kubectl|oc|curl|wget|python|aiohttp|httpx|requests|go-resty|okhttp|axios|node|ruby|powershell|postman|k9s|peirates|rakkess|kubectl-who-can)[/ _-]",
    re.IGNORECASE,
)
_PENTEST = re.compile(
    r"kube-?hunter|peirates|kubesploit|kdigger|kubeletctl|kubiscan|kubescape|kube-bench|kubeaudit|cdk/|\bcdk-team\b|stratus-red-team|"
    r"leonidas|rakkess|access_matrix|kubectl-who-can|trufflehog|azurehound|micro-scanner|red-kube|trivy-k8s-attack|nuclei|nmap|masscan|zgrab|gobuster|dirbuster|ffuf|wfuzz|nikto|sqlmap|metasploit|"
    r"fasthttp-scanner|shodan|censys|botb|kubectl-?pwn|mkat|amicontained|badpods|hexstrike",
    re.IGNORECASE,
)


@detection(
    id="AU-0701",
    title="Service account probes its own permissions",
    severity=Severity.MEDIUM,
    attack=("T1613", "T1069"),
    on=AuditEvent,
    verbs=("create",),
    resources=_SELF_REVIEWS,
    outcomes=("allowed", "denied"),
    catalogue=(
        "K8S_SuspiciousServiceAccountOperation†",
        "Sigma: RBAC Permission Enumeration Attempt",
        "Elastic: Suspicious Self-Subject Review",
    ),
    needs=("metadata of self-subject reviews",),
    benign=(
        "Operators that check their permissions at start (own client string, low).",
        "People: kubectl asks before some commands (left out).",
    ),
    investigate=("Which pod sends this client string?", "What did the account do next?"),
    response="Look at the pod behind the token; rotate the token.",
    action="probed its own permissions",
)
def permission_probe(event: AuditEvent) -> Match | None:
    """`kubectl auth can-i --list` with a pod's token: the first thing done with a stolen one."""
    kind = caller_kind(event.actor)
    if kind == "user" or may(event, "control-loops") or may(event, "deploy") or may(event, "system-workloads"):
        return None
    ad_hoc = bool(_AD_HOC.match(event.agent))
    rules = event.resource == "selfsubjectrulesreviews"
    if kind == "node" or kind == "anonymous" or ad_hoc:
        severity = Severity.MEDIUM
    else:
        severity = Severity.LOW if rules else Severity.INFORMATIONAL
    reasons = (f"with the client {event.agent[:60]!r}",) if ad_hoc else ()
    return Match(
        f"{who(event)} asked what it may do ({event.resource})",
        severity=severity,
        reasons=reasons,
        key=f"{event.actor}|{severity}",
    )


@detection(
    id="AU-0702",
    title="Penetration-test tool at the API server",
    severity=Severity.MEDIUM,
    attack=("T1613", "T1595.002"),
    on=AuditEvent,
    outcomes=("allowed", "denied", "failed"),
    agents=_PENTEST,
    logic=Logic.LIST,
    catalogue=("K8S_PenTestToolsKubeHunter",),
    needs=("metadata of all requests",),
    benign=("An agreed test; kube-bench and kubescape as scheduled scans (lowered).",),
    investigate=("Is a test agreed? From which pod or address?",),
    response="Find the pod or machine it runs on.",
    action="ran a penetration-test tool",
)
def pentest_tool(event: AuditEvent) -> Match | None:
    """The client calls itself by the name of an attack or scan tool."""
    found = _PENTEST.search(event.agent)
    if found is None:
        return None
    name = found.group(0).lower()
    scheduled = name in ("kubescape", "kube-bench", "kubeaudit") and caller_kind(event.actor) == "service_account"
    allowed = event.code < 400
    severity = Severity.LOW if scheduled or not allowed else Severity.MEDIUM
    return Match(
        f"{who(event)} called with {name}",
        severity=severity,
        key=f"{event.actor}|{event.source_ip}|{name}|{severity}",
        features={"tool": name},
    )


@detection(
    id="AU-0703",
    title="Burst of denied calls",
    severity=Severity.MEDIUM,
    attack=("T1613", "T1069"),
    on=AuditEvent,
    outcomes=("denied",),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=5),
    by="cluster+actor+source_ip",
    threshold=15,
    distinct="target_kind",
    catalogue=(
        "X_ForbiddenBurst",
        "X_BruteForce",
        "Elastic: Potential Endpoint Permission Enumeration",
        "Panther: Multiple 403 Responses from Single Public IP",
        "CrowdSec: api-server brute force",
    ),
    needs=("metadata of all requests",),
    benign=("A new workload whose role is missing (few kinds of objects: does not reach the threshold).",),
    investigate=("What was the caller allowed afterwards?",),
    response="Block the address, check the identity behind it.",
    action="tried many things it may not do",
)
def denied_burst(event: AuditEvent) -> Match | None:
    """One identity from one address was refused at least fifteen different kinds of requests within five minutes."""
    if context().allowances.is_platform(event.actor) and caller_kind(event.actor) != "anonymous":
        return None
    return Match(
        f"{who(event)} was refused at least 15 different kinds of requests within 5 minutes",
        key=f"{event.actor}|{event.source_ip}",
    )


@detection(
    id="AU-0704",
    title="Call denied",
    severity=Severity.INFORMATIONAL,
    attack=("T1613",),
    on=AuditEvent,
    outcomes=("denied",),
    catalogue=(
        "Sigma: Kubernetes Unauthorized or Unauthenticated Access",
        "Panther: Multiple 403 Responses from Single Public IP",
        "Elastic: Denied Service Account Request via Unusual User Agent",
        "Elastic: Forbidden Creation Request",
        "CrowdSec: service account access denied",
        "Splunk: Kubernetes Unauthorized Access",
    ),
    needs=("metadata of all requests",),
    benign=("Missing roles, wrong contexts, expired tokens.",),
    investigate=("Join it with what else the caller did.",),
    response="None alone.",
    action="was refused a call",
    confidence="low",
)
def call_denied(event: AuditEvent) -> Match | None:
    """A record that somebody was refused; platform identities are left out. Service accounts with a hand tool, and
    refused writes of workloads, are low."""
    if context().allowances.is_platform(event.actor):
        return None
    kind = caller_kind(event.actor)
    if kind == "anonymous" and not event.resource and is_public_path(event.uri):
        return None
    base, reasons = Severity.INFORMATIONAL, []
    if kind == "service_account" and _AD_HOC.match(event.agent):
        base = Severity.LOW
        reasons.append(f"a service account with the client {event.agent[:60]!r}")
    elif event.verb in ("create", "update", "patch") and event.resource in (
        "pods",
        "daemonsets",
        "clusterrolebindings",
        "rolebindings",
        "clusterroles",
        "deployments",
        "cronjobs",
        "jobs",
        "roles",
        "serviceaccounts/token",
        "certificatesigningrequests",
        "certificatesigningrequests/approval",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ):
        base = Severity.LOW
        reasons.append("it tried to write")
    elif kind == "anonymous" and context().networks.kind(event.source_ip) in ("public", "cloud", "listed"):
        reasons.append("an anonymous caller from a public address")
    return Match(
        f"{who(event)} was refused {event.verb} on {event.resource or event.uri[:120] or 'something'}",
        severity=base,
        reasons=tuple(reasons),
        key=f"{event.actor}|{event.source_ip}|{base}",
    )


@detection(
    id="AU-0705",
    title="Many kinds of objects listed in a short time",
    severity=Severity.LOW,
    attack=("T1613",),
    on=AuditEvent,
    verbs=("list",),
    actors=("user", "service_account", "anonymous"),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=2),
    by="cluster+actor+source_ip",
    threshold=12,
    distinct="resource",
    catalogue=("Elastic: Multi-Resource Discovery", "Sigma: Kubernetes Potential Enumeration Activity"),
    needs=("metadata of reads",),
    platform_notes={"aks": "Needs kube-audit.", "gke": "Needs Data Access logs."},
    benign=("Dashboards (k9s, Lens), backup and inventory tools, `kubectl get all`.",),
    investigate=("Is it a tool that this caller uses every day?",),
    response="None alone.",
    action="listed everything in the cluster",
    confidence="low",
)
def broad_listing(event: AuditEvent) -> Match | None:
    """One identity listed at least twelve kinds of objects within two minutes, as an inventory of a new foothold does."""
    if context().allowances.is_platform(event.actor) or event.agent.startswith(("kube-", "argocd", "flux", "velero")):
        return None
    return Match(
        f"{who(event)} listed at least 12 kinds of objects within 2 minutes", key=f"{event.actor}|{event.source_ip}"
    )


@detection(
    id="AU-0706",
    title="Anonymous endpoint enumeration",
    severity=Severity.MEDIUM,
    attack=("T1595.003", "T1613"),
    on=AuditEvent,
    actors=("anonymous",),
    outcomes=("denied", "failed"),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="cluster+source_ip",
    threshold=10,
    distinct="path",
    catalogue=(
        "Elastic: Potential Endpoint Permission Enumeration",
        "Splunk: Kubernetes Scanning by Unauthenticated IP Address",
    ),
    needs=("metadata of all requests",),
    benign=("Internet-wide scanners against a public endpoint (low value, but proof of exposure).",),
    investigate=("Did any of the requests succeed?",),
    response="Limit the API server's public addresses.",
    action="scanned the API server",
)
def anonymous_enumeration(event: AuditEvent) -> Match | None:
    """One address without a login asked for at least ten different paths within ten minutes."""
    return Match(
        f"{event.source_ip or 'Somebody'} tried at least 10 different paths without a login",
        severity=Severity.LOW if context().networks.kind(event.source_ip) == "public" else Severity.MEDIUM,
        key=event.source_ip,
    )


@detection(
    id="AU-0707",
    title="Seawall test marker in the audit log",
    severity=Severity.INFORMATIONAL,
    attack=(),
    on=AuditEvent,
    verbs=("create", "update", "patch"),
    resources=("configmaps",),
    outcomes=("allowed", "denied"),
    logic=Logic.TEST,
    catalogue=("K8S_DNS_TestDomain†",),
    needs=("metadata of writes of ConfigMaps",),
    benign=("It is only ever a test.",),
    investigate=("Nothing: it proves that the audit log arrives.",),
    response="Delete the ConfigMap.",
    action="sent the test marker",
    confidence="high",
)
def test_marker(event: AuditEvent) -> Match | None:
    """A ConfigMap named `seawall-test-alert`: shows that audit events of this cluster arrive and are judged."""
    return Match(f"{who(event)} sent the test marker") if event.name == "seawall-test-alert" else None
