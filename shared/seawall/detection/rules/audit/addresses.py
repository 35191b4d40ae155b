"""Where calls come from: outside the cluster, listed addresses."""

from __future__ import annotations

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import who
from seawall.detection.rules.audit.access import is_public_path
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity


@detection(
    id="AU-0609",
    title="Platform or pod identity used from a public address",
    severity=Severity.HIGH,
    attack=("T1528", "T1550.001", "T1078"),
    on=AuditEvent,
    actors=("service_account", "system"),
    origins=("public", "cloud", "listed"),
    catalogue=("X_TokenUsedOffCluster", "Panther: System Principal Accessed from Non-Cloud Public IP"),
    needs=("metadata of all requests",),
    benign=(
        "CI that uses a service-account token on purpose: better give it a federated identity.",
        "Nodes behind a NAT gateway of the same cloud (lowered to informational).",
    ),
    investigate=("Whose address is it?", "Which pod's token was it (credential id), and was the pod broken into?"),
    response="Delete the pod or the service account: that ends its token. Rotate what it could read.",
    action="called from outside the cluster",
)
def token_used_outside(event: AuditEvent) -> Match | None:
    """A pod's token belongs in its pod. From a public address that is not the cloud's own, somebody carried it away."""
    if is_public_path(event.uri):
        return None
    networks = context().networks
    kind, provider = networks.kind(event.source_ip), networks.provider(event.source_ip)
    if _through_proxy(event):
        return None
    expected = {"aks": "azure", "eks": "aws", "gke": "gcp"}.get(event.platform, provider)
    if kind == "cloud" and provider == expected:
        base, reason = (
            Severity.INFORMATIONAL,
            "the address belongs to the cluster's cloud: a node, or somebody's virtual machine there",
        )
    else:
        base, reason = Severity.HIGH, f"the address is {f'in the cloud {provider}' if kind == 'cloud' else 'public'}"
    return Match(
        f"{who(event)} called from {event.source_ip} ({event.verb} {event.resource or event.uri[:80]})",
        severity=base,
        reasons=(reason,),
        key=f"{event.actor}|{event.source_ip}",
    )


def _through_proxy(event: AuditEvent) -> bool:
    """True when the managed control plane calls itself through its own front end."""
    return event.actor == "system:apiserver" or event.agent.startswith("GoogleKubernetesEngineFrontend")


@detection(
    id="AU-0614",
    title="API call from an anonymising proxy or a listed address",
    severity=Severity.MEDIUM,
    attack=("T1090.003", "T1078"),
    on=AuditEvent,
    origins=("listed",),
    outcomes=("allowed", "denied", "failed"),
    logic=Logic.LIST,
    catalogue=("K8S_TI_Proxy", "Panther: API Activity from Tor Exit Node"),
    needs=("metadata of all requests", "a list of proxy addresses"),
    benign=("An employee behind a privacy service.",),
    investigate=("Does this person work from such networks?",),
    response="End the caller's sessions, rotate its credentials, restrict the API server's networks.",
    action="called through an anonymising proxy",
)
def listed_address(event: AuditEvent) -> Match | None:
    """The caller's address is a Tor exit, an open proxy or otherwise on a threat list."""
    name = context().networks.threat_list(event.source_ip)
    allowed = event.code < 400
    return Match(
        f"{who(event)} called from {event.source_ip}, on the list {name!r}",
        severity=Severity.MEDIUM if allowed and caller_kind(event.actor) != "anonymous" else Severity.LOW,
        features={"list": name},
        key=f"{event.actor}|{event.source_ip}",
    )


@detection(
    id="AU-0615",
    title="Log pipeline found the caller on a threat list",
    severity=Severity.MEDIUM,
    attack=("T1090.003", "T1078"),
    on=AuditEvent,
    outcomes=("allowed", "denied", "failed"),
    logic=Logic.LIST,
    enriched=True,
    catalogue=("K8S_TI_Proxy", "Panther: API Activity from Tor Exit Node"),
    needs=("records that a pipeline enriched with threat lists",),
    benign=("An employee behind a privacy service.",),
    investigate=("Does this person work from such networks?",),
    response="End the caller's sessions, rotate its credentials, restrict the API server's networks.",
    action="called through an anonymising proxy",
)
def enriched_address(event: AuditEvent) -> Match | None:
    """A pipeline before us looked the addresses up and wrote the result into the record."""
    names = [
        name
        for name in event.threat_lists
        if any(word in name.lower() for word in ("tor", "proxy", "threat", "ioc", "malicious"))
    ]
    return (
        Match(
            f"{who(event)} called from an address on the list {names[0]!r}",
            features={"list": names[0]},
            key=f"{event.actor}|{names[0]}",
        )
        if names
        else None
    )
