"""Raises and lowers a severity by who acted, where and on what, always with the reason."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.dispatch import caller_kind
from seawall.detection.workloads import WRITES, PodView, repository
from seawall.domain.alerts import Entity, EntityKind, Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

BREAK_GLASS_GROUP = "system:masters"


def may(event: AuditEvent, power: str) -> bool:
    """True when the caller's exact identity holds `power` and did not act as somebody else."""
    return event.impersonated is None and context().allowances.may(event.actor, power)


def is_own_namespace(event: AuditEvent, namespace: str) -> bool:
    """True when a service account acts in the namespace that it lives in."""
    parts = event.actor.split(":")
    return len(parts) == 4 and event.actor.startswith("system:serviceaccount:") and parts[2] == namespace


def lowered(severity: Severity, steps: int = 1, *, floor: Severity = Severity.INFORMATIONAL) -> Severity:
    """Return a lower severity, not under `floor`."""
    return Severity(max(min(severity, severity - steps), min(floor, severity)))


def raised(severity: Severity, steps: int = 1, *, ceiling: Severity = Severity.CRITICAL) -> Severity:
    """Return a higher severity, not over `ceiling`."""
    return Severity(min(severity + steps, max(ceiling, severity)))


def grade(event: AuditEvent, base: Severity, *, target_namespace: str | None = None) -> tuple[Severity, list[str]]:
    """Return the severity of an action in its context, with reasons."""
    knowledge, reasons, severity = context(), [], base
    namespace = event.namespace if target_namespace is None else target_namespace
    if may(event, "deploy"):
        return lowered(severity, 2, floor=Severity.LOW), ["done by a GitOps controller that applies reviewed changes"]
    if knowledge.is_system(namespace) and (may(event, "system-workloads") or is_own_namespace(event, namespace)):
        who = "a platform identity" if may(event, "system-workloads") else "a service account of that namespace"
        return min(severity, Severity.LOW), [f"done in a platform namespace by {who}"]
    if event.impersonated is not None:
        reasons.append(f"done while acting as {event.effective_user}")
    kind = knowledge.networks.kind(event.source_ip)
    if kind == "listed":
        severity = raised(severity, ceiling=Severity.HIGH)
        reasons.append(f"the caller's address is on the list {knowledge.networks.threat_list(event.source_ip)!r}")
    if caller_kind(event.actor) == "anonymous":
        severity = max(severity, Severity.HIGH)
        reasons.append("the caller did not authenticate")
    if knowledge.is_production(namespace, event.cluster):
        reasons.append("the target's name says production")
        # Deployments write objects there all day. What people do by hand (shells, tokens, reads, deletions) they do not.
        by_hand = "/" in event.resource or event.verb not in WRITES
        if severity == Severity.LOW and by_hand and knowledge.is_production(namespace):
            severity = Severity.MEDIUM
    return severity, reasons


def grade_pod(event: AuditEvent, pod: PodView, base: Severity) -> tuple[Severity, list[str]]:
    """Return the severity of something in a pod's specification.

    What a controller creates for a workload is judged by its content, since the workload may have been made before we
    looked; only what the platform itself runs, and the pods that a DaemonSet replaces on every node change, step back.
    """
    knowledge = context()
    known = knowledge.allowances.known_workload(pod.namespace, pod.workload)
    by_loop = may(event, "control-loops")
    by_kubelet = pod.is_mirror and caller_kind(event.actor) == "node"
    if known and (by_loop or by_kubelet or may(event, "deploy") or may(event, "system-workloads")):
        return Severity.INFORMATIONAL, [known]
    if known and pod.images and all(is_vendor_image(image) for image in pod.images) and not has_own_command(pod):
        return min(base, Severity.LOW), [f"{known}, from its vendor's own registry"]
    if agent := node_agent(pod, placed=is_own_namespace(event, pod.namespace)):
        return min(base, Severity.LOW), [agent]
    if by_loop and knowledge.is_system(pod.namespace):
        return min(base, Severity.LOW), ["a control loop of the cluster created it in a platform namespace"]
    if by_loop and pod.owner_kind == "DaemonSet":
        return min(base, Severity.LOW), ["the DaemonSet controller placed it on a node; the DaemonSet is judged itself"]
    severity, reasons = grade(event, base, target_namespace=pod.namespace)
    if by_loop:
        reasons.append(f"created by a control loop for {pod.owner_kind or 'a workload'} {pod.workload}")
    elif by_kubelet:
        reasons.append("the kubelet mirrors a static pod from a file on the node")
    if not by_loop and knowledge.is_system(pod.namespace) and severity == base:
        severity = max(severity, Severity.MEDIUM)
        reasons.append("placed in a platform namespace")
    return severity, reasons


