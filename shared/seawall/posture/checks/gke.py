"""Google Kubernetes Engine: the cluster and node pool resources of the container API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Check, Finding, check, fail, manual, not_applicable, unknown
from seawall.posture.clouds import FIREWALL, GKE, GKE_POOL, is_unresolved
from seawall.posture.fields import FieldControl, Op, Rule
from seawall.posture.objects import Obj, dig, mapping, mappings, sequence, text, texts, truth
from seawall.posture.world import World, minor_of

FAIL: Final = Status.FAIL


def is_autopilot(obj: Obj) -> bool:
    """Whether the platform fixes node settings itself."""
    return mapping(obj.body.get("autopilot")).get("enabled") is True


def _row(name: str, *rules: Rule) -> FieldControl:
    return FieldControl(name, rules, kinds=(GKE,))


TABLE: Final = (
    _row("GK-02", Rule("privateClusterConfig.enablePrivateEndpoint", Op.IS, True, absent=FAIL)),
    _row("GK-21", Rule("masterAuth.clientCertificateConfig.issueClientCertificate", Op.IS_NOT, True)),
    _row("GK-22", Rule("authenticatorGroupsConfig.enabled", Op.IS, True, absent=FAIL)),
    _row("GK-23", Rule("legacyAbac.enabled", Op.IS_NOT, True)),
    _row("GK-27", Rule("enableKubernetesAlpha", Op.IS_NOT, True)),
    _row(
        "GK-29", Rule("securityPostureConfig.mode", Op.NOT_IN, frozenset({"DISABLED", "MODE_UNSPECIFIED"}), absent=FAIL)
    ),
    _row(
        "GK-30",
        Rule(
            "binaryAuthorization.evaluationMode",
            Op.NOT_IN,
            frozenset({"DISABLED", "EVALUATION_MODE_UNSPECIFIED", ""}),
            absent=FAIL,
        ),
    ),
    _row("GK-32", Rule("masterAuth.username", Op.EMPTY)),
    _row("GK-33", Rule("anonymousAuthenticationConfig.mode", Op.IS, "LIMITED", absent=FAIL)),
)


@check("GK-01", on=GKE)
def authorised_networks(obj: Obj, _: World) -> Iterator[Finding]:
    """`masterAuthorizedNetworksConfig` is enabled and lacks 0.0.0.0/0, or only the DNS endpoint is open."""
    config = mapping(obj.body.get("masterAuthorizedNetworksConfig")) or mapping(
        dig(obj.body, "controlPlaneEndpointsConfig.ipEndpointsConfig.authorizedNetworksConfig")
    )
    if dig(obj.body, "controlPlaneEndpointsConfig.ipEndpointsConfig.enabled") is False:
        return
    if truth(config.get("enabled")) is not True:
        yield fail("masterAuthorizedNetworksConfig.enabled", config.get("enabled"), True)
    for index, item in enumerate(mappings(config.get("cidrBlocks"))):
        if text(item.get("cidrBlock")) in {"0.0.0.0/0", "::/0"}:
            yield fail(
                f"masterAuthorizedNetworksConfig.cidrBlocks[{index}].cidrBlock",
                item.get("cidrBlock"),
                "the addresses in use",
            )


@check("GK-03", on=GKE)
def private_nodes(obj: Obj, _: World) -> Iterator[Finding]:
    """`privateClusterConfig.enablePrivateNodes`, or that of each node pool."""
    value = dig(obj.body, "privateClusterConfig.enablePrivateNodes")
    if is_unresolved(value):
        yield unknown("the template leaves it to its deployment", "privateClusterConfig.enablePrivateNodes")
        return
    if truth(value) is True:
        return
    pools = mappings(obj.body.get("nodePools"))
    if not pools or any(dig(pool, "networkConfig.enablePrivateNodes") is not True for pool in pools):
        yield fail("privateClusterConfig.enablePrivateNodes", value, True)


@check("GK-04", on=GKE)
def secrets_encrypted(obj: Obj, _: World) -> Iterator[Finding]:
    """`databaseEncryption.state` is ENCRYPTED."""
    state = dig(obj.body, "databaseEncryption.state")
    if state not in {"ENCRYPTED", 1} and dig(obj.body, "databaseEncryption.currentState") != "CURRENT_STATE_ENCRYPTED":
        yield fail("databaseEncryption.state", state, "ENCRYPTED")


def nodes(obj: Obj) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield JSON path, node settings and name of each pool; of the cluster's own settings where it lists no pool."""
    if obj.kind == GKE_POOL:
        yield "config", mapping(obj.body.get("config")), obj.name
        return
    pools = mappings(obj.body.get("nodePools"))
    for index, pool in enumerate(pools):
        yield f"nodePools[{index}].config", mapping(pool.get("config")), text(pool.get("name"))
    if not pools and isinstance(obj.body.get("nodeConfig"), dict):
        yield "nodeConfig", mapping(obj.body.get("nodeConfig")), ""


