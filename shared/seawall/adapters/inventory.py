"""The inventory sources of a deployment's settings."""

from __future__ import annotations

from collections.abc import Callable

from seawall.adapters.kubernetes.access import from_kubeconfig, in_cluster
from seawall.adapters.kubernetes.client import KubeClient
from seawall.adapters.kubernetes.listing import ClusterSource
from seawall.ports.inventory_source import InventorySource
from seawall.settings import ClusterSettings, Settings


def cluster_source(scope: str, cluster: ClusterSettings) -> ClusterSource:
    """Return the source of one cluster; nothing is opened yet."""

    def connect() -> KubeClient:
        return KubeClient(in_cluster() if cluster.in_cluster else from_kubeconfig(cluster.kubeconfig, cluster.context))

    return ClusterSource(scope, connect)


def open_sources(settings: Settings) -> list[InventorySource]:
    """Return what the settings name; SDKs are imported for what is used."""
    section = settings.discovery
    found: list[InventorySource] = [cluster_source(name, cluster) for name, cluster in section.clusters.items()]
    openers: list[Callable[[], list[InventorySource]]] = []
    for opener in openers:
        found += opener()
    return found
