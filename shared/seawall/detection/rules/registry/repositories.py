"""Registries: who opens them, moves tags, pulls everything, deletes."""

from __future__ import annotations

from datetime import timedelta

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.rules.audit.images import mining_name
from seawall.detection.workloads import all_texts, at, items, mapping, text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import CloudActivity, RegistryEvent
from seawall.domain.severity import Severity

_NEEDS = ("registry events",)
_RELEASE_TAGS = ("latest", "stable", "prod", "production", "release", "main", "master")


def _who(event: RegistryEvent) -> str:
    return event.actor or event.source_ip or "Somebody"


@detection(
    id="RG-0101",
    title="Tag moved to another image",
    severity=Severity.MEDIUM,
    attack=("T1525", "T1195.002"),
    on=RegistryEvent,
    operations=("push", "tag"),
    catalogue=("X_RegistryImageTamper",),
    needs=(*_NEEDS, "the digest that the tag had before"),
    benign=("Moving tags (`latest`) by the build pipeline: lowered to informational.",),
    investigate=("Did the build pipeline push it? Compare the image's layers with the last ones.",),
    response="Point the tag back, deploy by digest, make tags immutable.",
    action="replaced an image",
)
def tag_moved(event: RegistryEvent) -> Match | None:
    """A tag that names a version points to other content than before: what runs it next gets that content."""
    if not event.previous_digest or not event.digest or event.previous_digest == event.digest or not event.tag:
        return None
    base = (
        Severity.INFORMATIONAL
        if event.tag in _RELEASE_TAGS or event.tag.startswith(("pr-", "dev", "nightly", "edge"))
        else Severity.MEDIUM
    )
    reasons = ("the repository forbids moving tags",) if event.immutable else ()
    if event.immutable:
        base = Severity.HIGH
    return Match(
        f"{_who(event)} moved {event.registry}/{event.repository}:{event.tag} to {event.digest[:19]}",
        severity=base,
        reasons=reasons,
    )


@detection(
    id="RG-0102",
    title="Registry or repository opened to everybody",
    severity=Severity.MEDIUM,
    attack=("T1562.007", "T1213"),
    on=CloudActivity,
    operations=(
        "microsoft.containerregistry/registries/write",
        "ecr:setrepositorypolicy",
        "ecr:putregistrypolicy",
        "ecr-public:createrepository",
        "google.devtools.artifactregistry.v1.artifactregistry.setiampolicy",
        "google.devtools.artifactregistry.v1beta2.artifactregistry.setiampolicy",
        "google.iam.v1.iampolicy.setiampolicy",
        "storage.setiampermissions",
        "microsoft.containerregistry/registries/importimage/action",
    ),
    catalogue=("X_RegistryExposed",),
    needs=("cloud management log", "request parameters"),
    benign=("A registry that is meant to be public.",),
    investigate=("What is in it? Who pulled since?",),
    response="Close it again; treat secrets in the images as known.",
    action="opened a registry to everybody",
    platforms=("aks", "eks", "gke"),
)
def registry_opened(event: CloudActivity) -> Match | None:
    """Anonymous pull was switched on, a policy names any principal, or public network access was opened."""
    request = event.request
    why = ""
    if event.provider == "azure":
        properties = mapping(request.get("properties"))
        if properties.get("anonymousPullEnabled") is True:
            why = "anonymous pull"
        elif (
            text(properties.get("publicNetworkAccess")).lower() == "enabled"
            and text(at(properties, "networkRuleSet", "defaultAction")).lower() != "deny"
        ):
            why = "public network access"
        elif properties.get("adminUserEnabled") is True:
            why = "the shared administrator account"
    elif event.provider == "aws":
        policy = text(request.get("policyText"))
        if event.operation.startswith("ecr-public"):
            why = "a public repository"
        elif '"*"' in policy.replace(" ", "") and '"Allow"' in policy and "Condition" not in policy:
            why = "a policy for any principal"
    else:
        members = {
            member
            for item in items(at(request, "policy", "bindings"))
            for member in texts(mapping(item).get("members"))
        }
        if members & {"allUsers", "allAuthenticatedUsers"} and (
            "artifactregistry" in event.operation or "repositories" in event.resource or "artifacts" in event.resource
        ):
            why = "a binding for everybody"
    if not why:
        return None
    return Match(
        f"{event.actor or 'Somebody'} opened {event.resource[-160:] or 'a registry'}: {why}",
        severity=Severity.LOW if why.startswith("the shared") else Severity.MEDIUM,
    )


@detection(
    id="RG-0103",
    title="Many repositories pulled by one identity",
    severity=Severity.LOW,
    attack=("T1213", "T1530"),
    on=RegistryEvent,
    operations=("pull",),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=30),
    by="registry+actor+source_ip",
    threshold=25,
    distinct="repository",
    catalogue=("X_MassImagePull",),
    needs=("pull events (ACR: ContainerRegistryRepositoryEvents; ECR: CloudTrail; Artifact Registry: Data Access)",),
    benign=("A new node that starts many workloads, a mirror job, a scanner.",),
    investigate=("Is the address one of ours?",),
    response="Rotate the identity's credentials, look for secrets in the images.",
    action="pulled many images",
)
def mass_pull(event: RegistryEvent) -> Match | None:
    """One identity at one address pulled at least 25 different repositories within half an hour."""
    outside = context().networks.kind(event.source_ip) in ("public", "listed")
    return Match(
        f"{_who(event)} pulled at least 25 repositories of {event.registry} within 30 minutes",
        severity=Severity.MEDIUM if outside else Severity.LOW,
        key=f"{event.registry}|{event.actor}|{event.source_ip}",
    )