def _skips(obj: Obj, world: World) -> str:
    if is_autopilot(obj):
        return "Autopilot sets it"
    if obj.kind == GKE and obj.body.get("_removeDefaultPool") is True and world.of(GKE_POOL):
        return "the default pool is removed; pools are judged on their own"
    return ""


@check("GK-05", on=(GKE, GKE_POOL))
def node_account(obj: Obj, world: World) -> Iterator[Finding]:
    """`config.serviceAccount` of each pool is not `default`."""
    if is_autopilot(obj) and not mapping(obj.body.get("nodeConfig")).get("serviceAccount"):
        yield fail("nodeConfig.serviceAccount", None, "an account of its own")
        return
    if not is_autopilot(obj) and (why := _skips(obj, world)):
        yield not_applicable(why)
        return
    found = False
    for at, config, name in nodes(obj):
        found = True
        account = config.get("serviceAccount")
        if account in (None, "", "default") or text(account).endswith("-compute@developer.gserviceaccount.com"):
            yield fail(f"{at}.serviceAccount", account, "an account of its own", part=name)
    if not found:
        yield fail("nodeConfig.serviceAccount", None, "an account of its own")


@check("GK-06", on=GKE)
def workload_identity(obj: Obj, _: World) -> Iterator[Finding]:
    """`workloadIdentityConfig.workloadPool` is set."""
    if not is_autopilot(obj) and not dig(obj.body, "workloadIdentityConfig.workloadPool"):
        yield fail("workloadIdentityConfig.workloadPool", None, "set")


def _each_node(name: str, field: str, good: Callable[[Any], bool], wanted: Any, about: str) -> Check:
    @check(name, on=(GKE, GKE_POOL))
    def run(obj: Obj, world: World) -> Iterator[Finding]:
        if why := _skips(obj, world):
            if is_autopilot(obj):
                return
            yield not_applicable(why)
            return
        found = False
        for at, config, part in nodes(obj):
            found = True
            value = dig(config, field)
            if is_unresolved(value):
                yield unknown("the template leaves it to its deployment", f"{at}.{field}")
            elif not good(value):
                yield fail(f"{at}.{field}", value, wanted, part=part)
        if not found and not good(None):
            yield fail(f"nodeConfig.{field}", None, wanted)

    return replace(run, about=about)


NODES: Final = (
    _each_node(
        "GK-07",
        "workloadMetadataConfig.mode",
        lambda value: value == "GKE_METADATA",
        "GKE_METADATA",
        "`workloadMetadataConfig.mode` of each pool is GKE_METADATA",
    ),
    _each_node(
        "GK-08",
        "imageType",
        lambda value: value is None or text(value).upper().startswith("COS"),
        "COS_CONTAINERD",
        "`imageType` of each pool is Container-Optimized OS",
    ),
    _each_node(
        "GK-13",
        "shieldedInstanceConfig.enableIntegrityMonitoring",
        lambda value: truth(value) is not False,
        True,
        "`enableIntegrityMonitoring` of each pool is not false, its default being true",
    ),
    _each_node(
        "GK-14",
        "shieldedInstanceConfig.enableSecureBoot",
        lambda value: truth(value) is True,
        True,
        "`enableSecureBoot` of each pool",
    ),
    _each_node("GK-25", "bootDiskKmsKey", lambda value: bool(value), "a key", "`bootDiskKmsKey` of each pool"),
)


