"""Logging, backups and security services of clusters switched off through the cloud."""

from __future__ import annotations

import re

from seawall.detection.declaration import detection
from seawall.detection.rules.cloud.clusters import AKS, NEEDS, PLATFORMS, gke, graded, place
from seawall.detection.workloads import all_texts, at, items, mapping, text, texts
from seawall.domain.alerts import Match
from seawall.domain.audit_events import CloudActivity
from seawall.domain.severity import Severity


@detection(
    id="CL-0105",
    title="Cluster audit logging switched off",
    severity=Severity.HIGH,
    attack=("T1562.008",),
    on=CloudActivity,
    operations=(
        "eks:updateclusterconfig",
        "microsoft.insights/diagnosticsettings/delete",
        "microsoft.insights/diagnosticsettings/write",
        *gke("UpdateCluster", "SetLoggingService"),
        "google.logging.v2.configservicev2.deletesink",
        "google.logging.v2.configservicev2.updatesink",
        "google.logging.v2.configservicev2.createexclusion",
        "google.logging.v2.configservicev2.updateexclusion",
        "logs:deleteloggroup",
        "logs:deletesubscriptionfilter",
        "logs:deletelogstream",
        "cloudtrail:stoplogging",
        "cloudtrail:deletetrail",
        "microsoft.eventhub/namespaces/delete",
        "microsoft.eventhub/namespaces/eventhubs/delete",
    ),
    catalogue=("X_ClusterLoggingDisabled", "Elastic: EKS Control Plane Logging Disabled"),
    needs=(*NEEDS, "request parameters"),
    benign=("A change of the log's destination: the new one must show up.",),
    investigate=("What happened in the cluster since? Another source (sensor) may still tell.",),
    response="Switch the log on again, then treat the gap as an incident.",
    action="switched off the cluster's audit log",
    confidence="high",
    **PLATFORMS,
)
def logging_disabled(event: CloudActivity) -> Match | None:
    """The cluster's audit log, or the way it takes to us, was switched off."""
    operation, request, resource = event.operation, event.request, event.resource.lower()
    concerns_cluster = any(
        word in f"{resource} {' '.join(all_texts(request)).lower()}"
        for word in ("managedclusters", "/aws/eks/", "eks", "gke", "k8s", "kube", "container")
    )
    if operation == "eks:updateclusterconfig":
        for entry in map(mapping, items(at(request, "logging", "clusterLogging"))):
            if entry.get("enabled") is False and {"audit", "authenticator", "api"} & set(texts(entry.get("types"))):
                return graded(
                    event, Severity.HIGH, f"switched off {', '.join(texts(entry.get('types')))} logs of {place(event)}"
                )
        return None
    if operation == "microsoft.insights/diagnosticsettings/write":
        logs = [mapping(item) for item in items(at(request, "properties", "logs"))]
        audit = [
            item
            for item in logs
            if text(item.get("category")).startswith("kube-audit")
            or text(item.get("categoryGroup")) in ("audit", "allLogs")
        ]
        off = "managedclusters" in resource and logs and not any(item.get("enabled") is True for item in audit)
        return graded(event, Severity.HIGH, f"switched off the audit log of {place(event)}") if off else None
    if operation.startswith("google.container"):
        update = mapping(request.get("update"))
        if text(update.get("desiredLoggingService")) == "none" or text(request.get("loggingService")) == "none":
            return graded(event, Severity.HIGH, f"switched off the logs of {place(event)}")
        if "desiredLoggingConfig" in update and "SYSTEM_COMPONENTS" not in texts(
            at(update, "desiredLoggingConfig", "componentConfig", "enableComponents")
        ):
            return graded(event, Severity.HIGH, f"switched off the logs of {place(event)}")
        return None
    if operation == "microsoft.insights/diagnosticsettings/delete":
        return (
            graded(event, Severity.HIGH, f"deleted the diagnostic setting of {place(event)}")
            if "managedclusters" in resource
            else None
        )
    if (
        operation.startswith("google.logging")
        and operation.endswith("updatesink")
        and at(request, "sink", "disabled") is not True
    ):
        return None
    general = operation.startswith("cloudtrail:")
    return (
        graded(
            event,
            Severity.HIGH if concerns_cluster or general else Severity.MEDIUM,
            f"did {operation} on {event.resource or event.account}",
        )
        if concerns_cluster or general or "google.logging" in operation
        else None
    )


@detection(
    id="CL-0108",
    title="Backups of cluster data deleted",
    severity=Severity.HIGH,
    attack=("T1490",),
    on=CloudActivity,
    operations=(
        "microsoft.dataprotection/backupvaults/backupinstances/delete",
        "microsoft.dataprotection/backupvaults/delete",
        "microsoft.dataprotection/backupvaults/backupinstances/stopprotection/action",
        "microsoft.compute/snapshots/delete",
        "ec2:deletesnapshot",
        "backup:deleterecoverypoint",
        "backup:deletebackupvault",
        "backup:deletebackupplan",
        "google.cloud.gkebackup.v1.backupforgke.deletebackup",
        "google.cloud.gkebackup.v1.backupforgke.deletebackupplan",
        "v1.compute.snapshots.delete",
    ),
    catalogue=("X_BackupDestroyed",),
    needs=NEEDS,
    benign=("Retention rules (services do it, not people: lowered).",),
    investigate=("Are there other copies?",),
    response="Stop the caller, use soft delete to restore.",
    action="deleted backups",
    **PLATFORMS,
)
def cloud_backup_deleted(event: CloudActivity) -> Match | None:
    """Copies that a recovery needs were deleted through the cloud."""
    strong = any(
        word in event.operation
        for word in ("backupvault", "recoverypoint", "gkebackup", "backupplan", "stopprotection")
    )
    base = Severity.HIGH if strong and event.actor_type != "service" else Severity.MEDIUM if strong else Severity.LOW
    return graded(
        event,
        base,
        f"did {event.operation} on {event.resource[-160:] or event.account}",
        key=f"{event.actor}|{event.operation}",
    )


