"""Several calls of one identity that mean more together than each alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_CONTROLLER_AGENTS = (
    "kube-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "argocd",
    "flux",
    "helm-controller",
)
_WORKLOADS = ("pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs")
_RBAC = ("rolebindings", "clusterrolebindings", "roles", "clusterroles")


@detection(
    id="CO-0002",
    title="Many kinds of resources listed in a short time",
    severity=Severity.LOW,
    attack=("T1613",),
    on=AuditEvent,
    logic=Logic.CORRELATION,
    verbs=("list",),
    resources=("*",),
    actors=("user", "service_account"),
    window=timedelta(minutes=2),
    by="cluster+actor",
    threshold=10,
    distinct="resource",
    catalogue=("Elastic: Multi-Resource Discovery", "Sigma: Kubernetes Potential Enumeration Activity"),
    needs=("reads of every resource",),
    platform_notes={
        "aks": "Needs the full audit category (kube-audit): the reduced one has no reads.",
        "gke": "Needs Data Access logging.",
    },
    response="Ask the person or team behind the identity; for a service account, look for an intruder in its pods.",
    action="explored the cluster",
    benign=("A dashboard or backup tool starts.", "`kubectl get all` in a script."),
    investigate=("Read the user agent.", "Look for reads of secrets and for denied calls around it."),
    confidence="low",
)
def multi_resource_discovery(event: AuditEvent) -> Match | None:
    """One identity lists ten different kinds of resources within two minutes, with a client that is no controller.

    Controllers list many kinds when they start; they say so in their user agent and hold an allowance.
    """
    agent = event.agent.lower()
    if context().allowances.is_platform(event.actor) or any(name in agent for name in _CONTROLLER_AGENTS):
        return None
    return Match(
        f"{event.actor} listed many kinds of resources within two minutes, {event.resource} among them",
        key=f"{event.actor}|discovery",
    )


@detection(
    id="CO-0003",
    title="Permissions changed, then a workload changed with them",
    severity=Severity.MEDIUM,
    attack=("T1098.006", "T1610"),
    on=AuditEvent,
    logic=Logic.CORRELATION,
    verbs=("create", "update", "patch"),
    resources=(*_RBAC, *_WORKLOADS),
    actors=("user", "service_account"),
    window=timedelta(minutes=15),
    before=("clusterrolebindings", "clusterroles"),
    by="cluster+actor",
    catalogue=("Elastic: Sensitive RBAC Change Followed by Workload Modification",),
    needs=("writes of bindings and roles", "writes of pods and workload templates"),
    response="Undo the binding and the workload together; then find out how the identity was taken over.",
    action="changed permissions and then a workload",
    benign=("A chart is installed by hand: it brings its roles and its workload.",),
    investigate=("Compare both objects with the repository that should have made them.",),
    confidence="low",
)
def permissions_then_workload(event: AuditEvent, earlier: Sequence[AuditEvent]) -> Match | None:
    """A person changes a cluster-wide binding or role and within 15 minutes a workload in a platform namespace.

    Installers do both for their own namespaces; into a platform namespace only the platform's own tools do.
    """
    if event.resource not in _WORKLOADS or not context().is_system(event.namespace):
        return None
    if context().allowances.is_platform(event.actor):
        return None
    before = next((item for item in earlier if item.resource in ("clusterrolebindings", "clusterroles")), None)
    if before is None:
        return None
    return Match(
        f"{event.actor} changed {before.resource} {before.name} and then {event.resource} "
        f"{event.namespace}/{event.name}",
        key=f"{event.actor}|{event.namespace}|{event.name}",
    )


@detection(
    id="CO-0004",
    title="One service-account token used from several networks",
    severity=Severity.HIGH,
    attack=("T1528", "T1550.001"),
    on=AuditEvent,
    logic=Logic.CORRELATION,
    verbs=("*",),
    resources=("*",),
    actors=("service_account",),
    origins=("public", "listed"),
    window=timedelta(hours=1),
    by="cluster+actor",
    threshold=2,
    distinct="source_ip",
    needs=("source addresses of the callers",),
    response="Treat the token as stolen: delete the service account's tokens, restart its pods, block the addresses.",
    action="used a token from several networks",
    benign=("An external CI service with several runners that shares one token.",),
    investigate=("Compare the user agents of both addresses.", "List what the second address asked for."),
)
def token_from_several_networks(event: AuditEvent) -> Match | None:
    """The token of one service account reaches the API from two public addresses, of no cloud, within an hour.

    A pod's calls come from the cluster's own addresses; a token that comes from elsewhere was carried there, and one
    that comes from two places has two holders.
    """
    if context().allowances.is_platform(event.actor):
        return None
    return Match(
        f"{event.actor} called from {event.source_ip} and from another public address within an hour",
        key=f"{event.actor}|addresses",
    )


@detection(
    id="CO-0005",
    title="Commands run in many pods in a short time",
    severity=Severity.HIGH,
    attack=("T1609",),
    on=AuditEvent,
    logic=Logic.CORRELATION,
    verbs=("create", "get"),
    resources=("pods/exec", "pods/attach"),
    window=timedelta(minutes=10),
    by="cluster+actor",
    threshold=6,
    distinct="target",
    needs=("calls of pods/exec",),
    response="Revoke the identity's right to exec, then look at each pod with the sensor's records.",
    action="ran commands in many pods",
    benign=("A debugging session over all replicas.", "A backup tool that runs a command in each database."),
    investigate=("Compare the commands in the request URIs: the same one in each pod is a script.",),
)
def exec_in_many_pods(event: AuditEvent) -> Match | None:
    """One identity runs commands in six different pods within ten minutes."""
    if context().allowances.may(event.actor, "debug"):
        return None
    return Match(
        f"{event.actor} ran commands in many pods within ten minutes, {event.namespace}/{event.name} among them",
        key=f"{event.actor}|exec",
    )
