"""Identities that do what they never do, from where they never are."""

from __future__ import annotations

from seawall.detection.baselines.features import (
    EVERYBODY,
    Feature,
    action,
    agent_of,
    command_of,
    cut,
    hour_of,
    network_of,
    operation,
    peers_of,
)
from seawall.detection.baselines.scoring import Part, View
from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

SENSITIVE = frozenset(
    {
        "secrets", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "serviceaccounts/token", "nodes/proxy",
        "roles", "rolebindings", "clusterroles", "clusterrolebindings", "certificatesigningrequests",
        "certificatesigningrequests/approval", "mutatingwebhookconfigurations", "validatingwebhookconfigurations",
    }
)  # fmt: skip
"""Resources whose first use by an identity weighs more."""

_LEARNS = ("learning period of 14 days", "user agent, source address and object of every call")
_SERVICE_ACCOUNT = "system:serviceaccount:"
_THRESHOLD = 0.7


def _is_operator(view: View, actor: str) -> bool:
    """A controller: it renews a leader election lease on most days."""
    return view.days("action", actor, "write leases") >= view.mature_days


def _bonus(event: AuditEvent) -> tuple[float, str]:
    return (0.2, f"{event.resource} is sensitive") if event.resource in SENSITIVE else (0.0, "")


@detection(
    id="BL-0002",
    title="Service account does something it never does",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1552.007"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    features=("operation", "action", "namespace", "active"),
    catalogue=("K8S_ServiceAccountRareOperation",),
    needs=_LEARNS,
    response="Find out which pod sent the request; if nobody changed that workload, replace the pod and its token.",
    action="did what it never did before",
    benign=("A new version of the workload needs new permissions.", "A job that runs once a month."),
    investigate=(
        "Compare the time with the workload's last roll-out.",
        "Look at the pod name in the token's extra fields and at the source address.",
        "Ask whether the same identity read secrets or created pods around that time.",
    ),
    confidence="low",
)
def rare_operation(event: AuditEvent, view: View) -> Match | None:
    """A service account with settled habits calls a verb on a resource in a namespace that neither it nor its peers use.

    A stolen token is used for what the attacker needs, not for what the workload does. The score adds up: the operation
    (0.3), the resource (0.3) and the namespace (0.2) are new to the account, no other service account of the cluster
    does it (0.2), and the resource is sensitive (0.2). It alerts from 0.7 on.
    """
    actor = event.actor
    if not actor.startswith(_SERVICE_ACCOUNT) or not view.is_mature(actor) or _is_operator(view, actor):
        return None
    does, namespace = action(event), event.namespace
    bonus, why = _bonus(event)
    score = view.score(
        Part("operation", Feature("operation", actor, operation(event)), 0.3, operation(event)),
        Part("action", Feature("action", actor, does), 0.3, f"{does} by this account"),
        Part("namespace", Feature("namespace", actor, cut(namespace)), 0.2, f"namespace {namespace}"),
        Part("peers", Feature("action", peers_of(actor), does), 0.2, f"{does} by any service account"),
        bonus=bonus,
        why=why,
    )
    if score.total < _THRESHOLD:
        return None
    return Match(
        f"{actor} did {operation(event)}, which it never does",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{operation(event)}",
    )


