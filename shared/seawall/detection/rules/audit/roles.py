"""Roles that hold dangerous permissions."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import grade, lowered, may, place, who
from seawall.detection.rules.audit.bindings import ADMIN_ROLES
from seawall.detection.workloads import WRITES, at, items, mapping, once, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_ROLES = ("roles", "clusterroles")
_BODIES = ("request bodies of RBAC objects",)
_BENIGN = ("Charts and operators install roles that are wider than they need.", "GitOps (lowered).")
_INVESTIGATE = ("Who was bound to the role, before and after?", "Does the application need it?")
_RESPONSE = "Narrow the role; look at what its subjects did since it changed."
_READ = frozenset({"get", "list", "watch"})
_WRITE = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role, as sets."""

    verbs: frozenset[str]
    resources: frozenset[str]
    groups: frozenset[str]
    names: tuple[str, ...]
    urls: tuple[str, ...]

    def allows(self, verbs: frozenset[str], resource: str, group: str) -> bool:
        """True when one of `verbs` is allowed on `resource` (`pods/exec`) of `group`, for any name."""
        if not ("*" in self.verbs or self.verbs & verbs) or self.names:
            return False
        if self.groups and not self.groups & {group, "*"}:
            return False
        base, _, sub = resource.partition("/")
        return bool({"*", resource, f"{base}/*" if sub else resource, f"*/{sub}" if sub else resource} & self.resources)


@once
def rules_of(event: AuditEvent) -> list[Rule]:
    """Return the rules that a request wrote into a role."""
    return [
        Rule(
            verbs=frozenset(verb.lower() for verb in texts(raw.get("verbs"))),
            resources=frozenset(name.lower() for name in texts(raw.get("resources"))),
            groups=frozenset(texts(raw.get("apiGroups"))),
            names=tuple(texts(raw.get("resourceNames"))),
            urls=tuple(texts(raw.get("nonResourceURLs"))),
        )
        for raw in map(mapping, items(written(event).get("rules"))[:500])
    ]


def _role_match(event: AuditEvent, base: Severity, what: str, *reasons: str) -> Match | None:
    if may(event, "write-bindings") or may(event, "control-loops"):
        return None
    if event.resource == "roles":
        reasons = (*reasons, "limited to one namespace")
    severity, found = grade(event, base)
    return Match(f"{who(event)} wrote role {place(event)} {what}", severity=severity, reasons=(*reasons, *found))


@detection(
    id="AU-0501",
    title="Role with wildcard permissions",
    severity=Severity.MEDIUM,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=WRITES,
    resources=_ROLES,
    catalogue=(
        "K8S_HighPrivilegesRole",
        "Falco: ClusterRole With Wildcard Created",
        "Panther: Role With Wildcard Permissions Created",
        "Elastic: RBAC Wildcard Elevation on Existing Role",
    ),
    needs=_BODIES,
    benign=_BENIGN,
    investigate=_INVESTIGATE,
    response=_RESPONSE,
    action="made an all-powerful role",
)
def wildcard_role(event: AuditEvent) -> Match | None:
    """A role allows every verb, or every resource: it also allows what does not exist yet.

    A wildcard over one own API group is what operators ask for and is only recorded.
    """
    worst = None
    for rule in rules_of(event):
        if not rule.resources:
            if "*" in rule.verbs and "*" in rule.urls:
                worst = max(worst or Severity.LOW, Severity.LOW)
            continue
        own_group = rule.groups and not rule.groups & {"*", "", "apps", "batch", "rbac.authorization.k8s.io"}
        if "*" in rule.verbs and "*" in rule.resources:
            level = Severity.LOW if own_group else Severity.HIGH if "*" in rule.groups else Severity.MEDIUM
        elif ("*" in rule.verbs and not rule.names) or "*" in rule.resources:
            if own_group:
                level = Severity.INFORMATIONAL
            elif rule.verbs <= _READ and "*" not in rule.verbs and "*" not in rule.groups and not rule.groups & {""}:
                level = Severity.LOW
            else:
                level = Severity.MEDIUM
        else:
            continue
        worst = max(worst or level, level)
    if worst is None and _gathers_all(event):
        return _role_match(event, Severity.HIGH, "that gathers the rules of all others")
    return _role_match(event, worst, "with wildcards") if worst is not None else None


