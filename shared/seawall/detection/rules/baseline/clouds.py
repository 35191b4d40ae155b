"""Cloud principals and registry identities that do what they never do."""

from __future__ import annotations

from seawall.detection.baselines.features import Feature, bucket_of, cut, network_of
from seawall.detection.baselines.scoring import Part, View
from seawall.detection.declaration import Logic, detection
from seawall.domain.alerts import Entity, EntityKind, Match
from seawall.domain.audit_events import CloudActivity, RegistryEvent
from seawall.domain.severity import Severity

_GRAVE = (
    "roleassignments/write", "listkeys", "runcommand", "listclusteradmincredential", "setiampolicy",
    "createaccesskey", "attachrolepolicy", "putrolepolicy", "passrole", "assumerole", "getsecretvalue",
    "createserviceaccountkey", "signblob", "generateaccesstoken",
)  # fmt: skip
"""Parts of operations that give power or secrets."""

CREDENTIAL_OPERATIONS = (
    "microsoft.containerservice/managedclusters/listclusterusercredential/action",
    "microsoft.containerservice/managedclusters/listclusteradmincredential/action",
    "microsoft.containerservice/managedclusters/accessprofiles/listcredential/action",
    "eks:describecluster",
    "eks:accesskubernetesapi",
    "google.container.v1.clustermanager.getcluster",
    "google.container.v1beta1.clustermanager.getcluster",
)
"""Operations by which a client learns how to log in to a cluster."""
_ADMIN = "microsoft.containerservice/managedclusters/listclusteradmincredential/action"
PULL_MINIMUM = 20
"""Fewer different repositories in a day are never a bulk pull."""


@detection(
    id="BL-0001",
    title="Add-on's cloud identity behaves out of character",
    severity=Severity.MEDIUM,
    attack=("T1078.004", "T1550.001"),
    on=CloudActivity,
    logic=Logic.BASELINE,
    features=("cloud-operation", "cloud-network", "active"),
    catalogue=("K8S_AbnormalMiActivity",),
    needs=("learning period of 14 days", "cloud activity logs"),
    platforms=("aks", "eks", "gke"),
    platform_notes={"self-managed": "There is no cloud identity to watch."},
    response="Rotate or detach the identity, find the pod that could reach its token and isolate it.",
    action="used a cloud identity out of character",
    benign=("A new version of the add-on.", "The identity is shared with another workload."),
    investigate=("Compare the source address with the cluster's outbound addresses.", "List its role assignments."),
)
def abnormal_cloud_identity(event: CloudActivity, view: View) -> Match | None:
    """A service principal, role or managed identity with settled habits performs an operation new to it.

    Add-ons call the same few operations for ever; a stolen token is used for others. Operation new 0.5, address range
    new 0.3, an operation that gives power or secrets 0.2; from 0.7 on.
    """
    actor = cut(event.actor)
    if event.actor_type != "service" or not view.is_mature(actor):
        return None
    grave = next((part for part in _GRAVE if part in event.operation), "")
    network = network_of(event.source_ip)
    score = view.score(
        Part("operation", Feature("cloud-operation", actor, cut(event.operation)), 0.5, event.operation),
        Part("network", Feature("cloud-network", actor, network), 0.3, f"network {network or 'unknown'}"),
        bonus=0.2 if grave else 0.0,
        why="the operation gives power or secrets",
    )
    if score.total < 0.7:
        return None
    return Match(
        f"The cloud identity {actor} did {event.operation}, which it never does",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{event.operation}",
    )


