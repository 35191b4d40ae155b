"""What predicates know beside the event: address classes, threat lists, platform identities, what is sensitive here.

The engine sets it for a batch (`use`); a predicate that is called alone sees the built-in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache

from seawall.detection.allowances import Allowances, built_in_allowances
from seawall.detection.networks import Networks, provider_networks

SYSTEM_NAMESPACES = frozenset(
    {
        "kube-system", "kube-public", "kube-node-lease",
        "gke-system", "gke-managed-system", "gke-managed-cim", "gke-gmp-system", "gmp-system", "gmp-public",
        "gke-managed-filestorecsi", "gke-managed-networking-dra-driver", "gke-managed-volumepopulator",
        "gke-managed-parallelstorecsi", "gke-managed-dpv2-observability", "gke-mcs", "config-management-system",
        "gatekeeper-system", "app-routing-system", "aks-command", "aks-istio-system", "aks-istio-ingress",
        "azure-arc", "azure-extensions-usage-system", "azure-workload-identity-system", "amazon-cloudwatch",
        "amazon-guardduty", "aws-observability", "calico-system", "calico-apiserver", "tigera-operator",
        "openshift", "openshift-infra", "openshift-apiserver", "openshift-authentication", "openshift-config",
        "openshift-config-managed", "openshift-controller-manager", "openshift-dns", "openshift-etcd",
        "openshift-image-registry", "openshift-ingress", "openshift-kube-apiserver",
        "openshift-kube-controller-manager", "openshift-kube-scheduler", "openshift-machine-config-operator",
        "openshift-monitoring", "openshift-multus", "openshift-network-operator", "openshift-node",
        "openshift-operator-lifecycle-manager", "openshift-ovn-kubernetes", "openshift-sdn", "openshift-storage",
        "openshift-apiserver-operator", "openshift-authentication-operator", "openshift-cloud-controller-manager",
        "openshift-cloud-controller-manager-operator", "openshift-cloud-credential-operator",
        "openshift-cloud-network-config-controller", "openshift-cluster-csi-drivers",
        "openshift-cluster-machine-approver", "openshift-cluster-node-tuning-operator",
        "openshift-cluster-samples-operator", "openshift-cluster-storage-operator", "openshift-cluster-version",
        "openshift-config-operator", "openshift-console", "openshift-console-operator",
        "openshift-controller-manager-operator", "openshift-dns-operator", "openshift-etcd-operator",
        "openshift-ingress-canary", "openshift-ingress-operator", "openshift-insights",
        "openshift-kube-apiserver-operator", "openshift-kube-controller-manager-operator",
        "openshift-kube-scheduler-operator", "openshift-kube-storage-version-migrator",
        "openshift-kube-storage-version-migrator-operator", "openshift-machine-api", "openshift-marketplace",
        "openshift-network-diagnostics", "openshift-network-node-identity", "openshift-oauth-apiserver",
        "openshift-ovirt-infra", "openshift-route-controller-manager", "openshift-service-ca",
        "openshift-service-ca-operator", "openshift-user-workload-monitoring", "openshift-vsphere-infra",
        "cattle-system", "cattle-fleet-system", "seawall-system",
    }
)  # fmt: skip
"""Namespaces that a platform owns, by exact name (distributions' documentation)."""

_PRODUCTION = re.compile(r"(^|[-_.])(prod|production|prd|live)([-_.0-9]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Context:
    """One deployment's knowledge. All lists are exact."""

    networks: Networks
    allowances: Allowances
    system_namespaces: frozenset[str] = SYSTEM_NAMESPACES
    production: re.Pattern[str] = _PRODUCTION
    mining_images: frozenset[str] = frozenset()
    """Repositories (without tag) beyond the built-in list."""
    image_digests: frozenset[str] = frozenset()
    """Digests (`sha256:…`) of images known to be harmful."""
    exposed_services: frozenset[tuple[str, str, str]] = field(default_factory=frozenset)
    """(cluster, namespace, name) of Services that the internet reaches, from the inventory."""

    def is_system(self, namespace: str) -> bool:
        """True for a namespace that the platform owns."""
        return namespace in self.system_namespaces

    def is_production(self, namespace: str, cluster: str = "") -> bool:
        """True when the name of the namespace, or of the cluster, says production."""
        return bool(self.production.search(namespace) or (cluster and self.production.search(cluster)))


@cache
def default_context() -> Context:
    """Return what holds without any setting."""
    return Context(Networks(provider_networks()), built_in_allowances())


_current: ContextVar[Context | None] = ContextVar("seawall_detection_context", default=None)


def context() -> Context:
    """Return the context of the batch that is being judged."""
    return _current.get() or default_context()


@contextmanager
def use(value: Context | None) -> Iterator[None]:
    """Judge with `value` (None = the built-in one) inside the block."""
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)
