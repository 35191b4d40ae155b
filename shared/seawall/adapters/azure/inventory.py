"""What Azure subscriptions have: clusters, Arc clusters, registries and roles by Resource Graph, details by ARM.

Source: Microsoft, Resource Graph "Resources" (2022-10-01): pages of at most 1,000 rows, `$skipToken` until there is none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from seawall.adapters.azure.http import azure_http
from seawall.adapters.azure.identity import azure_credential
from seawall.adapters.rest import JsonHttp
from seawall.domain.errors import Denied, SeawallError
from seawall.ports.inventory_source import Collected
from seawall.posture.clouds import AKS, AKS_POOL, cloud_objects
from seawall.posture.objects import Note, Obj, mapping, mappings, text
from seawall.settings import AzureDiscoverySettings, Settings

GRAPH: Final = "/providers/Microsoft.ResourceGraph/resources"
POLICY_STATE: Final = "Microsoft.PolicyInsights/policyStates"
AKS_SERVER_APP: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Audience of tokens for API servers of AKS with Entra sign-in, the same in every tenant (Microsoft, "AKS-managed Entra")."""
MAX_PAGES: Final = 1000
_TABLES: Final = {
    ("CloudCluster", "NodePool"): (
        "resources | where type in~ ('microsoft.containerservice/managedclusters', "
        "'microsoft.kubernetes/connectedclusters') | order by id asc"
    ),
    ("CloudRegistry",): "resources | where type =~ 'microsoft.containerregistry/registries' | order by id asc",
    ("CloudRoleAssignment",): (
        "authorizationresources | where type =~ 'microsoft.authorization/roleassignments' "
        "| where properties.scope has 'Microsoft.ContainerService' or properties.scope has 'Microsoft.ContainerRegistry' "
        "or properties.scope has 'Microsoft.Kubernetes' | order by id asc"
    ),
}
_POLICY: Final = (
    "policyresources | where type =~ 'microsoft.policyinsights/policystates' "
    "| where properties.resourceType in~ ('microsoft.containerservice/managedclusters', "
    "'microsoft.kubernetes/connectedclusters', 'microsoft.containerregistry/registries') | order by id asc"
)


class AzureSource:
    """Fulfils `ports.inventory_source.InventorySource` for subscriptions."""

    def __init__(
        self,
        settings: AzureDiscoverySettings,
        http: JsonHttp,
        cluster_token: Callable[[], str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._http, self._cluster_token, self._now = settings, http, cluster_token, now

    @property
    def scope(self) -> str:
        """See the port: `azure:` and the subscriptions."""
        return "azure:" + ",".join(sorted(self._settings.subscriptions))

    def collect(self) -> Collected:
        """See the port."""
        collected = Collected(self.scope, self._now())
        failures = 0
        for kinds, query in _TABLES.items():
            try:
                rows = list(self._query(query))
            except SeawallError as error:
                failures += 1
                collected.notes.append(Note(", ".join(kinds), str(error)))
                continue
            collected.complete.update(kinds)
            for row in rows:
                self._add(row, collected)
        if failures == len(_TABLES):
            raise Denied(f"nothing of {self.scope} can be read", hint=collected.notes[0].reason)
        collected.complete.add("Account")
        if self._settings.policy_states:
            self._policy_states(collected)
        return collected

    def _add(self, row: dict[str, Any], collected: Collected) -> None:
        found = cloud_objects(row, "Resource Graph")
        for obj in found:
            if obj.kind == AKS:
                obj.body["seawall:cluster"] = text(row.get("id")).lower()
        collected.objects += found
        if not any(obj.kind == AKS for obj in found):
            return
        for pool in mappings(mapping(row.get("properties")).get("agentPoolProfiles")):
            body: dict[str, Any] = {
                "id": f"{text(row.get('id'))}/agentPools/{text(pool.get('name'))}",
                "name": text(pool.get("name")),
                "type": AKS_POOL,
                "properties": pool,
                "seawall:parent": text(row.get("id")).lower(),
            }
            collected.objects.append(Obj(body, kind=AKS_POOL, name=body["name"], source="Resource Graph"))
        if self._settings.clusters:
            collected.clusters.append(self._cluster(text(row.get("id"))))

    def _policy_states(self, collected: Collected) -> None:
        try:
            rows = list(self._query(_POLICY))
        except SeawallError as error:
            collected.notes.append(Note("Azure Policy", str(error)))
            return
        collected.objects += [
            Obj(row, kind=POLICY_STATE, name=text(row.get("name")), source="Azure Policy") for row in rows
        ]

    def _query(self, query: str) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(MAX_PAGES):
            options: dict[str, Any] = {"resultFormat": "objectArray", "$top": 1000}
            if token:
                options["$skipToken"] = token
            body = {"subscriptions": sorted(self._settings.subscriptions), "query": query, "options": options}
            answer = mapping(self._http.call("POST", GRAPH, body, params={"api-version": "2022-10-01"}))
            yield from mappings(answer.get("data"))
            token = text(answer.get("$skipToken"))
            if not token:
                return

    def _cluster(self, arm: str) -> Any:
        """The objects in an AKS cluster with Entra sign-in, as our identity; its scope is the ARM id, as in its audit log."""
        from seawall.adapters.kubernetes.access import Access, trusting
        from seawall.adapters.kubernetes.client import KubeClient
        from seawall.adapters.kubernetes.listing import ClusterSource

        def connect() -> KubeClient:
            import yaml

            answer = mapping(
                self._http.call("POST", f"{arm}/listClusterUserCredential", params={"api-version": "2024-09-01"})
            )
            try:
                value = text(next(iter(mappings(answer.get("kubeconfigs"))), {}).get("value"))
                config = mapping(yaml.safe_load(base64.b64decode(value, validate=True)))
                cluster = mapping(next(iter(mappings(config.get("clusters"))), {}).get("cluster"))
            except (binascii.Error, yaml.YAMLError) as error:
                raise Denied(f"{arm}: the credential is no kubeconfig") from error
            # Only address and authority are taken: the token is our own identity's, not the cluster's local account.
            authority = trusting(text(cluster.get("certificate-authority-data")))
            return KubeClient(Access(text(cluster.get("server")), arm, authority, self._cluster_token))

        return ClusterSource(arm.lower(), connect)


def open_azure(settings: Settings, section: AzureDiscoverySettings) -> AzureSource:
    """Return the source of the settings, signed in as their identity."""
    credential = azure_credential(settings.azure)
    http = azure_http(
        section.endpoint,
        "https://management.azure.com",
        credential,
        needs="the roles of docs/inventory.md on the subscriptions",
        ca_file=str(section.ca_file or ""),
    )
    return AzureSource(section, http, lambda: str(credential.get_token(f"{AKS_SERVER_APP}/.default").token))
