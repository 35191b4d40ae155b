"""Deletion, and isolation taken away."""

from __future__ import annotations

import re
from datetime import timedelta

from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import done, grade, is_own_namespace, may, place, who
from seawall.detection.workloads import WRITES, items, mapping, normal_path, text, texts, written
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_DATA = ("namespaces", "persistentvolumeclaims", "persistentvolumes", "customresourcedefinitions", "deployments", "statefulsets", "daemonsets", "secrets",
         "configmaps", "services", "cronjobs", "clusters", "databases")  # fmt: skip
_BACKUPS = ("volumesnapshots", "volumesnapshotcontents", "backups", "backupstoragelocations", "backuprepositories", "schedules", "restores", "etcdbackups",
            "scheduledbackups", "snapshots", "backupschedules", "profiles", "backupsessions", "backupconfigurations")  # fmt: skip
_BACKUP_GROUPS = ("snapshot.storage.k8s.io", "velero.io", "k8up.io", "stash.appscode.com", "config.kio.kasten.io", "postgresql.cnpg.io", "longhorn.io",
                  "resources.cattle.io", "cr.kanister.io", "groupsnapshot.storage.k8s.io", "actions.kio.kasten.io", "etcd.database.coreos.com")  # fmt: skip


@detection(
    id="AU-1001",
    title="Mass deletion",
    severity=Severity.HIGH,
    attack=("T1485",),
    on=AuditEvent,
    verbs=("delete", "deletecollection"),
    resources=_DATA,
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="cluster+actor",
    threshold=20,
    distinct="target",
    catalogue=("X_MassDeletion",),
    needs=("metadata of deletions",),
    benign=("Removal of a test environment by its pipeline (GitOps controllers are left out by exact identity).",),
    investigate=("Are the objects gone on purpose? Do the volumes' data still exist?",),
    response="Take the caller's access away, restore from backup.",
    action="deleted many objects",
)
def mass_deletion(event: AuditEvent) -> Match | None:
    """One identity deleted at least twenty different workloads, volumes, namespaces, secrets or the like within ten minutes."""
    if any(
        may(event, power) for power in ("control-loops", "deploy", "system-workloads", "delete-events")
    ) or event.actor.startswith("eks:"):
        return None
    base, reasons = Severity.HIGH, []
    if caller_kind(event.actor) == "service_account" and is_own_namespace(event, event.namespace):
        if event.resource in ("secrets", "configmaps", "services"):
            return None  # Job runners clear what they made for each job.
        base = Severity.MEDIUM
        reasons.append("a service account in its own namespace")
    return Match(
        f"{who(event)} deleted at least 20 different objects within 10 minutes",
        severity=base,
        reasons=tuple(reasons),
        key=f"{event.actor}|deletion",
    )


@detection(
    id="AU-1002",
    title="Namespaces deleted in a row",
    severity=Severity.HIGH,
    attack=("T1485",),
    on=AuditEvent,
    verbs=("delete", "deletecollection"),
    resources=("namespaces", "persistentvolumes", "customresourcedefinitions"),
    logic=Logic.CORRELATION,
    window=timedelta(minutes=10),
    by="cluster+actor",
    threshold=5,
    distinct="target",
    catalogue=("X_MassDeletion",),
    needs=("metadata of deletions",),
    benign=("Clean-up of preview environments (give its identity the power deploy by a list).",),
    investigate=("Are they preview environments?",),
    response="Take the caller's access away, restore from backup.",
    action="deleted namespaces",
)
def namespaces_deleted(event: AuditEvent) -> Match | None:
    """Each of these takes everything in it along."""
    if any(may(event, power) for power in ("control-loops", "deploy", "system-workloads")):
        return None
    return Match(
        f"{who(event)} deleted at least 5 namespaces, volumes or resource definitions within 10 minutes",
        key=f"{event.actor}|namespaces",
    )