PLATFORM_REGISTRIES = (
    "registry.k8s.io/", "k8s.gcr.io/", "gcr.io/k8s-minikube/", "docker.io/kindest/", "gke.gcr.io/", "gcr.io/gke-release/", "mcr.microsoft.com/",
    "public.ecr.aws/eks/", "public.ecr.aws/eks-distro/", "quay.io/openshift-release-dev/", "docker.io/rancher/",
)  # fmt: skip
"""Repositories that only a platform's vendor can push to, whole path segments."""


def is_vendor_image(image: str) -> bool:
    """True for an image from a repository that only a platform's vendor can push to."""
    name = repository(image)
    return name.startswith(PLATFORM_REGISTRIES) or bool(_EKS_REGISTRY.match(name))


_EKS_REGISTRY = re.compile(r"602401143452\.dkr\.ecr\.[a-z]{2}-[a-z]{4,9}-\d\.amazonaws\.com/")
"""EKS's own account, a registry in each region (EKS user guide, "View Amazon container image registries")."""


def node_agent(pod: PodView, *, placed: bool = False) -> str:
    """Return what kind of node agent a pod is, or empty: each image in its maker's repository, on every node or `placed` on one
    by an operator in its own namespace.

    Its name proves nothing, and neither does the image when it runs a command of its own: whoever borrows one for its
    access to nodes has to make it do something else.
    """
    allowances = context().allowances
    found = [allowances.node_agent(repository(image)) for image in pod.images]
    trusted = [why or is_vendor_image(image) for why, image in zip(found, pod.images, strict=True)]
    everywhere = pod.resource == "daemonsets" or pod.owner_kind == "DaemonSet"
    if not any(found) or not all(trusted) or not (everywhere or placed) or has_own_command(pod):
        return ""
    return f"a node agent from its maker's own repository: {next(filter(None, found))}"


def has_own_command(pod: PodView) -> bool:
    """True when a container runs a shell, an interpreter or a general tool, or merely waits: an image proves nothing then."""
    return any(_OWN_COMMAND.search(container.command_line) for container in pod.containers)


_OWN_COMMAND = re.compile(
    r"(^|[/ ])((ba|da|z|a)?sh|busybox|env|sleep|tail|nsenter|chroot|unshare|python3?|perl|ruby|node|lua|php|awk|curl|wget|nc|ncat|socat)( |$)"
)


def pod_match(event: AuditEvent, pod: PodView, base: Severity, what: str) -> Match:
    """Return the match of a rule on a pod's specification; repeats fold on the workload."""
    severity, reasons = grade_pod(event, pod, base)
    name = pod.workload or "(new)"
    place = f"{pod.namespace}/{name}" if pod.namespace else name
    entities = [Entity(EntityKind.WORKLOAD, f"{pod.namespace}/{pod.workload}", event.cluster)]
    entities += [Entity(EntityKind.IMAGE, image) for image in pod.images[:5] if len(image) <= 512]
    return Match(
        f"{who(event)} {_DONE.get(event.verb or '', 'wrote')} {_KIND.get(pod.resource, pod.resource)} {place} {what}",
        severity=severity,
        reasons=tuple(reasons),
        entities=tuple(entities),
        key=f"workload|{pod.namespace}|{pod.workload}",
    )


_DONE = {
    "create": "created", "update": "changed", "patch": "changed", "delete": "deleted", "deletecollection": "deleted all",
    "get": "read", "list": "listed", "watch": "watched",
}  # fmt: skip
_KIND = {
    "pods": "pod", "deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet", "jobs": "Job", "cronjobs": "CronJob",
}  # fmt: skip


def done(event: AuditEvent) -> str:
    """Return the verb of a request as a sentence has it: `created`, `listed`; an unknown one as `did VERB on`."""
    return _DONE.get(event.verb or "", f"did {event.verb} on")


def who(event: AuditEvent) -> str:
    """Return how a message names the caller."""
    actor = event.actor or "an unnamed caller"
    if event.impersonated is not None and event.impersonated.username:
        return f"{actor} (as {event.impersonated.username})"
    return actor


def match(
    event: AuditEvent,
    base: Severity,
    message: str,
    *,
    key: str = "",
    reasons: tuple[str, ...] = (),
    entities: tuple[Entity, ...] = (),
) -> Match:
    """Return a match graded by context; `message` follows the caller's name."""
    severity, found = grade(event, base)
    return Match(f"{who(event)} {message}", severity=severity, reasons=(*reasons, *found), entities=entities, key=key)


def place(event: AuditEvent) -> str:
    """Return `namespace/name` of the object, or what there is of it."""
    return "/".join(part for part in (event.namespace, event.name) if part) or "(all)"