@detection(
    id="BL-0015",
    title="Operator acts outside its purpose",
    severity=Severity.MEDIUM,
    attack=("T1078",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    features=("action", "namespace", "active"),
    catalogue=("X_OperatorOverreach",),
    needs=_LEARNS,
    response="Compare with the operator's release notes; if they do not explain it, scale the operator down and keep its pod.",
    action="acted outside its operator's purpose",
    benign=("An upgraded operator manages new kinds.", "An operator is told to watch another namespace."),
    investigate=("Check the operator's image and its last change.", "Check its cluster role for what it may do."),
    confidence="medium",
)
def operator_overreach(event: AuditEvent, view: View) -> Match | None:
    """A controller (it renews a lease on most days) writes, or reads secrets, of a kind or in a namespace new to it.

    Operators hold wide permissions and use few of them: what they use is known after days. The score: kind new (0.5),
    namespace new (0.3), sensitive resource (0.2); from 0.7 on.
    """
    actor, namespace, does = event.actor, event.namespace, action(event)
    reads = event.verb in ("get", "list", "watch")
    if not actor.startswith(_SERVICE_ACCOUNT) or (reads and event.resource != "secrets"):
        return None
    if not view.is_mature(actor) or not _is_operator(view, actor):
        return None
    bonus, why = _bonus(event)
    score = view.score(
        Part("action", Feature("action", actor, does), 0.5, f"{does} by this operator"),
        Part("namespace", Feature("namespace", actor, cut(namespace)), 0.3, f"namespace {namespace}"),
        bonus=bonus,
        why=why,
    )
    if score.total < _THRESHOLD:
        return None
    return Match(
        f"The operator {actor} did {does} in {namespace or 'the whole cluster'}, which it never does",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{does}|{namespace}",
    )


@detection(
    id="BL-0013",
    title="API access from a new network",
    severity=Severity.LOW,
    attack=("T1078.004",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    features=("network", "agent", "active"),
    catalogue=("X_NewGeoAccess",),
    needs=("learning period of 14 days", "source addresses of the callers"),
    response="Ask the person whether it was them; for a service account treat the token as stolen.",
    action="used the API from a new network",
    benign=("Travel, a new provider at home, a new office or VPN exit.", "A CI service with changing addresses."),
    investigate=("Look the address up.", "Compare the user agent and the operations with those of the days before."),
    confidence="low",
)
def new_network(event: AuditEvent, view: View) -> Match | None:
    """An identity with settled habits calls from an address range that it, and everybody else, never used.

    Public ranges count as /16 (IPv6 /32). New to the identity 0.5, new to the whole cluster 0.3, with a client that the
    identity never used 0.2; from 0.7 on. A service account makes it medium: its pods do not travel.
    """
    actor, network, agent = event.actor, network_of(event.source_ip), agent_of(event.agent)
    if not network or network == "private" or not view.is_mature(actor):
        return None
    score = view.score(
        Part("network", Feature("network", actor, network), 0.5, f"{network} by this identity"),
        Part("everybody", Feature("network", EVERYBODY, network), 0.3, f"{network} by anybody in the cluster"),
        Part("agent", Feature("agent", actor, agent), 0.2, f"client {agent or 'without a name'}"),
    )
    if score.total < _THRESHOLD:
        return None
    machine = actor.startswith(_SERVICE_ACCOUNT)
    return Match(
        f"{actor} called the API from {event.source_ip}, a network that it never used",
        severity=Severity.MEDIUM if machine else None,
        reasons=(*score.reasons, *(("a service account does not travel",) if machine else ())),
        features=score.features,
        key=f"{actor}|{network}",
    )


@detection(
    id="BL-0019",
    title="Identity uses a client it never used",
    severity=Severity.LOW,
    attack=("T1078",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    features=("agent", "network", "action", "active"),
    needs=("learning period of 14 days", "user agents of the callers"),
    response="Find the pod or person behind the request; a token used with another client may be stolen.",
    action="came with a client it never used",
    benign=("A team tries another tool.", "The workload changed its client library."),
    investigate=("Compare the source address with the usual ones.", "List what the client asked for."),
    confidence="low",
)
def new_client(event: AuditEvent, view: View) -> Match | None:
    """A service account with settled habits appears with another client program and does something new with it.

    Workloads use one or two client libraries for years; `curl` or `kubectl` with their token is somebody else. Client
    new 0.5, operation new 0.3, network new 0.2; from 0.7 on.
    """
    actor, agent = event.actor, agent_of(event.agent)
    if not agent or not actor.startswith(_SERVICE_ACCOUNT) or not view.is_mature(actor):
        return None
    if not view.is_new("agent", actor, agent):
        return None
    does, network = action(event), network_of(event.source_ip)
    score = view.score(
        Part("agent", Feature("agent", actor, agent), 0.5, f"client {agent}"),
        Part("action", Feature("action", actor, does), 0.3, does),
        Part("network", Feature("network", actor, network), 0.2, f"network {network or 'unknown'}"),
    )
    if score.total < _THRESHOLD:
        return None
    return Match(
        f"{actor} came with {agent}, which it never used, and did {does}",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{agent}",
    )


@detection(
    id="BL-0020",
    title="Person works at an unusual time",
    severity=Severity.INFORMATIONAL,
    attack=("T1078",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("create", "update", "patch", "delete", "deletecollection"),
    features=("hour", "network", "active"),
    needs=("learning period of 14 days", "times of the calls"),
    response="Context for other alerts of this person; ask them when it joins an incident.",
    action="worked at an unusual time",
    benign=("On-call work, a release at night, travel.",),
    investigate=("See whether the person was on call.", "See what else the person did in this hour."),
    confidence="low",
)
def unusual_hour(event: AuditEvent, view: View) -> Match | None:
    """A person with settled habits changes something at an hour of the week at which they never did, nor near it.

    The hour and its neighbours are new (0.7); a new network adds 0.3. Informational: it never makes an incident alone.
    """
    actor, ts = event.actor, event.time
    if ts is None or actor.startswith("system:") or not view.is_mature(actor):
        return None
    kind, _, hour = hour_of(ts).partition(" ")
    near = [f"{kind} {(int(hour) + step) % 24:02}" for step in (-1, 0, 1)]
    if any(not view.is_new("hour", actor, value) for value in near):
        return None
    network = network_of(event.source_ip)
    score = view.score(
        Part("hour", Feature("hour", actor, near[1]), 0.7, f"{near[1]}:00 UTC"),
        Part("network", Feature("network", actor, network), 0.3, f"network {network or 'unknown'}"),
    )
    return Match(
        f"{actor} did {action(event)} at an hour at which they never work ({near[1]}:00 UTC)",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{near[1]}",
    )


@detection(
    id="BL-0018",
    title="Person opens shells where they never did",
    severity=Severity.MEDIUM,
    attack=("T1609",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    resources=("pods/exec", "pods/attach"),
    features=("exec", "active"),
    catalogue=("X_ExecIntoContainer",),
    needs=("learning period of 14 days", "calls of pods/exec"),
    response="Ask the person; if it was not them, revoke their credential and look at what ran in the container.",
    action="opened a shell where it never did",
    benign=("A colleague helps another team.", "A new member of a team."),
    investigate=("Read the command in the request.", "Look at what the sensor saw in the container after it."),
)
def new_exec_habit(event: AuditEvent, view: View) -> Match | None:
    """An identity with settled habits runs commands in containers of a namespace in which it never did.

    Namespace new 0.6, command new 0.2, platform namespace 0.2; from 0.6 on.
    """
    actor, namespace = event.actor, cut(event.namespace)
    if not view.is_mature(actor):
        return None
    command = command_of(event)
    system = context().is_system(namespace)
    score = view.score(
        Part("namespace", Feature("exec", actor, namespace), 0.6, f"exec into namespace {namespace}"),
        Part("command", Feature("exec", actor, f"command {command}"), 0.2, f"command {command or 'not told'}"),
        bonus=0.2 if system else 0.0,
        why="a namespace of the platform",
    )
    if score.total < 0.6 or not view.is_new("exec", actor, namespace):
        return None
    return Match(
        f"{actor} ran {command or 'a command'} in {namespace}/{event.name}, a namespace in which it never did",
        severity=Severity.HIGH if system else None,
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{namespace}",
    )


@detection(
    id="BL-0022",
    title="Identity acts as another one for the first time",
    severity=Severity.MEDIUM,
    attack=("T1078", "T1550"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    features=("impersonation", "active"),
    catalogue=("X_Impersonation",),
    needs=("learning period of 14 days", "impersonated users"),
    response="Check who granted the right to impersonate and remove it where it is not needed.",
    action="acted as another identity for the first time",
    benign=("An administrator tests permissions with `kubectl --as`.", "A new authenticating proxy."),
    investigate=("List what was done as the other identity.", "Look for the role that allows `impersonate`."),
)
def first_impersonation(event: AuditEvent, view: View) -> Match | None:
    """An identity with settled habits uses impersonation headers for a user that it never acted as."""
    if event.impersonated is None or not view.is_mature(event.actor):
        return None
    target = cut(event.effective_user)
    score = view.score(Part("impersonation", Feature("impersonation", event.actor, target), 1.0, f"acting as {target}"))
    if score.total < 1.0:
        return None
    return Match(
        f"{event.actor} acted as {target} for the first time",
        reasons=score.reasons,
        features=score.features,
        key=f"{event.actor}|{target}",
    )


@detection(
    id="BL-0012",
    title="Service-account token minted by an unusual identity",
    severity=Severity.MEDIUM,
    attack=("T1528", "T1098"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("create",),
    resources=("serviceaccounts/token",),
    features=("token", "active"),
    catalogue=("X_TokenRequest",),
    needs=("learning period of 14 days", "writes of serviceaccounts/token"),
    response="Delete the service account's pods or the account itself to end the token, and find who asked for it.",
    action="minted a service-account token",
    benign=("A CI job that deploys with short-lived tokens for a new project."),
    investigate=("Look at the asked lifetime and audience.", "Follow the service account's calls after this time."),
)
def unusual_token_request(event: AuditEvent, view: View) -> Match | None:
    """An identity that has habits requests a token of a service account for which it never did."""
    account = cut(f"{event.namespace}/{event.name}")
    own = event.actor == f"{_SERVICE_ACCOUNT}{event.namespace}:{event.name}"
    if own or not view.is_mature(event.actor) or context().allowances.may(event.actor, "mint-tokens"):
        return None
    score = view.score(Part("token", Feature("token", event.actor, account), 1.0, f"token of {account}"))
    if score.total < 1.0:
        return None
    return Match(
        f"{event.actor} requested a token of service account {account}, which it never did",
        reasons=score.reasons,
        features=score.features,
        key=f"{event.actor}|{account}",
    )
