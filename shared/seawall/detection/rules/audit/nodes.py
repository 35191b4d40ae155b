"""Nodes: their identity, their kubelets behind the API server, their joining."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.rules.audit.access import is_public_path
from seawall.detection.workloads import at, items, mapping, text, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_KUBELET_READ = re.compile(r"/proxy/?(metrics|stats|healthz|spec|logs)?(/|$|\?)")


_KUBELET_RUN = re.compile(
    r"/proxy/+(run|exec|attach|portForward|cri/exec|debug|containerLogs|runningpods|pods|configz|checkpoint)"
)


@detection(
    id="AU-0607",
    title="Kubelet reached through the API server",
    severity=Severity.HIGH,
    attack=("T1609", "T1613"),
    on=AuditEvent,
    resources=("nodes/proxy",),
    catalogue=("X_NodeProxy", "Elastic: API Server Proxying Request to Kubelet"),
    needs=("metadata of nodes/proxy",),
    benign=("Monitoring that reads kubelet metrics (left out by path).",),
    investigate=("Which path: /run and /exec execute commands, /pods shows environment variables.",),
    response="Take nodes/proxy from the caller's role.",
    action="reached a node's kubelet through the API server",
    confidence="high",
)
def node_proxy(event: AuditEvent) -> Match | None:
    """`nodes/proxy` reaches the kubelet's own API: commands in any pod of the node, without an exec in the audit log."""
    path = event.uri.partition("?")[0]
    runs = _KUBELET_RUN.search(path)
    if re.search(r"/proxy/+(run|exec|attach|cri/exec|checkpoint)\b", path):
        severity, why = Severity.HIGH, "it runs commands in pods of that node"
    elif (
        not runs and (path.endswith("/proxy") or _KUBELET_READ.search(path)) and event.verb in ("get", "list") and path
    ):
        if may(event, "node-proxy") or "/proxy/logs" not in path:
            if may(event, "node-proxy") or caller_kind(event.actor) == "service_account" or may(event, "control-loops"):
                return None
            severity, why = Severity.LOW, "it reads metrics or health"
        else:
            severity, why = Severity.MEDIUM, "it reads the node's logs"
    else:
        severity, why = Severity.HIGH, "it reads or changes what the kubelet holds"
    return Match(
        f"{who(event)} reached the kubelet of node {event.name} ({path[-120:] or event.verb})",
        severity=severity,
        reasons=(why,),
        key=f"{event.actor}|{event.name}|{severity}",
    )


@detection(
    id="AU-0608",
    title="Attempt to reach a kubelet was denied",
    severity=Severity.LOW,
    attack=("T1613",),
    on=AuditEvent,
    resources=("nodes/proxy",),
    outcomes=("denied",),
    catalogue=("X_NodeProxy",),
    needs=("metadata of nodes/proxy",),
    benign=("Monitoring with a role that is too narrow.",),
    investigate=("What else was the caller denied?",),
    response="None alone.",
    action="was refused a kubelet",
    confidence="low",
)
def node_proxy_denied(event: AuditEvent) -> Match | None:
    """Somebody tried the kubelet proxy without the right to it."""
    return Match(f"{who(event)} was denied the kubelet of node {event.name}", key=f"{event.actor}|denied")