def _gathers_all(event: AuditEvent) -> bool:
    """True for an aggregation rule with an empty selector: the controller copies every ClusterRole's rules into it."""
    selectors = at(written(event), "aggregationRule", "clusterRoleSelectors")
    return any(
        isinstance(selector, dict) and not selector.get("matchLabels") and not selector.get("matchExpressions")
        for selector in items(selectors)
    )


DANGEROUS: tuple[tuple[str, frozenset[str], str], ...] = (
    ("pods/exec", frozenset({"create", "get"}), "runs commands in pods"),
    ("pods/attach", frozenset({"create", "get"}), "attaches to pods"),
    ("pods/ephemeralcontainers", frozenset({"update", "patch"}), "adds containers to running pods"),
    ("nodes/proxy", frozenset({"get", "create", "update", "patch", "delete"}), "reaches the kubelets"),
    ("secrets", _READ, "reads secrets"),
    ("serviceaccounts/token", frozenset({"create"}), "mints service-account tokens"),
    ("certificatesigningrequests/approval", frozenset({"update", "patch"}), "approves client certificates"),
    ("securitycontextconstraints", frozenset({"use"}), "uses security context constraints"),
    ("podsecuritypolicies", frozenset({"use"}), "uses pod security policies"),
    ("mutatingwebhookconfigurations", _WRITE, "writes admission webhooks"),
    ("validatingwebhookconfigurations", _WRITE, "writes admission webhooks"),
)
_GROUPS = {
    "certificatesigningrequests/approval": "certificates.k8s.io", "securitycontextconstraints": "security.openshift.io",
    "podsecuritypolicies": "policy", "mutatingwebhookconfigurations": "admissionregistration.k8s.io",
    "validatingwebhookconfigurations": "admissionregistration.k8s.io",
}  # fmt: skip
"""API groups of those that are not in the core group."""


@detection(
    id="AU-0502",
    title="Role with dangerous permissions",
    severity=Severity.MEDIUM,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=WRITES,
    resources=_ROLES,
    catalogue=(
        "K8S_HighPrivilegesRole",
        "Falco: ClusterRole With Pod Exec Created",
        "Panther: Role With Pod Exec Permissions Created",
        "Panther: Role With Node Proxy Permissions Created",
        "Elastic: Creation or Modification of Sensitive Role",
    ),
    needs=_BODIES,
    benign=_BENIGN,
    investigate=_INVESTIGATE,
    response=_RESPONSE,
    action="made a role that reaches into pods, nodes or secrets",
)
def dangerous_role(event: AuditEvent) -> Match | None:
    """A role allows exec, the kubelet proxy, secrets, tokens or webhooks by name: each leads to other identities."""
    found: dict[str, Severity] = {}
    for rule in rules_of(event):
        if "*" in rule.resources and "*" in rule.verbs:
            continue
        for resource, verbs, what in DANGEROUS:
            if rule.allows(verbs, resource, _GROUPS.get(resource, "")):
                base = Severity.MEDIUM
                if (
                    (resource == "secrets" and event.resource == "roles")
                    or resource == "secrets"
                    or resource.endswith("webhookconfigurations")
                    or resource in ("serviceaccounts/token", "securitycontextconstraints", "podsecuritypolicies")
                ):
                    base = Severity.LOW
                found[what] = max(found.get(what, base), base)
    if not found:
        return None
    words = sorted(found)
    return _role_match(event, max(found.values()), f"that {', '.join(words[:4])}")


