"""Roles and bindings: who may do what leads to more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from seawall.posture.check import Check, Cluster, Finding, check, fail, not_applicable
from seawall.posture.objects import Obj, mapping, mappings, text, texts
from seawall.posture.rbac import (
    BUILT_IN,
    Binding,
    Subject,
    all_bindings,
    binding_of,
    bindings_of,
    grants_of,
    holders_of,
    is_bootstrap,
    is_everything,
    is_system,
    matches,
    names_of,
    rules_of,
)
from seawall.posture.workloads import Workload
from seawall.posture.world import SYSTEM_NAMESPACES, World, automounts_token, projects_token

WRITE: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
CHANGE: Final = frozenset({"create", "update", "patch"})
CONTROLLERS: Final = frozenset(
    {"deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs", "replicationcontrollers"}
)
RBAC_GROUP: Final = frozenset({"rbac.authorization.k8s.io"})


@dataclass(frozen=True, slots=True)
class Grant:
    """A right that a role should not give. Any of `parts` suffices: verbs, API groups, resources."""

    id: str
    about: str
    parts: tuple[tuple[frozenset[str], frozenset[str], frozenset[str]], ...]
    honour_names: bool = True
    """Whether a rule that is limited to names is left out: a named object is a deliberate grant."""
    only: Callable[[Obj, dict[str, Any], World], bool] | None = None

    def gives(self, rule: dict[str, Any]) -> bool:
        """Whether a rule gives the right."""
        if self.honour_names and names_of(rule):
            return False
        return any(matches(rule, *part) for part in self.parts)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CORE: Final = frozenset({""})


def _in_kube_system(role: Obj, rule: dict[str, Any], _: World) -> bool:
    names = names_of(rule)
    if names and "coredns" not in names:
        return False
    # A manifest without a namespace may be applied to any.
    return role.kind == "ClusterRole" or role.namespace in {"", "kube-system"}


def _on_aws_auth(role: Obj, rule: dict[str, Any], world: World) -> bool:
    names = names_of(rule)
    if names:
        return "aws-auth" in names
    return world.provider == "eks" and (role.kind == "ClusterRole" or role.in_namespace == "kube-system")


GRANTS: Final = (
    Grant(
        "RB-002",
        "Rules that let get, list or watch Secrets of any name",
        ((_set("get list watch"), CORE, _set("secrets")),),
    ),
    Grant(
        "RB-004",
        "Rules that let create pods, or create or change controllers that create them",
        (
            (_set("create"), CORE, _set("pods replicationcontrollers")),
            (CHANGE, _set("apps batch extensions"), CONTROLLERS),
            (CHANGE, CORE, _set("replicationcontrollers")),
        ),
    ),
    Grant(
        "RB-006",
        "Rules with bind or escalate on roles, or impersonate on users, groups and accounts",
        (
            (_set("bind escalate"), RBAC_GROUP, _set("roles clusterroles rolebindings clusterrolebindings")),
            (
                _set("impersonate"),
                frozenset({"", "authentication.k8s.io"}),
                _set("users groups serviceaccounts userextras uids"),
            ),
        ),
        honour_names=False,
    ),
    Grant("RB-007", "Rules that let create PersistentVolumes", ((_set("create"), CORE, _set("persistentvolumes")),)),
    Grant(
        "RB-008",
        "Rules on nodes/proxy",
        ((_set("get list watch create update patch delete deletecollection"), CORE, _set("nodes/proxy")),),
        honour_names=False,
    ),
    Grant(
        "RB-009",
        "Rules that let approve certificate requests",
        (
            (_set("update patch"), _set("certificates.k8s.io"), _set("certificatesigningrequests/approval")),
            (_set("approve"), _set("certificates.k8s.io"), _set("signers")),
        ),
        honour_names=False,
    ),
    Grant(
        "RB-010",
        "Rules that let change admission webhooks and policies",
        (
            (
                WRITE,
                _set("admissionregistration.k8s.io"),
                _set(
                    "validatingwebhookconfigurations mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings"
                ),
            ),
        ),
        honour_names=False,
    ),
    Grant(
        "RB-011",
        "Rules that let create serviceaccounts/token",
        ((_set("create"), CORE, _set("serviceaccounts/token")),),
    ),
    Grant(
        "RB-014",
        "Rules that let exec into or attach to pods",
        ((_set("create get"), CORE, _set("pods/exec pods/attach")),),
    ),
    Grant("RB-015", "Rules that let forward ports", ((_set("create get"), CORE, _set("pods/portforward")),)),
    Grant(
        "RB-016",
        "Rules that let delete workloads, namespaces and volumes",
        (
            (
                _set("delete deletecollection"),
                CORE,
                _set(
                    "pods namespaces persistentvolumes persistentvolumeclaims services replicationcontrollers secrets configmaps nodes"
                ),
            ),
            (_set("delete deletecollection"), _set("apps batch extensions"), CONTROLLERS),
        ),
    ),
    Grant(
        "RB-017",
        "Rules that let delete events",
        ((_set("delete deletecollection"), frozenset({"", "events.k8s.io"}), _set("events pods/log")),),
    ),
    Grant(
        "RB-018",
        "Rules that let change config maps where CoreDNS keeps its own",
        ((WRITE, CORE, _set("configmaps")),),
        honour_names=False,
        only=_in_kube_system,
    ),
    Grant(
        "RB-019",
        "Rules that let create or change bindings",
        ((CHANGE, RBAC_GROUP, _set("rolebindings clusterrolebindings")),),
    ),
    Grant(
        "RB-020",
        "Rules that let add debug containers",
        ((_set("update patch"), CORE, _set("pods/ephemeralcontainers")),),
    ),
    Grant(
        "RB-021",
        "Rules that let change services, ingresses, endpoints and network policies",
        (
            (WRITE, CORE, _set("services endpoints")),
            (WRITE, _set("networking.k8s.io extensions"), _set("ingresses networkpolicies")),
            (WRITE, _set("discovery.k8s.io"), _set("endpointslices")),
        ),
    ),
    Grant(
        "RB-022",
        "Rules that let change the status of services",
        ((_set("update patch"), CORE, _set("services/status")),),
    ),
    Grant(
        "RB-027",
        "Rules that let change the config map aws-auth",
        ((CHANGE | {"delete"}, CORE, _set("configmaps")),),
        honour_names=False,
        only=_on_aws_auth,
    ),
    Grant(
        "RB-029",
        "Rules that let change nodes, drivers, certificate requests, API services and CRDs",
        (
            (WRITE, CORE, _set("nodes nodes/status")),
            (WRITE, _set("storage.k8s.io"), _set("csidrivers")),
            (WRITE, _set("certificates.k8s.io"), _set("certificatesigningrequests")),
            (WRITE, _set("apiregistration.k8s.io"), _set("apiservices")),
            (WRITE, _set("apiextensions.k8s.io"), _set("customresourcedefinitions")),
        ),
    ),
)
BY_ID: Final = {grant.id: grant for grant in GRANTS}

TAKEOVER: Final = ("RB-004", "RB-006", "RB-008", "RB-010", "RB-011", "RB-014", "RB-019")
"""Rights that lead to the whole cluster when they hold in all namespaces or in kube-system."""


def _check_of(grant: Grant) -> Check:
    def run(obj: Obj, world: World) -> Iterator[Finding]:
        if obj.kind in {"RoleBinding", "ClusterRoleBinding"}:
            yield from _at_binding(grant, obj, world)
            return
        holders = holders_of(obj, world)
        if grant.id == "RB-021" and obj.name == "system:aggregate-to-edit":
            yield from _edits_endpoints(obj)
        elif is_bootstrap(obj) or (obj.kind == "ClusterRole" and obj.name in BUILT_IN):
            yield not_applicable("a role of Kubernetes itself: judged where it is bound")
        elif holders is not None:
            yield not_applicable("judged at its bindings" if holders else "bound to the system only")
        elif world.is_cluster and all_bindings(world):
            yield not_applicable("bound to nobody")
        else:
            for index, rule in enumerate(mappings(obj.body.get("rules"))):
                if grant.gives(rule) and (grant.only is None or grant.only(obj, rule, world)):
                    yield fail(
                        f"rules[{index}]", rule, "without this right", part=str(sorted(texts(rule.get("resources"))))
                    )

    return Check(grant.id, ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"), run, grant.about, table=grant)


def _edits_endpoints(obj: Obj) -> Iterator[Finding]:
    """Clusters that were made before 1.22 let everyone who may edit change endpoints (CVE-2021-25740)."""
    for index, rule in enumerate(mappings(obj.body.get("rules"))):
        if {"endpoints", "endpointslices"} & set(texts(rule.get("resources"))) and not WRITE.isdisjoint(
            texts(rule.get("verbs"))
        ):
            yield fail(
                f"rules[{index}].resources", rule.get("resources"), "without endpoints", "CVE-2021-25740", "endpoints"
            )


def _at_binding(grant: Grant, obj: Obj, world: World) -> Iterator[Finding]:
    """The rules that a binding gives to subjects outside the system, in the scope of the binding."""
    binding = binding_of(obj, world)
    people = [subject for subject in binding.subjects if not is_system(subject)]
    if not people or is_bootstrap(obj) or not binding.rules:
        yield not_applicable("gives nothing to anybody outside the system")
        return
    scope = (
        binding.role
        if binding.role is not None and not binding.scope
        else Obj({"kind": "Role", "apiVersion": "v1", "metadata": {"namespace": binding.scope}})
        if binding.scope
        else Obj({"kind": "ClusterRole"})
    )
    for index, rule in enumerate(binding.rules):
        if grant.gives(rule) and (grant.only is None or grant.only(scope, rule, world)):
            yield fail(
                "roleRef.name", binding.role_name, "a role without this right",
                f"{binding.role_kind} rules[{index}], {_to_whom(people)}", f"{binding.role_name} {sorted(texts(rule.get('resources')))}",
            )  # fmt: skip


CHECKS: Final = tuple(_check_of(grant) for grant in GRANTS)


def _to_whom(subjects: list[Subject] | None) -> str:
    if not subjects:
        return ""
    names = [f"{kind} {namespace + '/' if namespace else ''}{name}" for kind, namespace, name in subjects[:5]]
    return f"held by {', '.join(names)}" + (f" and {len(subjects) - 5} more" if len(subjects) > 5 else "")


@check("RB-001", on=("ClusterRoleBinding", "RoleBinding"))
def cluster_admins(obj: Obj, world: World) -> Iterator[Finding]:
    """Bindings of `cluster-admin`, or of a role that allows everything, to subjects outside the system."""
    binding = binding_of(obj, world)
    if obj.name.startswith("gce:"):
        yield not_applicable("made by GKE")
        return
    everything = binding.role_name == "cluster-admin" or any(is_everything(rule) for rule in binding.rules)
    if not everything:
        return
    for index, subject in enumerate(binding.subjects):
        if subject[2] == "system:masters" and is_bootstrap(obj):
            continue
        if not is_system(subject) or subject[0] == "ServiceAccount":
            yield fail(
                f"subjects[{index}]",
                _to_whom([subject]).removeprefix("held by "),
                "a narrower role",
                f"through {binding.role_kind} {binding.role_name}",
                "/".join(subject),
            )
    if not binding.subjects:
        yield fail("roleRef", binding.role_name, "a narrower role", "no subject is named", binding.role_name)


@check("RB-003", on=("Role", "ClusterRole"))
def wildcards(obj: Obj, world: World) -> Iterator[Finding]:
    """`*` in verbs, resources or apiGroups of a rule."""
    if is_bootstrap(obj) or (obj.kind == "ClusterRole" and obj.name in BUILT_IN):
        yield not_applicable("a role of Kubernetes itself")
        return
    holders = holders_of(obj, world)
    if not holders and (holders is not None or (world.is_cluster and all_bindings(world))):
        yield not_applicable("bound to nobody outside the system")
        return
    for index, rule in enumerate(mappings(obj.body.get("rules"))):
        for name in ("verbs", "resources", "apiGroups"):
            if "*" in texts(rule.get(name)):
                yield fail(
                    f"rules[{index}].{name}",
                    rule.get(name),
                    "what is needed, by name",
                    _to_whom(holders),
                    part=f"{name} {sorted(texts(rule.get('resources')))}",
                )


@check("RB-005", on=("ClusterRoleBinding", "RoleBinding", "ConfigMap", "AWS::EKS::AccessEntry"))
def masters(obj: Obj, _: World) -> Iterator[Finding]:
    """Bindings, entries of aws-auth and access entries that give the group `system:masters`."""
    if obj.kind == "ConfigMap":
        if obj.name != "aws-auth":
            yield not_applicable("not the config map aws-auth")
            return
        for key, value in mapping(obj.body.get("data")).items():
            if "system:masters" in text(value):
                yield fail(f"data.{key}", "system:masters", "another group", part=str(key))
        return
    if obj.kind == "AWS::EKS::AccessEntry":
        if "system:masters" in texts(obj.body.get("kubernetesGroups")):
            yield fail("kubernetesGroups", "system:masters", "another group")
        return
    if is_bootstrap(obj) and obj.name == "cluster-admin":
        return
    for index, item in enumerate(mappings(obj.body.get("subjects"))):
        if item.get("name") == "system:masters" and item.get("kind") != "ServiceAccount":
            yield fail(f"subjects[{index}].name", "system:masters", "another group", part="system:masters")


_FOR_ALL: Final = frozenset({"system:public-info-viewer", "system:discovery", "system:basic-user"})


def _open_to(*names: str) -> Callable[[Obj, World], Iterator[Finding]]:
    def run(obj: Obj, _: World) -> Iterator[Finding]:
        reference = text(mapping(obj.body.get("roleRef")).get("name"))
        if reference in _FOR_ALL or (
            reference == "kubeadm:bootstrap-signer-clusterinfo" and obj.in_namespace == "kube-public"
        ):
            return
        for index, item in enumerate(mappings(obj.body.get("subjects"))):
            if item.get("name") in names and item.get("kind") in ("User", "Group", None):
                yield fail(
                    f"subjects[{index}].name",
                    item.get("name"),
                    "a named group",
                    f"gets {reference}",
                    text(item.get("name")),
                )

    return run


OPEN: Final = (
    Check(
        "RB-012",
        ("ClusterRoleBinding", "RoleBinding"),
        _open_to("system:anonymous", "system:unauthenticated"),
        "Bindings to `system:anonymous` and `system:unauthenticated` beyond public information",
    ),
    Check(
        "RB-013",
        ("ClusterRoleBinding", "RoleBinding"),
        _open_to("system:authenticated"),
        "Bindings to `system:authenticated` beyond discovery",
    ),
)


@check("RB-023", on="ClusterRole")
def widened_defaults(obj: Obj, world: World) -> Iterator[Finding]:
    """ClusterRoles that aggregate into view, edit or admin and add what those roles should not have."""
    target = next(
        (
            name
            for name in ("view", "edit", "admin")
            if text(obj.labels.get(f"rbac.authorization.k8s.io/aggregate-to-{name}")).lower() == "true"
        ),
        "",
    )
    if not target and obj.name in {"view", "edit", "admin"} and not mapping(obj.body.get("aggregationRule")):
        target = obj.name
    if not target or is_bootstrap(obj):
        yield not_applicable("does not widen a default role")
        return
    _ = world
    for index, rule in enumerate(mappings(obj.body.get("rules"))):
        reads_secrets = target == "view" and BY_ID["RB-002"].gives(rule)
        writes = target == "view" and not WRITE.isdisjoint(texts(rule.get("verbs")))
        star = "*" in texts(rule.get("verbs")) and "*" in texts(rule.get("resources"))
        takeover = any(BY_ID[name].gives(rule) for name in ("RB-006", "RB-008", "RB-010", "RB-011", "RB-019")) or (
            target == "view" and BY_ID["RB-014"].gives(rule)
        )
        if reads_secrets or writes or star or takeover:
            yield fail(
                f"rules[{index}]", rule, f"what {target} may have", part=str(sorted(texts(rule.get("resources"))))
            )


@check("RB-024", on=Workload)
def takeover(workload: Workload, world: World) -> Iterator[Finding]:
    """The service account's rules in all namespaces, against rights that lead to the whole cluster."""
    if workload.namespace in SYSTEM_NAMESPACES and world.is_cluster:
        yield not_applicable("system workload")
        return
    if not automounts_token(workload, world) and not projects_token(workload):
        yield not_applicable("no token of the account is mounted")
        return
    seen: set[str] = set()
    for binding, rule in grants_of(world, workload.namespace, workload.service_account):
        if binding.scope and binding.scope != "kube-system" and not is_everything(rule):
            continue
        for name in ("RB-001", *TAKEOVER):
            gives = is_everything(rule) if name == "RB-001" else BY_ID[name].gives(rule)
            if gives and f"{binding.obj.name}{name}" not in seen:
                seen.add(f"{binding.obj.name}{name}")
                yield fail(
                    workload.at("serviceAccountName"), workload.service_account, "an account without this right",
                    f"{binding.role_kind} {binding.role_name} through {binding.obj.kind} {binding.obj.name} ({name})", f"{binding.obj.name} {name}",
                )  # fmt: skip
                break