@detection(
    id="AU-1003",
    title="Backups or snapshots deleted",
    severity=Severity.HIGH,
    attack=("T1490",),
    on=AuditEvent,
    verbs=("delete", "deletecollection"),
    resources=_BACKUPS,
    catalogue=("X_BackupDestroyed",),
    needs=("metadata of deletions of backup objects",),
    benign=("Retention by the backup product itself (left out: it acts in its own namespace).",),
    investigate=("Do the copies in object storage still exist?",),
    response="Stop further deletion in the storage (lock, versioning), take the caller's access away.",
    action="deleted backups",
)
def backup_deleted(event: AuditEvent) -> Match | None:
    """What would help after a destruction was removed first."""
    group = (event.object_ref and event.object_ref.api_group) or ""
    kind = event.resource
    if (group and group not in _BACKUP_GROUPS) or (
        not group and kind not in ("volumesnapshots", "volumesnapshotcontents")
    ):
        return None
    if any(may(event, power) for power in ("control-loops", "system-workloads")) or is_own_namespace(
        event, event.namespace
    ):
        return None
    parts = event.actor.split(":")
    if (
        len(parts) == 4
        and re.search(r"snapshot|velero|backup|k8up|stash|kasten|cnpg|longhorn", f"{parts[2]}:{parts[3]}")
        and (kind in ("volumesnapshotcontents", "volumesnapshots", "backups", "snapshots") and event.verb == "delete")
    ):
        base = Severity.LOW
    else:
        base = (
            Severity.HIGH
            if event.verb == "deletecollection"
            or kind in ("backupstoragelocations", "schedules", "backuprepositories", "backups")
            else Severity.MEDIUM
        )
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} deleted {kind} {place(event)}",
        severity=severity,
        reasons=tuple(reasons),
        key=f"{event.actor}|{kind}|{event.namespace}",
    )


@detection(
    id="AU-1004",
    title="Network isolation weakened",
    severity=Severity.MEDIUM,
    attack=("T1562.007",),
    on=AuditEvent,
    verbs=(*WRITES, "delete", "deletecollection"),
    resources=(
        "networkpolicies",
        "ciliumnetworkpolicies",
        "ciliumclusterwidenetworkpolicies",
        "globalnetworkpolicies",
        "adminnetworkpolicies",
        "baselineadminnetworkpolicies",
        "authorizationpolicies",
        "peerauthentications",
    ),
    catalogue=("X_NetworkPolicyRemoved", "Sigma: Azure Kubernetes Network Policy Change"),
    needs=("request bodies of network policies",),
    benign=("Removal with its application; the policy that follows is stricter.",),
    investigate=("What can the pods reach now?",),
    response="Restore the policy.",
    action="opened the network",
)
def isolation_removed(event: AuditEvent) -> Match | None:
    """A network policy was deleted, or written so that it lets everything through."""
    if any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    if event.verb in ("delete", "deletecollection"):
        own = is_own_namespace(event, event.namespace)
        base, what = (Severity.LOW if own else Severity.MEDIUM), "deleted"
    elif _allows_all(_policy(event)):
        base, what = Severity.MEDIUM, "wrote an allow-all"
    else:
        return None
    severity, reasons = grade(event, base)
    return Match(f"{who(event)} {what} {event.resource} {place(event)}", severity=severity, reasons=tuple(reasons))


def _policy(event: AuditEvent) -> dict[str, object]:
    """The specification that was written; a patch that names no pods is about those that the policy named before."""
    spec = mapping(written(event).get("spec"))
    if event.verb == "patch" and not {"podSelector", "endpointSelector", "selector"} & spec.keys():
        before = mapping(mapping(event.response_body).get("spec"))
        spec = {key: value for key, value in before.items() if key.endswith("elector")} | spec
    return spec


def _allows_all(spec: dict[str, object]) -> bool:
    selector = spec.get("podSelector", spec.get("endpointSelector"))
    if mapping(selector) or (selector is None and "mtls" not in spec):
        return False
    for direction in ("ingress", "egress"):
        for rule in items(spec.get(direction)):
            if rule == {} or {"all", "world"} & {
                *texts(mapping(rule).get("fromEntities")),
                *texts(mapping(rule).get("toEntities")),
            }:
                return True
            peers = items(mapping(rule).get("from")) + items(mapping(rule).get("to"))
            if (
                mapping(rule)
                and not mapping(rule).get("ports")
                and any(
                    text(mapping(mapping(peer).get("ipBlock")).get("cidr")) in ("0.0.0.0/0", "::/0")
                    and not mapping(mapping(peer).get("ipBlock")).get("except")
                    for peer in peers
                )
            ):
                return True
    return text(mapping(spec.get("mtls")).get("mode")) == "DISABLE"


