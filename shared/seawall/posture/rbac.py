"""Effective permissions: roles with their aggregation, bindings with their subjects, and what a rule grants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from seawall.posture.objects import Obj, mapping, mappings, selects, text, texts
from seawall.posture.world import World

BOOTSTRAP: Final = "kubernetes.io/bootstrapping"
"""Label of the roles and bindings that the API server makes itself."""

BUILT_IN: Final[dict[str, list[dict[str, Any]]]] = {
    "cluster-admin": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    "admin": [
        {"apiGroups": [""], "resources": ["pods", "configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims", "pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]},
        {"apiGroups": ["apps", "batch"], "resources": ["deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"], "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "update", "patch", "delete"]},
    ],
    "edit": [
        {"apiGroups": [""], "resources": ["pods", "configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims", "pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]},
        {"apiGroups": ["apps", "batch"], "resources": ["deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"], "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
    ],
    "view": [{"apiGroups": [""], "resources": ["pods", "configmaps", "services"], "verbs": ["get", "list", "watch"]}],
}  # fmt: skip
"""The user-facing default roles, for input that names them without holding them. Source: Kubernetes documentation, RBAC."""

Subject = tuple[str, str, str]
"""Kind, namespace (of service accounts) and name."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding with its role. `scope` is the namespace in which it grants, empty for the whole cluster."""

    obj: Obj
    role_kind: str
    role_name: str
    role: Obj | None
    rules: tuple[dict[str, Any], ...]
    subjects: tuple[Subject, ...]
    scope: str


_ROLES: WeakKeyDictionary[World, dict[tuple[str, str, str], tuple[dict[str, Any], ...]]] = WeakKeyDictionary()
_BINDINGS: WeakKeyDictionary[World, tuple[Binding, ...]] = WeakKeyDictionary()
_BY_OBJECT: WeakKeyDictionary[World, dict[int, Binding]] = WeakKeyDictionary()
_HOLDERS: WeakKeyDictionary[World, dict[int, list[Subject]]] = WeakKeyDictionary()
_SUBJECTS: WeakKeyDictionary[World, dict[Subject, list[Binding]]] = WeakKeyDictionary()


def rules_of(role: Obj, world: World) -> tuple[dict[str, Any], ...]:
    """Return the rules of a role, with those that a ClusterRole aggregates from others."""
    known = _ROLES.setdefault(world, {})
    key = (role.kind, role.namespace, role.name)
    if key not in known:
        rules = list(mappings(role.body.get("rules")))
        selectors = mappings(mapping(role.body.get("aggregationRule")).get("clusterRoleSelectors"))
        if selectors:
            for other in world.of("ClusterRole"):
                if other is not role and any(selects(selector, other.labels) for selector in selectors):
                    rules += [rule for rule in mappings(other.body.get("rules")) if rule not in rules]
        known[key] = tuple(rules)
    return known[key]


def all_bindings(world: World) -> tuple[Binding, ...]:
    """Return every RoleBinding and ClusterRoleBinding with its role and rules."""
    if world not in _BINDINGS:
        _BINDINGS[world] = tuple(_bind(obj, world) for obj in world.of("RoleBinding", "ClusterRoleBinding"))
    return _BINDINGS[world]


def _bind(obj: Obj, world: World) -> Binding:
    reference = mapping(obj.body.get("roleRef"))
    kind, name = text(reference.get("kind")) or "ClusterRole", text(reference.get("name"))
    scope = "" if obj.kind == "ClusterRoleBinding" else obj.in_namespace
    role = world.find(kind, scope if kind == "Role" else "", name)
    rules = (
        rules_of(role, world) if role is not None else tuple(BUILT_IN.get(name, ())) if kind == "ClusterRole" else ()
    )
    subjects = tuple(
        (
            text(item.get("kind")),
            (text(item.get("namespace")) or scope) if item.get("kind") == "ServiceAccount" else "",
            text(item.get("name")),
        )
        for item in mappings(obj.body.get("subjects"))
    )
    return Binding(obj, kind, name, role, rules, subjects, scope)


