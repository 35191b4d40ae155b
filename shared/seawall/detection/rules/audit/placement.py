"""Names and places: disguised as the platform's own, on its nodes, from a node's files."""

from __future__ import annotations

import re

from seawall.detection.context import context
from seawall.detection.declaration import detection
from seawall.detection.dispatch import caller_kind
from seawall.detection.judgement import (
    done,
    grade,
    is_vendor_image,
    may,
    node_agent,
    place,
    pod_match,
    who,
)
from seawall.detection.workloads import (
    BODIES,
    POD_CHANGES,
    WRITES,
    at,
    items,
    mapping,
    pod_of,
    repository,
    text,
)
from seawall.domain.alerts import Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_INVESTIGATE = ("Who created it, with which client?", "What is in the image?")
_PLATFORM_NAMES = re.compile(
    r"^(kube-proxy|kube-apiserver|kube-controller-manager|kube-scheduler|kube-dns|coredns|etcd|aws-node|azure-cns|azure-npm|cloud-node-manager|"
    r"konnectivity-agent|metrics-server|calico-node|cilium|kube-flannel-ds|weave-net|csi-azuredisk-node|csi-azurefile-node|ebs-csi-node|pdcsi-node|"
    r"gke-metadata-server|gke-metrics-agent|fluentbit-gke|node-local-dns|kube-state-metrics-system|kubelet|kube-rbac-proxy-system|event-exporter-gke)(-[a-z0-9]{4,10}){0,2}$"
)


_LOOKALIKE = re.compile(
    r"^(kube[-_]?(pr0xy|proxi|apiserv(?!er)|api-server-|sytem|systm|dns-[a-z]{1,3}x)|c0redns|coredn5|kub3|kubee-|k8s-proxy$)"
)


@detection(
    id="AU-0806",
    title="Workload named like a platform component",
    severity=Severity.MEDIUM,
    attack=("T1036.005",),
    on=AuditEvent,
    verbs=WRITES,
    resources=("pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets"),
    catalogue=("X_NameMasquerade",),
    needs=("metadata of workload writes",),
    benign=("A test of a component in a namespace of its own; virtual clusters (vcluster) that run a CoreDNS each.",),
    investigate=_INVESTIGATE,
    response="Delete the workload if nobody stands for it.",
    action="disguised a workload as a platform component",
)
def name_masquerade(event: AuditEvent) -> Match | None:
    """A workload outside the platform's namespaces carries a platform component's name, or inside them with an image
    from somewhere else; or the platform's own component was given such an image."""
    pod = pod_of(event)
    name = pod.workload if pod is not None else event.name
    changed = event.verb != "create"
    if changed and not context().is_system(event.namespace):
        return None
    if _LOOKALIKE.match(name) and not changed:
        severity, reasons = grade(event, Severity.MEDIUM)
        return Match(
            f"{who(event)} created {event.resource} {place(event)}, nearly a platform name",
            severity=severity,
            reasons=tuple(reasons),
            key=f"{event.namespace}|{name}",
        )
    if not _PLATFORM_NAMES.match(name) or any(may(event, power) for power in ("control-loops", "system-workloads")):
        return None
    if pod is not None and ((caller_kind(event.actor) == "node" and pod.is_mirror) or node_agent(pod)):
        return None
    if context().is_system(event.namespace) or context().allowances.known_workload(event.namespace, name):
        images = pod.images if pod is not None else []
        if not images or all(map(is_vendor_image, images)) or _well_known_image(images):
            return None
        what, base = f"with the foreign image {images[0][:200]}", Severity.MEDIUM
    else:
        images = pod.images if pod is not None else []
        vendor = bool(images) and (all(map(is_vendor_image, images)) or _well_known_image(images))
        common = bool(re.match(r"(etcd|metrics-server|coredns|kube-dns|cilium|calico-node|kube-state-metrics)", name))
        # People run an etcd or a CoreDNS of their own; a kube-proxy or kube-apiserver they do not.
        what, base = "outside the platform's namespaces", Severity.LOW if vendor or common else Severity.MEDIUM
    severity, reasons = grade(event, base)
    return Match(
        f"{who(event)} {done(event)} {event.resource} {place(event)}, a platform component's name, {what}",
        severity=min(severity, base) if base is Severity.LOW else severity,
        reasons=tuple(reasons),
        key=f"{event.namespace}|{name}",
    )