@detection(
    id="AU-1005",
    title="Workload or namespace deleted by a person",
    severity=Severity.INFORMATIONAL,
    attack=("T1489", "T1485"),
    on=AuditEvent,
    verbs=("delete", "deletecollection"),
    resources=("deployments", "daemonsets", "statefulsets", "namespaces", "persistentvolumeclaims", "pods", "nodes"),
    actors=("user", "anonymous"),
    catalogue=(
        "Sigma: Deployment Deleted From Kubernetes Cluster",
        "Falco: K8s Deployment Deleted",
        "Falco: K8s Namespace Deleted",
    ),
    needs=("metadata of deletions",),
    benign=("Ordinary administration.",),
    investigate=("Join it with the caller's other actions.",),
    response="Restore from the deployment's source.",
    action="deleted a workload",
    confidence="low",
)
def workload_deleted(event: AuditEvent) -> Match | None:
    """A record for incidents. In a platform namespace it is low."""
    if context().allowances.is_platform(event.actor):
        return None
    system = context().is_system(event.namespace) or event.verb == "deletecollection" or event.resource == "nodes"
    if event.resource == "pods" and not system:
        return None
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}",
        severity=Severity.LOW if system else Severity.INFORMATIONAL,
        key=f"{event.actor}|{event.resource}|{event.namespace}",
    )


@detection(
    id="AU-1006",
    title="Activity record",
    severity=Severity.INFORMATIONAL,
    attack=(),
    on=AuditEvent,
    verbs=("create", "delete"),
    resources=(
        "deployments",
        "services",
        "configmaps",
        "namespaces",
        "serviceaccounts",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "secrets",
    ),
    actors=("user",),
    enabled=False,
    catalogue=(
        "Falco: K8s Deployment, Service, ConfigMap, Namespace, Serviceaccount, Role, ClusterRole, RoleBinding, ClusterRoleBinding, Secret Created and Deleted",
    ),
    needs=("metadata of writes",),
    benign=("It is ordinary work by definition.",),
    investigate=("Nothing alone.",),
    response="None.",
    action="created or deleted an object",
    confidence="low",
)
def activity_record(event: AuditEvent) -> Match | None:
    """Every creation and deletion of the main kinds by people, for those who want the list; off by default."""
    return Match(f"{who(event)} {done(event)} {event.resource} {place(event)}")


@detection(
    id="AU-1007",
    title="Volume snapshot or clone of another's data",
    severity=Severity.LOW,
    attack=("T1530", "T1005"),
    on=AuditEvent,
    verbs=("create",),
    resources=("volumesnapshots", "volumesnapshotcontents", "persistentvolumes"),
    catalogue=("runtime-coverage: volume snapshots used to read another workload's data",),
    needs=("metadata of writes of snapshots",),
    benign=("Backups by hand.",),
    investigate=("Which pod mounted a volume from the snapshot?",),
    response="Delete the snapshot.",
    action="copied a volume",
)
def volume_copied(event: AuditEvent) -> Match | None:
    """A person snapshots a volume, or writes a PersistentVolume by hand that points at existing storage or at the node. A
    volume on the node's own folders is medium, whoever makes it: a claim on it is a hostPath that no policy sees."""
    person = caller_kind(event.actor) in ("user", "anonymous")
    if context().allowances.is_platform(event.actor) or not (person or event.resource == "persistentvolumes"):
        return None
    if event.resource == "persistentvolumes":
        spec = mapping(written(event).get("spec"))
        path = text(mapping(spec.get("hostPath")).get("path")) or text(mapping(spec.get("local")).get("path"))
        if not path:
            return None
        path = normal_path(path)
        bad = path == "/" or re.match(
            r"/(etc|root|var/lib/(kubelet|etcd|docker|containerd)|var/run|run|proc|boot)(/|$)", path
        )
        if not bad and not person:
            return None
        return Match(
            f"{who(event)} made volume {event.name} on {path} of the node",
            severity=Severity.MEDIUM if bad else Severity.INFORMATIONAL,
        )
    return Match(f"{who(event)} created {event.resource} {place(event)}", severity=Severity.INFORMATIONAL)