def binding_of(obj: Obj, world: World) -> Binding:
    """Return the binding that an object declares."""
    if world not in _BY_OBJECT:
        _BY_OBJECT[world] = {id(binding.obj): binding for binding in all_bindings(world)}
    return _BY_OBJECT[world][id(obj)]


def holders_of(role: Obj, world: World) -> list[Subject] | None:
    """Return the subjects outside the system that a role is bound to; None when no binding names the role."""
    if world not in _HOLDERS:
        found: dict[int, list[Subject]] = {}
        for binding in all_bindings(world):
            if binding.role is not None:
                subjects = [subject for subject in binding.subjects if not is_system(subject)]
                found.setdefault(id(binding.role), []).extend(subjects)
        _HOLDERS[world] = found
    return _HOLDERS[world].get(id(role))


def bindings_of(world: World) -> dict[Subject, list[Binding]]:
    """Return the bindings of each subject, those of the groups that every service account is in included."""
    if world not in _SUBJECTS:
        found: dict[Subject, list[Binding]] = defaultdict(list)
        for binding in all_bindings(world):
            for subject in binding.subjects:
                found[subject].append(binding)
        _SUBJECTS[world] = found
    return _SUBJECTS[world]


def grants_of(world: World, namespace: str, account: str) -> Iterator[tuple[Binding, dict[str, Any]]]:
    """Yield every rule that a service account holds, through its name or its groups."""
    index = bindings_of(world)
    for subject in (
        ("ServiceAccount", namespace, account),
        ("Group", "", f"system:serviceaccounts:{namespace}"),
        ("Group", "", "system:serviceaccounts"),
        ("Group", "", "system:authenticated"),
    ):
        for binding in index.get(subject, ()):
            for rule in binding.rules:
                yield binding, rule


def is_system(subject: Subject) -> bool:
    """Whether a subject belongs to Kubernetes itself and is not reported."""
    kind, namespace, name = subject
    if kind == "ServiceAccount":
        return namespace == "kube-system"
    return name.startswith("system:") and name not in OPEN_GROUPS


OPEN_GROUPS: Final = frozenset(
    {"system:masters", "system:anonymous", "system:unauthenticated", "system:authenticated", "system:serviceaccounts"}
)


def is_bootstrap(obj: Obj) -> bool:
    """Whether the API server, or GKE's add-on manager (names `gce:...`), made the role or binding itself."""
    return obj.labels.get(BOOTSTRAP) == "rbac-defaults" or obj.name.startswith("gce:")


def matches(rule: dict[str, Any], verbs: frozenset[str], groups: frozenset[str], resources: frozenset[str]) -> bool:
    """Whether a rule grants one of the verbs on one of the resources; stars on either side are honoured.

    A resource may be `kind/subresource`; the rule may say `*`, `kind/*` or `*/subresource`. A rule without apiGroups is
    taken to mean all, since it cannot be said what its author meant.
    """
    held = texts(rule.get("verbs"))
    if "*" not in held and verbs.isdisjoint(held):
        return False
    if "apiGroups" in rule and "*" not in (own := texts(rule.get("apiGroups"))) and groups.isdisjoint(own):
        return False
    for item in texts(rule.get("resources")):
        if item == "*" or item in resources:
            return True
        head, _, tail = item.partition("/")
        if tail and any(
            (tail == "*" and wanted.startswith(f"{head}/")) or (head == "*" and wanted.endswith(f"/{tail}"))
            for wanted in resources
        ):
            return True
    return False


def names_of(rule: dict[str, Any]) -> list[str]:
    """The object names that a rule is limited to; empty = every name."""
    return texts(rule.get("resourceNames"))


_EVERY_VERB: Final = frozenset(["get", "list", "watch", "create", "update", "patch", "delete"])


def is_everything(rule: dict[str, Any]) -> bool:
    """Whether a rule allows every verb on every resource of every group; the verbs may be listed one by one."""
    verbs = texts(rule.get("verbs"))
    return all("*" in texts(rule.get(name)) for name in ("resources", "apiGroups")) and (
        "*" in verbs or set(verbs) >= _EVERY_VERB
    )