def _management(name: str, field: str) -> Check:
    @check(name, on=(GKE, GKE_POOL))
    def run(obj: Obj, world: World) -> Iterator[Finding]:
        if is_autopilot(obj):
            return
        if why := _skips(obj, world):
            yield not_applicable(why)
            return
        pools = (
            [(f"nodePools[{index}]", pool) for index, pool in enumerate(mappings(obj.body.get("nodePools")))]
            if obj.kind == GKE
            else [("", obj.body)]
        )
        for at, pool in pools:
            value = dig(pool, f"management.{field}")
            if truth(value) is not True:
                yield fail(f"{at}.management.{field}".lstrip("."), value, True, part=text(pool.get("name")))

    return replace(run, about=f"`management.{field}` of each pool")


MANAGEMENT: Final = (_management("GK-09", "autoRepair"), _management("GK-10", "autoUpgrade"))


@check("GK-11", on=GKE)
def release_channel(obj: Obj, _: World) -> Iterator[Finding]:
    """`releaseChannel.channel` is RAPID, REGULAR, STABLE or EXTENDED."""
    channel = dig(obj.body, "releaseChannel.channel")
    if is_unresolved(channel):
        return
    if text(channel) not in {"RAPID", "REGULAR", "STABLE", "EXTENDED"} and not is_autopilot(obj):
        yield fail("releaseChannel.channel", channel, {"one of": ["EXTENDED", "RAPID", "REGULAR", "STABLE"]})


@check("GK-12", on=GKE)
def shielded_nodes(obj: Obj, _: World) -> Iterator[Finding]:
    """`shieldedNodes.enabled` is true."""
    value = dig(obj.body, "shieldedNodes.enabled")
    if truth(value) is not True and not is_autopilot(obj):
        yield fail("shieldedNodes.enabled", value, True)


@check("GK-15", on=GKE)
def intranode(obj: Obj, _: World) -> Iterator[Finding]:
    """`networkConfig.enableIntraNodeVisibility`, which is on by default with Dataplane V2."""
    value = dig(obj.body, "networkConfig.enableIntraNodeVisibility")
    if is_unresolved(value):
        return
    by_default = value is None and dig(obj.body, "networkConfig.datapathProvider") == "ADVANCED_DATAPATH"
    if truth(value) is not True and not by_default:
        yield fail("networkConfig.enableIntraNodeVisibility", value, True)


@check("GK-16", on=GKE)
def alias_ips(obj: Obj, _: World) -> Iterator[Finding]:
    """`ipAllocationPolicy.useIpAliases` is true."""
    if dig(obj.body, "ipAllocationPolicy.useIpAliases") is not True and not is_autopilot(obj):
        yield fail("ipAllocationPolicy.useIpAliases", dig(obj.body, "ipAllocationPolicy.useIpAliases"), True)


@check("GK-17", on=(GKE, FIREWALL))
def firewall(obj: Obj, world: World) -> Iterator[Finding]:
    """Ingress firewall rules for node tags that allow every source on every or management ports."""
    if obj.kind == GKE:
        if not world.of(FIREWALL):
            yield unknown("firewall rules were not collected")
        return
    targets = texts(obj.body.get("targetTags"))
    open_to_all = "0.0.0.0/0" in texts(obj.body.get("sourceRanges"))
    if (
        obj.body.get("direction") in (None, "INGRESS")
        and open_to_all
        and any(tag.startswith("gke-") for tag in targets)
    ):
        for item in mappings(obj.body.get("allowed")):
            ports = texts(item.get("ports"))
            if not ports or {"22", "3389", "10250", "10255"} & set(ports):
                yield fail("allowed", item, "the ports and sources in use", part=str(ports))


@check("GK-18", on="Ingress")
def managed_certificates(obj: Obj, world: World) -> Iterator[Finding]:
    """Annotation networking.gke.io/managed-certificates of public ingresses on GKE."""
    kind = text(obj.annotations.get("kubernetes.io/ingress.class")) or text(obj.spec.get("ingressClassName"))
    if world.provider != "gke" or kind == "gce-internal":
        yield not_applicable("no public ingress on GKE")
    elif not any(
        obj.annotations.get(key)
        for key in ("networking.gke.io/managed-certificates", "ingress.gcp.kubernetes.io/pre-shared-cert")
    ) and not obj.spec.get("tls"):
        yield fail('metadata.annotations["networking.gke.io/managed-certificates"]', None, "a certificate")


