"""How an actor is named, so that every source gives the same identity the same entity."""

from __future__ import annotations

from seawall.domain.alerts import Entity, EntityKind

_SERVICE_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS = frozenset({"system:anonymous", "system:unauthenticated"})

_CONTROLLERS = (
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "service-account-controller",
    "service-controller",
    "statefulset-controller",
    "tokens-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
)
"""Service accounts that kube-controller-manager runs its loops as (Kubernetes 1.29 to 1.34)."""

SHARED_IDENTITIES = frozenset(
    {
        *_ANONYMOUS,
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
        "system:cloud-controller-manager",
        "system:addon-manager",
        "aksService",
        "masterclient",
        "eks:node-manager",
        "eks:addon-manager",
        "eks:certificate-controller",
        "eks:pod-identity-mutating-webhook",
        "eks:vpc-resource-controller",
        "eks:fargate-scheduler",
        "system:gke-controller-manager",
        "system:gcp-controller-manager",
        "system:vpa-recommender",
        *(f"{_SERVICE_ACCOUNT}kube-system:{name}" for name in _CONTROLLERS),
    }
)
"""Exact names that many unrelated actions share: what two alerts have in common by them says nothing."""


def is_anonymous(actor: str) -> bool:
    """True for a caller that did not log in."""
    return actor in _ANONYMOUS


def actor_entity(actor: str, cluster: str) -> Entity:
    """Return the entity of a Kubernetes user name or cloud principal.

    A service account is `namespace/name` in its cluster; an address-like name or a cloud principal (ARN) is the same
    one in every cluster; any other user name belongs to its cluster.
    """
    if actor.startswith(_SERVICE_ACCOUNT):
        return Entity(EntityKind.SERVICE_ACCOUNT, actor.removeprefix(_SERVICE_ACCOUNT).replace(":", "/", 1), cluster)
    if actor.startswith("arn:aws"):
        return Entity(EntityKind.CLOUD_IDENTITY, actor)
    if "@" in actor and not actor.startswith("system:"):
        return Entity(EntityKind.USER, actor)
    return Entity(EntityKind.USER, actor, cluster)


def canonical(entity: Entity) -> Entity:
    """Return `entity` as `actor_entity` would name it, for identities that a rule named in the API server's words."""
    if entity.kind in (EntityKind.USER, EntityKind.SERVICE_ACCOUNT, EntityKind.CLOUD_IDENTITY):
        if entity.id.startswith((_SERVICE_ACCOUNT, "arn:aws")):
            return actor_entity(entity.id, entity.scope)
        if entity.kind is EntityKind.SERVICE_ACCOUNT and "/" not in entity.id and ":" in entity.id:
            return Entity(entity.kind, entity.id.replace(":", "/", 1), entity.scope)
        if entity.kind is EntityKind.USER and "@" in entity.id and not entity.id.startswith("system:"):
            return Entity(entity.kind, entity.id)
    return entity


def is_shared(entity: Entity) -> bool:
    """True for a platform identity or the anonymous caller, in either spelling."""
    if entity.kind is EntityKind.SERVICE_ACCOUNT:
        return f"{_SERVICE_ACCOUNT}{entity.id.replace('/', ':', 1)}" in SHARED_IDENTITIES
    return entity.kind is EntityKind.USER and entity.id in SHARED_IDENTITIES
