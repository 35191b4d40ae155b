"""The inventory sources of a deployment's settings."""

from __future__ import annotations

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
    if section.azure is not None:
        from seawall.adapters.azure.inventory import open_azure

        found.append(open_azure(settings, section.azure))
    if section.aws is not None:
        from seawall.adapters.aws.inventory import AwsSource

        found.append(AwsSource(section.aws))
    if section.gcp is not None:
        from seawall.adapters.gcp.inventory import GoogleSource

        found += [GoogleSource(project, section.gcp) for project in section.gcp.projects]
    if section.registries:
        found += _registries(settings)
    return found


def _registries(settings: Settings) -> list[InventorySource]:
    from seawall.adapters.images.opening import host_settings, open_registry, registry_credentials
    from seawall.adapters.registry.inventory import RegistrySource
    from seawall.adapters.registry.transport import HostSettings

    registry, credentials, hosts = open_registry(settings), registry_credentials(settings), host_settings(settings)
    found: list[InventorySource] = []
    for host in settings.discovery.registries:
        entry = settings.registries.get(host)
        namespaces = tuple(sorted({name.partition("/")[0] for name in entry.repositories})) if entry else ()
        found.append(
            RegistrySource(host, registry, credentials, hosts.get(host) or HostSettings(), namespaces=namespaces)
        )
    return found