@check("GK-19", on=GKE)
def logging(obj: Obj, _: World) -> Iterator[Finding]:
    """`loggingConfig` and `monitoringConfig` with system components and workloads, or the services of old."""
    logs = texts(dig(obj.body, "loggingConfig.componentConfig.enableComponents"))
    metrics = texts(dig(obj.body, "monitoringConfig.componentConfig.enableComponents"))
    old_logs, old_metrics = text(obj.body.get("loggingService")), text(obj.body.get("monitoringService"))
    if logs:
        if not {"SYSTEM_COMPONENTS", "WORKLOADS"} <= set(logs):
            yield fail("loggingConfig.componentConfig.enableComponents", logs, ["SYSTEM_COMPONENTS", "WORKLOADS"])
    elif old_logs and old_logs != "logging.googleapis.com/kubernetes":
        yield fail("loggingService", old_logs, "logging.googleapis.com/kubernetes")
    if metrics:
        if "SYSTEM_COMPONENTS" not in metrics:
            yield fail("monitoringConfig.componentConfig.enableComponents", metrics, ["SYSTEM_COMPONENTS"])
    elif old_metrics and old_metrics != "monitoring.googleapis.com/kubernetes":
        yield fail("monitoringService", old_metrics, "monitoring.googleapis.com/kubernetes")


@check("GK-20", on=GKE)
def auditd(obj: Obj, world: World) -> Iterator[Finding]:
    """Daemon set cos-auditd-logging."""
    if not any("auditd" in workload.obj.name for workload in world.workloads):
        yield (
            fail("", None, "the daemon set cos-auditd-logging")
            if world.workloads
            else unknown("daemon sets were not collected")
        )
    _ = obj


@check("GK-24", on="StorageClass")
def disk_keys(obj: Obj, _: World) -> Iterator[Finding]:
    """Parameter disk-encryption-kms-key of classes for Google disks."""
    provisioner = text(obj.body.get("provisioner"))
    if "pd.csi.storage.gke.io" not in provisioner and "gce-pd" not in provisioner:
        yield not_applicable("not a Google disk")
    elif not mapping(obj.body.get("parameters")).get("disk-encryption-kms-key"):
        yield fail('parameters["disk-encryption-kms-key"]', None, "a key")


@check("GK-26", on=GKE)
def web_ui(obj: Obj, _: World) -> Iterator[Finding]:
    """`addonsConfig.kubernetesDashboard.disabled`; new clusters cannot have it since 1.15."""
    value = dig(obj.body, "addonsConfig.kubernetesDashboard.disabled")
    minor = minor_of(text(obj.body.get("currentMasterVersion")))
    if value is False or (value is None and minor is not None and minor < 15):
        yield fail("addonsConfig.kubernetesDashboard.disabled", value, True)


@check("GK-28", on=GKE)
def sandbox(obj: Obj, _: World) -> Iterator[Finding]:
    """`sandboxConfig.type` gvisor of some pool; whether work needs it is for a person."""
    if not is_autopilot(obj) and not any(
        text(dig(config, "sandboxConfig.type")).lower() == "gvisor" for _, config, _name in nodes(obj)
    ):
        yield manual("see whether untrusted work runs here: no pool has GKE Sandbox", "nodePools")


@check("GK-31", on=GKE)
def network_policy(obj: Obj, _: World) -> Iterator[Finding]:
    """`networkConfig.datapathProvider` ADVANCED_DATAPATH, or `networkPolicy.enabled`."""
    if dig(obj.body, "networkConfig.datapathProvider") == "ADVANCED_DATAPATH" or is_autopilot(obj):
        return
    value = dig(obj.body, "networkPolicy.enabled")
    if truth(value) is not True:
        yield fail("networkPolicy.enabled", value, True)


__all__ = ["MANAGEMENT", "NODES", "sequence"]