@detection(
    id="CL-0111",
    title="Security service switched off for clusters",
    severity=Severity.HIGH,
    attack=("T1562.001",),
    on=CloudActivity,
    operations=(
        "guardduty:updatedetector",
        "guardduty:deletedetector",
        "guardduty:updatemalwarescansettings",
        "eks:deleteaddon",
        "microsoft.security/pricings/write",
        "microsoft.security/pricings/delete",
        f"{AKS}/write",
        *gke("UpdateCluster"),
        "microsoft.authorization/policyassignments/delete",
        "google.cloud.binaryauthorization.v1.binauthzmanagementservicev1.updatepolicy",
        "microsoft.kubernetesconfiguration/extensions/delete",
    ),
    catalogue=("X_SensorTampered", "X_AdmissionWeakened"),
    needs=(*NEEDS, "request parameters"),
    benign=("Change of product.",),
    investigate=("What ran meanwhile?",),
    response="Switch the service on again.",
    action="switched off a security service",
    **PLATFORMS,
)
def security_service_off(event: CloudActivity) -> Match | None:
    """The cloud's own threat detection, admission policy or image verification for clusters was switched off."""
    request, operation = event.request, event.operation
    why = ""
    if operation.startswith("guardduty:"):
        features = [mapping(item) for item in items(request.get("features"))]
        off = [
            text(item.get("name"))
            for item in features
            if text(item.get("status")) == "DISABLED" and re.search("EKS|RUNTIME", text(item.get("name")))
        ]
        sources = at(request, "dataSources", "kubernetes", "auditLogs", "enable")
        why = (
            "GuardDuty detector deleted"
            if "delete" in operation
            else "GuardDuty off"
            if request.get("enable") is False
            else f"GuardDuty {off[0]} off"
            if off
            else "GuardDuty audit logs off"
            if sources is False
            else ""
        )
    elif operation == "eks:deleteaddon":
        if text(request.get("addonName")) == "aws-guardduty-agent":
            why = "GuardDuty's agent removed"
    elif operation.startswith("microsoft.security/pricings"):
        if re.search(r"containers|kubernetesservice|containerregistry", event.resource.lower()):
            why = (
                "Defender plan off"
                if operation.endswith("delete") or text(at(request, "properties", "pricingTier")).lower() == "free"
                else ""
            )
    elif operation == f"{AKS}/write":
        if at(request, "properties", "securityProfile", "defender", "securityMonitoring", "enabled") is False:
            why = "Defender sensor off"
        elif at(request, "properties", "addonProfiles", "azurepolicy", "enabled") is False:
            why = "Azure Policy off"
    elif operation.startswith("google.container"):
        update = mapping(request.get("update"))
        if (
            at(update, "desiredBinaryAuthorization", "enabled") is False
            or text(at(update, "desiredBinaryAuthorization", "evaluationMode")) == "DISABLED"
        ):
            why = "Binary Authorization off"
        elif text(at(update, "desiredSecurityPostureConfig", "mode")) == "DISABLED":
            why = "security posture off"
    elif operation.startswith("google.cloud.binaryauthorization"):
        if "ALWAYS_ALLOW" in " ".join(all_texts(request)):
            why = "image policy allows everything"
    elif "defender" in event.resource.lower() or "azurepolicy" in event.resource.lower():
        why = f"{event.resource.rpartition('/')[2]} removed"
    return graded(event, Severity.HIGH, f"switched off protection of {place(event)}: {why}") if why else None


@detection(
    id="CL-0112",
    title="Break-glass workload deployed past image verification",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1562.001"),
    on=CloudActivity,
    operations=(
        "google.cloud.binaryauthorization.v1.binauthzmanagementservicev1.evaluate",
        "io.k8s.core.v1.pods.create",
        "google.cloud.binaryauthorization.v1.continuousvalidation.breakglass",
        "google.cloud.run.v2.services.createservice",
    ),
    catalogue=("Sigma: GCP Break-glass Container Workload Deployed",),
    needs=NEEDS,
    platforms=("gke",),
    platform_notes={"aks": "No such service.", "eks": "No such service."},
    benign=("A real emergency.",),
    investigate=("Which image, and who decided it?",),
    response="Re-deploy with a verified image.",
    action="deployed a workload past image verification",
)
def break_glass(event: CloudActivity) -> Match | None:
    """The deployment carried the label that lets it past Binary Authorization."""
    words = (
        " ".join(all_texts(event.request))
        + " ".join(mapping(at(event.request, "metadata", "labels")))
        + event.operation
    )
    return (
        graded(event, Severity.MEDIUM, f"used break-glass on {place(event)}")
        if "image-policy.k8s.io/break-glass" in words or "breakglass" in words
        else None
    )
