"""Cluster services whose owner reaches every workload."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.graph.model import Step, VertexKind, attack_edge
from seawall.graph.scene import ALL_PODS, Scene, because

K = VertexKind


@attack_edge(
    id="WEBHOOK_TAMPER", title="Change every new pod through a mutating webhook", source=K.PERMISSIONS, target=K.GROUP, technique="T1546", likelihood=0.8,
    precondition="create, update or patch on mutatingwebhookconfigurations", remedy="Take write access to webhooks from the role.",
    controls=("RB-010",),
)  # fmt: skip
def webhook_tamper(scene: Scene) -> Iterator[Step]:
    for binding, vertex, _ in scene.grants(
        ("create", "update", "patch"), ("admissionregistration.k8s.io",), "mutatingwebhookconfigurations"
    ):
        if not binding.scope:
            yield Step(vertex, ALL_PODS, because(binding))


@attack_edge(
    id="DNS_POISON", title="Send every workload's names elsewhere", source=K.PERMISSIONS, target=K.GROUP, technique="T1557", likelihood=0.3,
    precondition="update or patch on the config map of CoreDNS in kube-system", remedy="Take write access to kube-system's config maps from the role.",
    controls=("RB-018",),
)  # fmt: skip
def dns_poison(scene: Scene) -> Iterator[Step]:
    for binding, vertex, names in scene.grants(("update", "patch"), ("",), "configmaps"):
        if binding.scope in {"", "kube-system"} and (
            not names or {"coredns", "coredns-custom", "kube-dns"} & set(names)
        ):
            yield Step(vertex, ALL_PODS, because(binding))