@detection(
    id="BL-0021",
    title="Cluster credential pulled by a new identity",
    severity=Severity.MEDIUM,
    attack=("T1552", "T1078.004"),
    on=CloudActivity,
    logic=Logic.BASELINE,
    operations=CREDENTIAL_OPERATIONS,
    features=("cloud-operation", "cloud-network", "active"),
    catalogue=("X_ClusterAdminCredentialPull",),
    needs=("learning period of 14 days", "cloud activity logs"),
    platforms=("aks", "eks", "gke"),
    platform_notes={"self-managed": "Credentials are handed out outside any cloud log."},
    response="Revoke the credential (rotate the cluster's certificates for an admin kubeconfig) and ask the identity.",
    action="downloaded cluster credentials",
    benign=("A new member of the platform team.", "A new pipeline."),
    investigate=("Look at what the identity did in the cluster since.", "Check why it may read cluster credentials."),
)
def new_credential_pull(event: CloudActivity, view: View) -> Match | None:
    """A principal asks for a cluster's credentials and never did.

    Operation new to the principal 0.7, address range new 0.3; from 0.7 on. The local administrator's credential, which
    belongs to nobody, is high.
    """
    actor, network = cut(event.actor), network_of(event.source_ip)
    score = view.score(
        Part("operation", Feature("cloud-operation", actor, cut(event.operation)), 0.7, event.operation),
        Part("network", Feature("cloud-network", actor, network), 0.3, f"network {network or 'unknown'}"),
    )
    if score.total < 0.7 or not view.is_new("cloud-operation", actor, cut(event.operation)):
        return None
    admin = event.operation == _ADMIN
    return Match(
        f"{actor} pulled credentials of cluster {event.cluster or event.resource} for the first time",
        severity=Severity.HIGH if admin else None,
        reasons=(*score.reasons, *(("the administrator's credential belongs to nobody",) if admin else ())),
        features=score.features,
        key=f"{actor}|{event.operation}|{event.resource}",
    )


@detection(
    id="BL-0016",
    title="Image overwritten by an unusual identity",
    severity=Severity.MEDIUM,
    attack=("T1525", "T1195.002"),
    on=RegistryEvent,
    logic=Logic.BASELINE,
    operations=("push", "tag"),
    features=("push", "push-network", "active"),
    catalogue=("X_RegistryImageTamper",),
    needs=("learning period of 14 days", "registry events"),
    response="Pin workloads to the earlier digest, delete the pushed one after keeping a copy, rotate the pusher's credential.",
    action="overwrote a trusted image",
    benign=("A developer releases by hand.", "The pipeline has a new identity."),
    investigate=("Compare both digests' findings and layers.", "See which clusters run the tag."),
)
def registry_tamper(event: RegistryEvent, view: View) -> Match | None:
    """A repository with settled pushers gets an image from another identity or network; an overwritten tag weighs more.

    Pusher new to the repository 0.5, address range new 0.3, an existing tag is moved 0.2; from 0.5 on.
    """
    repository, actor = cut(event.repository), cut(event.actor)
    if not view.is_mature(repository) or not actor:
        return None
    network = network_of(event.source_ip)
    moved = bool(event.previous_digest and event.previous_digest != event.digest)
    score = view.score(
        Part("pusher", Feature("push", repository, actor), 0.5, f"{actor} pushing to {repository}"),
        Part("network", Feature("push-network", repository, network), 0.3, f"network {network or 'unknown'}"),
        bonus=0.2 if moved else 0.0,
        why=f"the tag {event.tag} pointed to {event.previous_digest[:19]} before",
    )
    if score.total < 0.5:
        return None
    return Match(
        f"{actor} pushed {event.registry}/{repository}:{event.tag}, which others push",
        severity=Severity.HIGH if moved and score.total >= 0.7 else None,
        reasons=score.reasons,
        features=score.features,
        entities=(Entity(EntityKind.IMAGE, f"{event.registry}/{repository}"),),
        key=f"{repository}|{actor}|{event.tag}",
    )


@detection(
    id="BL-0017",
    title="Bulk image pulls by one identity",
    severity=Severity.LOW,
    attack=("T1213", "T1530"),
    on=RegistryEvent,
    logic=Logic.BASELINE,
    operations=("pull",),
    features=("pull-bucket",),
    catalogue=("X_MassImagePull",),
    needs=("learning period of 14 days", "registry events", "pulls of images"),
    response="Disable the identity's pull right and ask its owner; treat secrets baked into images as read.",
    action="pulled images in bulk",
    benign=("A scanner, a mirror or a disaster-recovery copy starts.", "A new node pool."),
    investigate=("List the repositories and whether a cluster uses them.", "Look the address up."),
    confidence="low",
)
def mass_pull(event: RegistryEvent, view: View) -> Match | None:
    """An identity pulls many different repositories on one day: at least 20, and three times as many as on any day before.

    The number of different repositories a day is estimated from 64 buckets (about 10 % off).
    """
    actor, repository = cut(event.actor), cut(event.repository)
    if not actor:
        return None
    today, most = view.spread(actor, "pull-bucket", bucket_of(repository))
    if today < max(PULL_MINIMUM, 3 * most):
        return None
    words = f"about {today:.0f} repositories on one day, at most {most:.0f} on any day before"
    return Match(
        f"{actor} pulled {words} from {event.registry}",
        reasons=(words,),
        features={"score": "1.00", "repositories": words},
        key=actor,
    )