@detection(
    id="AU-0503",
    title="Role that can raise itself",
    severity=Severity.HIGH,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=WRITES,
    resources=_ROLES,
    catalogue=("X_EscalateVerbs",),
    needs=_BODIES,
    benign=("Operators that create roles for the instances they manage (bind, escalate).",),
    investigate=_INVESTIGATE,
    response=_RESPONSE,
    action="made a role that can raise itself",
)
def escalating_role(event: AuditEvent) -> Match | None:
    """`escalate` and `bind` on RBAC objects, and `impersonate` on users or groups, get around the rule that nobody
    grants more than they hold."""
    found: set[str] = set()
    for rule in rules_of(event):
        if "*" in rule.verbs and "*" in rule.resources:
            continue
        rbac = rule.resources & {"roles", "clusterroles", "*"}
        if rbac and (not rule.names or ADMIN_ROLES & set(rule.names)):
            found |= rule.verbs & {"escalate", "bind"}
        if rule.resources & {"users", "groups", "serviceaccounts", "userextras", "uids", "*"} and (
            not rule.names or any(name in ADMIN_ROLES or caller_kind(name) == "system" for name in rule.names)
        ):
            found |= rule.verbs & {"impersonate"}
    if not found:
        return None
    base = Severity.HIGH if event.resource == "clusterroles" else Severity.MEDIUM
    if caller_kind(event.actor) == "user" and found == {"bind"}:
        base = lowered(base)
    return _role_match(event, base, f"with {', '.join(sorted(found))}")


_WORKLOAD_RESOURCES = frozenset(
    {"pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets", "replicationcontrollers"}
)


@detection(
    id="AU-0504",
    title="Role with write permissions",
    severity=Severity.INFORMATIONAL,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=WRITES,
    resources=_ROLES,
    catalogue=("Falco: ClusterRole With Write Privileges Created", "Panther: Role With Write Permissions Created"),
    needs=_BODIES,
    benign=("Nearly every controller writes something.",),
    investigate=_INVESTIGATE,
    response="None alone.",
    action="made a role that changes things",
    confidence="low",
)
def writing_role(event: AuditEvent) -> Match | None:
    """A record that a role allows changes. Creating workloads cluster-wide is a way to every service account: low."""
    writes = [rule for rule in rules_of(event) if rule.verbs & _WRITE]
    if not writes:
        return None
    wide = event.resource == "clusterroles" and any(
        rule.verbs & {"create", "update", "patch"} and rule.resources & _WORKLOAD_RESOURCES for rule in writes
    )
    rbac = any(rule.resources & {"clusterroles", "clusterrolebindings", "rolebindings", "roles"} for rule in writes)
    base = Severity.LOW if wide or rbac else Severity.INFORMATIONAL
    touched = sorted({name for rule in writes for name in (*rule.resources, *rule.urls)})
    found = _role_match(event, base, f"that changes {', '.join(touched[:5])}")
    return found if found is None or base > Severity.INFORMATIONAL else Match(found.message, severity=base)


@detection(
    id="AU-0505",
    title="Role aggregates into a built-in role",
    severity=Severity.MEDIUM,
    attack=("T1098.006",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("clusterroles",),
    catalogue=("X_EscalateVerbs",),
    needs=_BODIES,
    benign=(
        "Operators add the permissions on their own custom resources to admin, edit and view (left out by content).",
    ),
    investigate=_INVESTIGATE,
    response=_RESPONSE,
    action="widened a built-in role",
)
def aggregated_role(event: AuditEvent) -> Match | None:
    """A label merges this role's rules into admin, edit or view, for everybody who holds those."""
    labels = mapping(mapping(written(event).get("metadata")).get("labels"))
    targets = sorted(
        key.removeprefix("rbac.authorization.k8s.io/aggregate-to-")
        for key, value in labels.items()
        if key.startswith("rbac.authorization.k8s.io/aggregate-to-") and text(value) == "true"
    )
    core = any(
        rule.groups & {"", "*", "rbac.authorization.k8s.io"}
        and (rule.verbs - _READ or rule.resources & {"secrets", "*"})
        for rule in rules_of(event)
    )
    return _role_match(event, Severity.MEDIUM, f"that adds to {', '.join(targets)}") if targets and core else None