@detection(
    id="AU-0610",
    title="Node identity misused",
    severity=Severity.HIGH,
    attack=("T1552.001", "T1078"),
    on=AuditEvent,
    actors=("node",),
    outcomes=("allowed", "denied"),
    catalogue=("X_NodeIdentityMisuse",),
    needs=("metadata of all requests",),
    benign=(
        "A new kubelet version that asks for a new kind of object (report it).",
        "Node-local tools that borrow the kubelet's credentials.",
    ),
    investigate=("Compare the source address with the node's.", "What ran on that node (sensor)?"),
    response="Drain and replace the node, rotate its credentials.",
    action="did what kubelets never do",
)
def node_identity_misused(event: AuditEvent) -> Match | None:
    """The kubelet's credential does a small, fixed set of things. Anything else, or a client that is no kubelet, is
    somebody with a copy."""
    resource, verb = event.resource.partition("/")[0], event.verb or ""
    name = event.actor[12:]
    allowed = event.code < 400
    agent = event.agent
    if re.match(r"(kubectl|curl|wget|python|Go-http-client|oc)[/ _-]", agent):
        base = Severity.MEDIUM if allowed and not agent.startswith("Go-http-client") else Severity.LOW
        if verb in ("create", "update", "patch", "delete") or resource == "secrets":
            base = Severity.HIGH if allowed else Severity.MEDIUM
        return Match(
            f"{event.actor} called with {agent.split('/')[0]} ({verb} {event.resource})",
            severity=base,
            reasons=("the client is not a kubelet",),
            key=f"{event.actor}|{agent[:40]}|{base}",
        )
    if context().networks.kind(event.source_ip) in ("public", "listed") and not is_public_path(event.uri):
        return Match(
            f"{event.actor} called from {event.source_ip}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("nodes do not call from a public address outside the clouds",),
            key=f"{event.actor}|{event.source_ip}",
        )
    if (
        resource == "secrets"
        and verb in ("list", "watch")
        and not event.name
        and not event.uri.count("fieldSelector=metadata.name")
    ):
        return Match(
            f"{event.actor} {done(event)} secrets in {event.namespace or 'all namespaces'}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("kubelets read single secrets by name",),
        )
    if resource == "nodes" and verb in ("update", "patch", "delete") and event.name and event.name != name and allowed:
        return Match(
            f"{event.actor} {done(event)} node {event.name}",
            severity=Severity.HIGH,
            reasons=("a node changes only itself",),
        )
    if resource in (
        "rolebindings",
        "clusterrolebindings",
        "roles",
        "clusterroles",
        "deployments",
        "daemonsets",
        "namespaces",
    ) and verb in (
        "create",
        "update",
        "patch",
        "delete",
    ):
        return Match(
            f"{event.actor} {done(event)} {event.resource} {place(event)}",
            severity=Severity.HIGH if allowed else Severity.MEDIUM,
            reasons=("kubelets never do this",),
        )
    if event.resource in ("pods/exec", "pods/attach", "selfsubjectrulesreviews"):
        return Match(
            f"{event.actor} {done(event)} {event.resource}",
            severity=Severity.MEDIUM,
            reasons=("kubelets never do this",),
        )
    return None


@detection(
    id="AU-0617",
    title="Unknown node joined the cluster",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1610"),
    on=AuditEvent,
    verbs=("create",),
    resources=("nodes",),
    outcomes=("allowed", "denied"),
    catalogue=(
        "Falco: Untrusted Node Successfully Joined the Cluster",
        "Falco: Untrusted Node Unsuccessfully Tried to Join the Cluster",
    ),
    needs=("metadata of writes of nodes",),
    benign=("A person who registers a node by hand in a laboratory.",),
    investigate=("Is there a machine behind the node, and whose is it?",),
    response="Delete the node, revoke its bootstrap token and certificate.",
    action="added a node to the cluster",
)
def node_joined(event: AuditEvent) -> Match | None:
    """Nodes register themselves with their own credential. Somebody else who makes a node object gets what is scheduled
    there, or its pods' secrets."""
    kind = caller_kind(event.actor)
    if kind == "node" and event.name in ("", event.actor[12:]):
        return None
    if any(may(event, power) for power in ("control-loops", "system-workloads")) or is_own_namespace(
        event, "kube-system"
    ):
        return None
    base = Severity.MEDIUM if event.code < 400 else Severity.LOW
    return Match(f"{who(event)} {'made' if event.code < 400 else 'tried to make'} node {event.name}", severity=base)


@detection(
    id="AU-0619",
    title="Node's address or kubelet port changed by somebody else",
    severity=Severity.MEDIUM,
    attack=("T1557", "T1565.001"),
    on=AuditEvent,
    verbs=("update", "patch"),
    resources=("nodes/status",),
    actors=("user", "anonymous", "service_account", "node"),
    mentions=(b"addresses", b"daemonEndpoints"),
    catalogue=("X_NodeIdentityMisuse", "X_NodeProxy"),
    needs=("request bodies of node status",),
    benign=("A cloud controller outside the platform's own namespace; a node registered by hand.",),
    investigate=("Where does the address lead, and which commands and logs were asked of that node since?",),
    response="Put the address back (restart the kubelet), rotate tokens that the API server sent there.",
    action="sent the API server's calls to a node elsewhere",
)
def node_redirected(event: AuditEvent) -> Match | None:
    """Commands, logs and proxied calls for a node go to the address and port in its status. Kubelets and the cloud's
    controller write them; another who does sends the API server to a machine of their choice."""
    if caller_kind(event.actor) == "node" and event.name in ("", event.actor[12:]):
        return None
    if any(may(event, power) for power in ("control-loops", "system-workloads")) or is_own_namespace(
        event, "kube-system"
    ):
        return None
    status = mapping(written(event).get("status"))
    found = [text(mapping(entry).get("address")) for entry in items(status.get("addresses"))[:20]]
    port = at(status, "daemonEndpoints", "kubeletEndpoint", "Port")
    if not (any(found) or isinstance(port, int)):
        return None
    where = ", ".join(filter(None, found[:3])) or f"port {port}"
    severity, reasons = grade(event, Severity.MEDIUM)
    return Match(
        f"{who(event)} set the address of node {event.name} to {where}", severity=severity, reasons=tuple(reasons)
    )