@check("RB-025", on=("ClusterRoleBinding", "RoleBinding"))
def dangling(obj: Obj, world: World) -> Iterator[Finding]:
    """Bindings whose role or service account does not exist."""
    binding: Binding = binding_of(obj, world)
    if not world.is_cluster:
        yield not_applicable("manifests alone do not say what exists")
        return
    if (
        binding.role is None
        and binding.role_name not in BUILT_IN
        and binding.role_kind not in world.unread_kinds
        and world.of(binding.role_kind)
    ):
        yield fail("roleRef.name", binding.role_name, "an existing role", part="roleRef")
    for index, (kind, namespace, name) in enumerate(binding.subjects):
        if (
            kind == "ServiceAccount"
            and world.service_accounts
            and (namespace, name) not in world.service_accounts
            and not is_bootstrap(obj)
        ):
            yield fail(
                f"subjects[{index}].name",
                f"{namespace}/{name}",
                "an existing service account",
                part=f"{namespace}/{name}",
            )


@check("RB-026", on="ServiceAccount")
def unused_account(obj: Obj, world: World) -> Iterator[Finding]:
    """Service accounts with bindings that no pod template names."""
    if not world.is_cluster or not world.workloads or obj.in_namespace in SYSTEM_NAMESPACES:
        yield not_applicable("not a user's account of a whole cluster")
        return
    used = world.users_of.get((obj.in_namespace, obj.name))
    if not used and bindings_of(world).get(("ServiceAccount", obj.in_namespace, obj.name)):
        yield fail("metadata.name", obj.name, "in use by a workload", "has rights, and no workload names it")


@check("RB-030", on=("ClusterRoleBinding", "RoleBinding"))
def single_users(obj: Obj, _: World) -> Iterator[Finding]:
    """Bindings to subjects of kind User outside `system:`."""
    for index, item in enumerate(mappings(obj.body.get("subjects"))):
        name = text(item.get("name"))
        if item.get("kind") == "User" and not name.startswith("system:"):
            yield fail(f"subjects[{index}]", name, "a group", part=name)


__all__ = ["CHECKS", "GRANTS", "OPEN", "Cluster", "rules_of"]