@detection(
    id="RG-0104",
    title="Mining image pushed",
    severity=Severity.HIGH,
    attack=("T1525", "T1496.001"),
    on=RegistryEvent,
    operations=("push", "tag"),
    logic=Logic.LIST,
    catalogue=("K8S_MaliciousContainerImage", "X_RegistryImageTamper"),
    needs=_NEEDS,
    benign=("A mining business.",),
    investigate=("Whose credentials pushed it?",),
    response="Delete the image, rotate the credentials.",
    action="pushed a mining image",
)
def mining_image_pushed(event: RegistryEvent) -> Match | None:
    """An image with a miner's name, or a listed digest, arrived in our registry."""
    if mining_name(event.repository) or event.digest in context().image_digests:
        return Match(f"{_who(event)} pushed {event.registry}/{event.repository}:{event.tag}")
    return None


@detection(
    id="RG-0105",
    title="Many images deleted",
    severity=Severity.HIGH,
    attack=("T1485",),
    on=RegistryEvent,
    operations=("delete",),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="registry+actor",
    threshold=30,
    distinct="image_name",
    catalogue=("X_MassDeletion",),
    needs=_NEEDS,
    benign=("Retention by the registry itself or a purge task.",),
    investigate=("Do running workloads use the images?",),
    response="Restore by soft delete or from the build pipeline.",
    action="deleted many images",
)
def mass_image_deletion(event: RegistryEvent) -> Match | None:
    """At least thirty different images were deleted within ten minutes."""
    return Match(
        f"{_who(event)} deleted at least 30 images of {event.registry} within 10 minutes",
        key=f"{event.registry}|{event.actor}",
    )


@detection(
    id="RG-0106",
    title="Logins or pulls refused again and again",
    severity=Severity.LOW,
    attack=("T1110",),
    on=RegistryEvent,
    operations=("denied",),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="registry+source_ip",
    threshold=20,
    catalogue=("X_BruteForce",),
    needs=("login events",),
    benign=("Expired pull secrets on a cluster.",),
    investigate=("Whose address is it?",),
    response="Restrict the registry's networks.",
    action="was refused by the registry again and again",
)
def registry_guessing(event: RegistryEvent) -> Match | None:
    """One address was refused at least twenty times within ten minutes."""
    return Match(
        f"{event.source_ip or 'Somebody'} was refused at least 20 times by {event.registry}",
        key=f"{event.registry}|{event.source_ip}",
    )


@detection(
    id="RG-0107",
    title="Call to a registry from a listed address",
    severity=Severity.MEDIUM,
    attack=("T1090.003", "T1213"),
    on=RegistryEvent,
    logic=Logic.LIST,
    catalogue=("K8S_TI_Proxy",),
    needs=(*_NEEDS, "a list of proxy addresses"),
    benign=("An employee behind a privacy service.",),
    investigate=("Which identity?",),
    response="Rotate the identity's credentials.",
    action="called the registry from a listed address",
)
def registry_listed_address(event: RegistryEvent) -> Match | None:
    """Somebody pulled or pushed from a Tor exit, an open proxy or another listed address."""
    if context().networks.kind(event.source_ip) != "listed":
        return None
    name = context().networks.threat_list(event.source_ip)
    return Match(
        f"{_who(event)} did {event.action} on {event.registry} from {event.source_ip}, on the list {name!r}",
        key=f"{event.registry}|{event.source_ip}",
    )


@detection(
    id="RG-0108",
    title="Image scanning or tag protection switched off",
    severity=Severity.MEDIUM,
    attack=("T1562.001",),
    on=CloudActivity,
    operations=(
        "ecr:putimagescanningconfiguration",
        "ecr:putregistryscanningconfiguration",
        "ecr:putimagetagmutability",
        "ecr:deleterepositorypolicy",
        "microsoft.containerregistry/registries/webhooks/delete",
        "microsoft.eventgrid/eventsubscriptions/delete",
    ),
    catalogue=("X_RegistryImageTamper", "X_SensorTampered"),
    needs=("cloud management log", "request parameters"),
    benign=("A change of scanner.",),
    investigate=("What was pushed since?",),
    response="Switch it on again.",
    action="switched off image scanning or tag protection",
    platforms=("aks", "eks", "gke"),
)
def registry_protection_off(event: CloudActivity) -> Match | None:
    """Scanning, immutable tags or the notifications that start our own scans were switched off."""
    request = event.request
    why = ""
    if event.operation == "ecr:putimagetagmutability" and text(request.get("imageTagMutability")) == "MUTABLE":
        why = "tags can be moved again"
    elif (
        event.operation == "ecr:putimagescanningconfiguration"
        and at(request, "imageScanningConfiguration", "scanOnPush") is False
    ):
        why = "no scan on push"
    elif (
        event.operation.endswith("delete")
        and "containerregistry" in " ".join([event.resource.lower(), *all_texts(request)]).lower()
    ):
        why = "push notifications are off"
    return Match(f"{event.actor or 'Somebody'} changed {event.resource[-160:] or 'a registry'}: {why}") if why else None
