"""What Google projects have: GKE, Artifact Registry, Cloud Run, by their REST APIs.

Source: Google, Kubernetes Engine API v1 `projects.locations.clusters.list` (location `-` = all), Artifact Registry API v1
`projects.locations.repositories.list`, Cloud Run Admin API v2 `projects.locations.services.list`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from seawall.adapters.gcp.identity import access_token
from seawall.adapters.rest import JsonHttp
from seawall.domain.errors import Denied, SeawallError
from seawall.ports.inventory_source import Collected
from seawall.posture.clouds import GKE_POOL, cloud_objects
from seawall.posture.objects import Note, Obj, mapping, mappings, text, texts
from seawall.settings import GcpDiscoverySettings

RUN_SERVICE: Final = "run.googleapis.com/Service"
MAX_PAGES: Final = 1000


class GoogleSource:
    """Fulfils `ports.inventory_source.InventorySource` for one project."""

    def __init__(
        self,
        project: str,
        settings: GcpDiscoverySettings,
        token: Callable[[], str] = access_token,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._project, self._settings, self._token, self._now = project, settings, token, now
        ca = str(settings.ca_file or "")
        self._container = JsonHttp(settings.container_endpoint, token, needs="container.clusters.list", ca_file=ca)
        self._artifacts = JsonHttp(
            settings.artifacts_endpoint, token, needs="artifactregistry.repositories.list", ca_file=ca
        )
        self._run = JsonHttp(settings.run_endpoint, token, needs="run.services.list", ca_file=ca)

    @property
    def scope(self) -> str:
        """See the port: `gcp:<project>`."""
        return f"gcp:{self._project}"

    def collect(self) -> Collected:
        """See the port."""
        collected = Collected(self.scope, self._now())
        parts: tuple[tuple[set[str], Callable[[Collected], None]], ...] = (
            ({"CloudCluster", "NodePool"}, self._clusters),
            ({"Repository"}, self._repositories),
            ({"CloudWorkload"}, self._services),
        )
        for kinds, read in parts:
            try:
                read(collected)
            except SeawallError as error:
                collected.notes.append(Note(", ".join(sorted(kinds)), str(error)))
            else:
                collected.complete |= kinds
        if not collected.complete:
            raise Denied(f"nothing of {self.scope} can be read", hint=collected.notes[0].reason)
        collected.complete.add("Account")
        return collected

    def _clusters(self, collected: Collected) -> None:
        answer = mapping(self._container.call("GET", f"/v1/projects/{self._project}/locations/-/clusters"))
        for zone in texts(answer.get("missingZones")):
            # The API answers with what it has when a zone does not: that is a part, not the whole.
            collected.notes.append(Note("CloudCluster", f"the zone {zone} did not answer"))
        for cluster in mappings(answer.get("clusters")):
            name = text(cluster.get("name"))
            collected.objects += cloud_objects({"clusters": [{**cluster, "seawall:cluster": name}]}, "container")
            parent = "//container.googleapis.com/" + text(cluster.get("selfLink")).partition("/v1/")[2]
            for pool in mappings(cluster.get("nodePools")):
                body = {**pool, "seawall:parent": parent}
                collected.objects.append(Obj(body, kind=GKE_POOL, name=text(pool.get("name")), source="container"))
            if self._settings.clusters:
                collected.clusters.append(self._cluster(cluster))
        if texts(answer.get("missingZones")):
            raise Denied("clusters of some zones are missing", hint="they come with the next discovery")

    def _repositories(self, collected: Collected) -> None:
        for location in self._locations(self._artifacts, "/v1"):
            path = f"/v1/projects/{self._project}/locations/{location}/repositories"
            for repository in _pages(self._artifacts, path, "repositories"):
                collected.objects += cloud_objects({"repositories": [repository]}, "artifactregistry")

    def _services(self, collected: Collected) -> None:
        # Cloud Run's list takes no "-" for every location.
        for location in self._locations(self._run, "/v1"):
            path = f"/v2/projects/{self._project}/locations/{location}/services"
            for service in _pages(self._run, path, "services"):
                name = text(service.get("name")).rsplit("/", 1)[-1]
                collected.objects.append(Obj(service, kind=RUN_SERVICE, name=name, source="run"))

    def _locations(self, http: JsonHttp, version: str) -> list[str]:
        return [
            text(item.get("locationId"))
            for item in _pages(http, f"{version}/projects/{self._project}/locations", "locations")
            if text(item.get("locationId"))
        ]

    def _cluster(self, cluster: dict[str, Any]) -> Any:
        """The objects in a GKE cluster, signed in as our service account."""
        from seawall.adapters.kubernetes.access import Access, trusting
        from seawall.adapters.kubernetes.client import KubeClient
        from seawall.adapters.kubernetes.listing import ClusterSource

        name = text(cluster.get("name"))

        def connect() -> KubeClient:
            authority = text(mapping(cluster.get("masterAuth")).get("clusterCaCertificate"))
            server = f"https://{text(cluster.get('endpoint'))}"
            return KubeClient(Access(server, name, trusting(authority), self._token))

        return ClusterSource(name, connect)


def _pages(http: JsonHttp, path: str, key: str) -> Iterator[dict[str, Any]]:
    token = ""
    for _ in range(MAX_PAGES):
        parameters = {"pageSize": "500"} | ({"pageToken": token} if token else {})
        answer = mapping(http.call("GET", path, params=parameters))
        yield from mappings(answer.get(key))
        token = text(answer.get("nextPageToken"))
        if not token:
            return
