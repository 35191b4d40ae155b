"""Amazon EKS: clusters, node groups, add-ons and what surrounds them, as the AWS APIs return them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.checks.placement import metadata_of_template
from seawall.posture.clouds import EKS, EKS_ADDON, EKS_ENTRY, EKS_GROUP, FARGATE, GUARD_DUTY, IAM_ROLE, LAUNCH_TEMPLATE
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, dig, mapping, mappings, sequence, text, texts, truth
from seawall.posture.world import World, minor_of

STANDARD_UNTIL: Final = {
    24: "2024-01-31", 25: "2024-05-01", 26: "2024-06-11", 27: "2024-07-24", 28: "2024-11-26", 29: "2025-03-23", 30: "2025-07-23",
    31: "2025-11-26", 32: "2026-03-23", 33: "2026-07-29", 34: "2026-12-02", 35: "2027-03-27", 36: "2027-07-27", 37: "2027-11-27",
}  # fmt: skip
"""EKS minor versions and the day on which standard support ends. Source: Amazon EKS version calendar; later ones are 14 months after release."""

LOG_TYPES: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
TABLE: Final = (
    FieldControl(
        "EK-02", (Rule("resourcesVpcConfig.endpointPrivateAccess", Op.IS, True, absent=Status.FAIL),), kinds=(EKS,)
    ),
    FieldControl("EK-08", (Rule("accessConfig.authenticationMode", Op.IS, "API", absent=Status.FAIL),), kinds=(EKS,)),
    FieldControl("EK-13", (Rule("deletionProtection", Op.IS, True, absent=Status.FAIL),), kinds=(EKS,)),
)


@check("EK-01", on=EKS)
def public_endpoint(obj: Obj, _: World) -> Iterator[Finding]:
    """`endpointPublicAccess` is false, or `publicAccessCidrs` lack 0.0.0.0/0; public access is the default."""
    network = mapping(obj.body.get("resourcesVpcConfig"))
    if truth(network.get("endpointPublicAccess")) is False:
        return
    ranges = network.get("publicAccessCidrs")
    if not sequence(ranges) or {"0.0.0.0/0", "::/0"} & set(texts(ranges)):
        yield fail("resourcesVpcConfig.publicAccessCidrs", ranges, "the addresses in use")


@check("EK-03", on=EKS_GROUP)
def private_nodes(obj: Obj, world: World) -> Iterator[Finding]:
    """Subnets of the node group do not assign public addresses."""
    subnets = {text(item.body.get("subnetId")): item for item in world.of("AWS::EC2::Subnet")}
    known = [name for name in texts(obj.body.get("subnets")) if name in subnets]
    if not known:
        yield unknown("subnets and route tables were not collected")
    for name in known:
        if subnets[name].body.get("mapPublicIpOnLaunch") is True:
            yield fail("subnets", name, "a private subnet", part=name)


@check("EK-04", on=EKS)
def envelope_encryption(obj: Obj, _: World) -> Iterator[Finding]:
    """`encryptionConfig` has a key for secrets."""
    entries = mappings(obj.body.get("encryptionConfig"))
    if not any(
        "secrets" in texts(item.get("resources")) and mapping(item.get("provider")).get("keyArn") for item in entries
    ):
        yield fail("encryptionConfig", obj.body.get("encryptionConfig"), "a KMS key for secrets")


@check("EK-05", on=EKS, least=LOG_TYPES)
def control_plane_logs(obj: Obj, world: World) -> Iterator[Finding]:
    """`logging.clusterLogging` enables all five types."""
    enabled: set[str] = set()
    for item in mappings(mapping(obj.body.get("logging")).get("clusterLogging")):
        if truth(item.get("enabled")) is True:
            enabled |= set(texts(item.get("types")))
    missing = [name for name in world.parameter("EK-05", "least", LOG_TYPES) if name not in enabled]
    if missing:
        yield fail("logging.clusterLogging", sorted(enabled), list(LOG_TYPES), f"not enabled: {', '.join(missing)}")


@check("EK-06", on=EKS)
def network_policy(_: Obj, world: World) -> Iterator[Finding]:
    """The vpc-cni add-on with `enableNetworkPolicy`, or a daemon set of Cilium or Calico."""
    addons = [item for item in world.of(EKS_ADDON) if text(item.body.get("addonName")) == "vpc-cni"]
    for item in addons:
        values = text(item.body.get("configurationValues")).replace(" ", "").replace('"', "").lower()
        if "enablenetworkpolicy:true" in values:
            return
    if any(word in workload.obj.name for workload in world.workloads for word in ("cilium", "calico")):
        return
    if addons:
        yield fail(
            "configurationValues",
            addons[0].body.get("configurationValues"),
            "enableNetworkPolicy: true",
            target=addons[0],
        )
    elif not world.workloads:
        yield unknown("add-ons and daemon sets were not collected")
    else:
        yield fail("", None, "enableNetworkPolicy: true, Cilium or Calico")


@check("EK-07", on=EKS)
def supported_version(obj: Obj, world: World) -> Iterator[Finding]:
    """`version` against the day on which EKS ends standard support."""
    raw = text(obj.body.get("version"))
    minor = minor_of(raw)
    if minor is None:
        if obj.body.get("_planned") is not True:
            yield unknown("the version is not told", "version")
        return
    end = STANDARD_UNTIL.get(minor)
    if minor < min(STANDARD_UNTIL) or (end is not None and world.today > date.fromisoformat(end)):
        yield fail("version", raw, "a version in standard support", f"ended on {end}" if end else "")


@check("EK-09", on=EKS)
def hidden_creator(obj: Obj, world: World) -> Iterator[Finding]:
    """`bootstrapClusterCreatorAdminPermissions` is false, or the access entries that are administrators are reviewed."""
    access = mapping(obj.body.get("accessConfig"))
    if access.get("bootstrapClusterCreatorAdminPermissions") is False:
        return
    admins = [
        item
        for item in world.of(EKS_ENTRY)
        if any("ClusterAdminPolicy" in str(policy) for policy in sequence(item.body.get("associatedAccessPolicies")))
    ]
    for item in admins:
        yield fail(
            "associatedAccessPolicies",
            item.name,
            "no administrator beside the break-glass role",
            part=item.name,
            target=item,
        )
    if not admins:
        yield manual(
            "the creator is administrator unless told otherwise, and the API does not say who it was",
            "accessConfig.bootstrapClusterCreatorAdminPermissions",
        )


@check("EK-10", on=EKS)
def workload_roles(_: Obj, world: World) -> Iterator[Finding]:
    """Annotations eks.amazonaws.com/role-arn of service accounts, or pod identity associations."""
    if any("eks.amazonaws.com/role-arn" in obj.annotations for obj in world.of("ServiceAccount")) or world.of(
        "AWS::EKS::PodIdentityAssociation"
    ):
        return
    yield manual(
        "see whether pods that call AWS do so with the node's role: no IRSA annotation or pod identity was found"
    )


@check("EK-11", on=LAUNCH_TEMPLATE)
def node_metadata(obj: Obj, _: World) -> Iterator[Finding]:
    """`MetadataOptions.HttpTokens` is required and the hop limit 1."""
    if (finding := metadata_of_template(obj)) is not None:
        yield finding


@check("EK-12", on=EKS_GROUP)
def node_ssh(obj: Obj, _: World) -> Iterator[Finding]:
    """`remoteAccess` has no key, or names source groups."""
    remote = mapping(obj.body.get("remoteAccess"))
    if remote.get("ec2SshKey") and not sequence(remote.get("sourceSecurityGroups")):
        yield fail("remoteAccess.sourceSecurityGroups", remote.get("sourceSecurityGroups"), "source groups, or no key")


_PUSH: Final = (
    "AmazonEC2ContainerRegistryFullAccess",
    "AmazonEC2ContainerRegistryPowerUser",
    "AdministratorAccess",
    "PowerUserAccess",
)


@check("EK-14", on=(IAM_ROLE, "ListEntitiesForPolicies"))
def node_role(obj: Obj, _: World) -> Iterator[Finding]:
    """Policies attached to the node role let pull, and not push."""
    if obj.kind == "ListEntitiesForPolicies":
        attached = [text(arn) for arn in mapping(dig(obj.body, "data.rolesPolicies"))]
        if not obj.api_version.startswith("eks."):
            yield not_applicable("another cloud")
            return
    else:
        attached = [
            text(item.get("policyArn")) if isinstance(item, dict) else text(item)
            for item in sequence(obj.body.get("attachedPolicies") or obj.body.get("managedPolicyArns"))
        ]
        if not any("EKSWorkerNode" in name or "ContainerRegistry" in name for name in attached):
            yield not_applicable("not a node role")
            return
    for name in attached:
        if name.rsplit("/", 1)[-1] in _PUSH:
            yield fail("attachedPolicies", name, "AmazonEC2ContainerRegistryPullOnly", part=name)


@check("EK-15", on=EKS_GROUP)
def node_image(obj: Obj, _: World) -> Iterator[Finding]:
    """`amiType` is Bottlerocket or Amazon Linux 2023."""
    kind = text(obj.body.get("amiType"))
    if not kind:
        yield unknown("the image type is not told", "amiType")
    elif kind == "CUSTOM":
        yield manual("an image of its own: see what hardens it", "amiType", kind)
    elif not kind.startswith(("BOTTLEROCKET", "AL2023")):
        yield fail("amiType", kind, {"one of": ["BOTTLEROCKET_*", "AL2023_*"]})


@check("EK-16", on=EKS)
def fargate(_: Obj, world: World) -> Iterator[Finding]:
    """Fargate profiles, or nodes of type fargate; whether work needs them is for a person."""
    if world.of(FARGATE) or any(
        node.labels.get("eks.amazonaws.com/compute-type") == "fargate" for node in world.of("Node")
    ):
        return
    yield manual("see whether untrusted work runs here: there is no Fargate profile")


@check("EK-17", on="Service")
def balancer_tls(obj: Obj, world: World) -> Iterator[Finding]:
    """Annotation aws-load-balancer-ssl-cert of load balancers on AWS."""
    on_aws = world.provider == "eks" or any("aws-load-balancer" in key for key in obj.annotations)
    if obj.spec.get("type") != "LoadBalancer" or not on_aws:
        yield not_applicable("no load balancer on AWS")
    elif not obj.annotations.get("service.beta.kubernetes.io/aws-load-balancer-ssl-cert"):
        yield fail(
            'metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-ssl-cert"]', None, "a certificate"
        )


@check("EK-18", on=(EKS, GUARD_DUTY))
def guard_duty(obj: Obj, world: World) -> Iterator[Finding]:
    """GuardDuty features EKS_AUDIT_LOGS and RUNTIME_MONITORING are enabled."""
    if obj.kind == EKS:
        if not world.of(GUARD_DUTY):
            yield unknown("GuardDuty detectors were not collected")
        return
    features = {text(item.get("name")): text(item.get("status")) for item in mappings(obj.body.get("features"))}
    for name in ("EKS_AUDIT_LOGS", "RUNTIME_MONITORING"):
        status = features.get(name) or (
            features.get("EKS_RUNTIME_MONITORING") if name == "RUNTIME_MONITORING" else None
        )
        if status != "ENABLED":
            yield fail("features", status, f"{name} ENABLED", part=name)
