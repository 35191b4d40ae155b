"""Rights that give other rights: roles, bindings, identities, tokens and certificates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from seawall.graph.edges.pods import pods_within
from seawall.graph.edges.volumes import secrets_within
from seawall.graph.model import Step, Vertex, VertexKind, attack_edge
from seawall.graph.scene import CLUSTER_ADMIN, Scene, account, accounts_within, because, group, identity
from seawall.posture.rbac import all_bindings

K = VertexKind
RBAC = ("rbac.authorization.k8s.io",)
MASTERS = Vertex(K.IDENTITY, "", "Group:system:masters")


@attack_edge(
    id="PERMISSION_DISCOVER", title="Use the rights that a binding gives", source=K.IDENTITY, target=K.PERMISSIONS, technique="T1069", likelihood=1.0,
    precondition="a binding names the identity or a group that it is in", remedy="Remove the subject from the binding.",
    controls=("RB-001", "RB-005", "RB-012", "RB-013"),
)  # fmt: skip
def permission_discover(scene: Scene) -> Iterator[Step]:
    for binding, vertex in scene.bindings:
        for subject in binding.subjects:
            yield Step(identity(subject), vertex, because(binding))


@attack_edge(
    id="ROLE_BIND", title="Bind a stronger role to oneself", source=K.PERMISSIONS, target=(K.PERMISSIONS, K.GROUP, K.CLUSTER_ADMIN), technique="T1078", likelihood=0.9,
    precondition="create, update or patch on rolebindings or clusterrolebindings, with bind on the role that is bound",
    remedy="Take bind from the role or limit it by resourceNames.",
    controls=("RB-006", "RB-019"),
)  # fmt: skip
def role_bind(scene: Scene) -> Iterator[Step]:
    # Who may change a binding that is there adds himself as a subject: the API server asks for bind just as for a new one.
    write = ("create", "update", "patch")
    create_local = {v for _, v, _ in scene.grants(write, RBAC, "rolebindings")}
    create_wide = {v for b, v, _ in scene.grants(write, RBAC, "clusterrolebindings") if not b.scope}
    by_role: dict[tuple[str, str], list[Vertex]] = defaultdict(list)
    for binding, vertex in scene.bindings:
        by_role[binding.role_kind, binding.scope].append(vertex)
    for binding, vertex, names in scene.grants(("bind",), RBAC, "clusterroles"):
        wide, local = vertex in create_wide, vertex in create_local
        if not (wide or local):
            continue
        if wide and (not names or "cluster-admin" in names):
            yield Step(vertex, CLUSTER_ADMIN, because(binding))
        if not binding.scope:
            # A binding in every namespace, kube-system among them, is as good as one for the cluster.
            yield from _to_roles(scene, vertex, "ClusterRole", "", names, because(binding))
        else:
            yield from _to_roles(scene, vertex, "ClusterRole", binding.scope, names, because(binding))
    for binding, vertex, names in scene.grants(("bind",), RBAC, "roles"):
        if vertex in create_local:
            yield from _to_roles(scene, vertex, "Role", binding.scope, names, because(binding))


def _to_roles(scene: Scene, vertex: Vertex, kind: str, scope: str, names: list[str], cause: str) -> Iterator[Step]:
    if not names:
        hub = roles_within(kind, scope)
        yield Step(vertex, hub, cause)
        return
    for binding, target in scene.bindings:
        if binding.role_kind == kind and binding.role_name in names and binding.scope == scope and target != vertex:
            yield Step(vertex, target, cause)


def roles_within(kind: str, scope: str) -> Vertex:
    """Return the group of permission sets that roles of a kind give in a namespace; empty = cluster-wide."""
    return group(f"{kind}s that are bound", scope)


@attack_edge(
    id="ESCALATE", title="Write oneself stronger rights", source=K.PERMISSIONS, target=(K.CLUSTER_ADMIN, K.GROUP), technique="T1078", likelihood=0.9,
    precondition="escalate with update, patch or create on cluster roles, held cluster-wide, or on roles of a namespace",
    remedy="Take escalate from the role.",
    controls=("RB-006",),
)  # fmt: skip
def escalate(scene: Scene) -> Iterator[Step]:
    write = ("update", "patch", "create")
    wide = {v for _, v, _ in scene.grants(write, RBAC, "clusterroles")}
    for binding, vertex, _ in scene.grants(("escalate",), RBAC, "clusterroles"):
        if not binding.scope and vertex in wide:
            yield Step(vertex, CLUSTER_ADMIN, because(binding))
    local = {v for _, v, _ in scene.grants(write, RBAC, "roles")}
    for binding, vertex, _ in scene.grants(("escalate",), RBAC, "roles"):
        if vertex in local:
            # Whoever writes any right into a role of the namespace that is bound to him rules all that lies in it.
            for hub in (pods_within(binding.scope), secrets_within(binding.scope), accounts_within(binding.scope)):
                yield Step(vertex, hub, because(binding))


@attack_edge(
    id="IDENTITY_IMPERSONATE", title="Act as another user, group or service account", source=K.PERMISSIONS, target=(K.IDENTITY, K.GROUP, K.CLUSTER_ADMIN), technique="T1078", likelihood=0.95,
    precondition="impersonate on users, groups or serviceaccounts", remedy="Take impersonate from the role or name the identities.",
    controls=("RB-006",),
)  # fmt: skip
def impersonate(scene: Scene) -> Iterator[Step]:
    for resource, kind in (("users", "User"), ("groups", "Group")):
        for binding, vertex, names in scene.grants(("impersonate",), ("",), resource):
            if binding.scope:
                continue
            if kind == "Group" and not names:
                # The group system:masters passes every check; impersonating it needs a user too, which any name gives.
                yield Step(vertex, MASTERS, because(binding))
            elif kind == "User" and not names:
                yield Step(vertex, group("all users"), because(binding))
            for name in names:
                yield Step(vertex, identity((kind, "", name)), because(binding))
    for binding, vertex, names in scene.grants(("impersonate",), ("",), "serviceaccounts"):
        yield from _accounts(scene, binding.scope, vertex, names, because(binding))


def _accounts(scene: Scene, scope: str, vertex: Vertex, names: list[str], cause: str) -> Iterator[Step]:
    if not names:
        yield Step(vertex, accounts_within(scope), cause)
    for namespace in [scope] if scope else list(scene.accounts):
        for name in names:
            if name in scene.accounts.get(namespace, ()):
                yield Step(vertex, account(namespace, name), cause)


@attack_edge(
    id="TOKEN_REQUEST", title="Request a token of a service account", source=K.PERMISSIONS, target=(K.IDENTITY, K.GROUP), technique="T1528", likelihood=0.95,
    precondition="create on serviceaccounts/token", remedy="Take serviceaccounts/token from the role or name the accounts.",
    controls=("RB-011",),
)  # fmt: skip
def token_request(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("create",), ("",), "serviceaccounts/token"):
        yield from _accounts(scene, binding.scope, vertex, names, because(binding))


@attack_edge(
    id="TOKEN_LIST", title="List the secrets that hold tokens", source=K.PERMISSIONS, target=(K.IDENTITY, K.GROUP), technique="T1528", likelihood=0.6,
    precondition="list on secrets; since 1.24 only accounts with a token secret are concerned",
    remedy="Take list on secrets from the role.",
    controls=("RB-002",),
)  # fmt: skip
def token_list(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("list", "watch"), ("",), "secrets"):
        if not names:
            yield Step(vertex, accounts_within(binding.scope), because(binding))


@attack_edge(
    id="TOKEN_BRUTEFORCE", title="Guess the name of a token secret", source=K.PERMISSIONS, target=(K.IDENTITY, K.GROUP), technique="T1528", likelihood=0.1,
    precondition="get on secrets without resourceNames; the random suffix has 27^5 values",
    remedy="Take get on secrets from the role or name them.",
    controls=("RB-002",),
)  # fmt: skip
def token_bruteforce(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("get",), ("",), "secrets"):
        if not names:
            yield Step(vertex, accounts_within(binding.scope), because(binding))


@attack_edge(
    id="CSR_APPROVE", title="Sign a client certificate for a group of choice", source=K.PERMISSIONS, target=K.CLUSTER_ADMIN, technique="T1098", likelihood=0.8,
    precondition="create certificate requests, update their approval, and approve for the kube-apiserver-client signer",
    remedy="Take the approval of certificate requests from the role.",
    controls=("RB-009",),
)  # fmt: skip
def csr_approve(scene: Scene) -> Iterator[Step]:
    api = ("certificates.k8s.io",)
    create = {v for b, v, _ in scene.grants(("create",), api, "certificatesigningrequests") if not b.scope}
    update = {v for _, v, _ in scene.grants(("update", "patch"), api, "certificatesigningrequests/approval")}
    for binding, vertex, names in scene.grants(("approve",), api, "signers"):
        signer = not names or any(name in {"kubernetes.io/kube-apiserver-client", "kubernetes.io/*"} for name in names)
        if vertex in create and vertex in update and signer:
            yield Step(vertex, CLUSTER_ADMIN, because(binding))


def named_users(scene: Scene) -> set[Vertex]:
    """Return the users that bindings name."""
    return {
        identity(subject)
        for binding in all_bindings(scene.world)
        for subject in binding.subjects
        if subject[0] == "User"
    }