def _well_known_image(images: list[str]) -> bool:
    return all(
        re.match(
            r"(quay\.io/(cilium|calico|coreos)/|docker\.io/(calico|cilium|coredns|flannel|weaveworks|rancher|amazon)/|ghcr\.io/flannel-io/|"
            r"[a-z0-9]+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/(eks|amazon-k8s-cni))",
            repository(image),
        )
        for image in images
    )


@detection(
    id="AU-0807",
    title="Pod forced onto a control-plane node",
    severity=Severity.MEDIUM,
    attack=("T1610", "T1611"),
    on=AuditEvent,
    verbs=WRITES,
    resources=POD_CHANGES,
    mentions=(
        b"node-role.kubernetes.io",
        b"nodeName",
    ),
    catalogue=("X_ControlPlaneScheduling",),
    needs=BODIES,
    platforms=("self-managed",),
    platform_notes=dict.fromkeys(("aks", "eks", "gke"), "The control plane has no nodes that pods could reach."),
    benign=("Add-ons of self-managed clusters in kube-system; single-node clusters.",),
    investigate=_INVESTIGATE,
    response="Delete the workload; control-plane nodes hold the cluster's keys.",
    action="placed a pod on a control-plane node",
)
def control_plane_pod(event: AuditEvent) -> Match | None:
    """A pod outside the platform's namespaces asks for a control-plane node by selector, affinity or name."""
    pod = pod_of(event)
    if pod is None or context().is_system(pod.namespace) or event.platform in ("aks", "eks", "gke"):
        return None
    selector = mapping(pod.spec.get("nodeSelector"))
    terms = items(
        at(pod.spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    )
    keys = set(selector) | {
        text(mapping(e).get("key"))
        for term in terms
        for e in items(mapping(term).get("matchExpressions"))
        if mapping(e).get("operator") in ("Exists", "In")
    }
    wanted = keys & {
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/etcd",
    }
    named = (
        re.search(r"(^|[-.])(control-?plane|master)([-.0-9]|$)", text(pod.spec.get("nodeName")))
        if not may(event, "control-loops")
        else None
    )
    if not wanted and not named:
        return None
    return pod_match(event, pod, Severity.MEDIUM, "that asks for a control-plane node")


@detection(
    id="AU-0808",
    title="Unknown static pod",
    severity=Severity.MEDIUM,
    attack=("T1543.005", "T1610"),
    on=AuditEvent,
    verbs=("create",),
    resources=("pods",),
    actors=("node",),
    catalogue=("X_UnexpectedMirrorPod",),
    needs=BODIES,
    benign=("Static pods that the cluster's owner placed on nodes (name them in an allow list).",),
    investigate=("Who wrote the manifest on the node (sensor: file events)?",),
    response="Remove the manifest from the node, replace the node.",
    action="started a static pod",
)
def unknown_static_pod(event: AuditEvent) -> Match | None:
    """The kubelet mirrors a pod from a file on its node that is no component we know: admission never saw it."""
    pod = pod_of(event)
    if pod is None or not pod.is_mirror:
        return None
    node = event.actor[12:]
    name = pod.name.removesuffix(f"-{node}")
    if (
        context().allowances.known_workload(pod.namespace, name)
        or re.match(r"openshift-[a-z-]+$", pod.namespace)
        or all(map(is_vendor_image, pod.images))
    ):
        return None
    return Match(f"Node {node} runs the unknown static pod {pod.namespace}/{name}", key=f"{pod.namespace}|{name}")
