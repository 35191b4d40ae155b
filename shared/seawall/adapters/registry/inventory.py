"""What registries have, by their own APIs: Docker Hub, Harbor, JFrog; others by the catalogue of the distribution API.

Source: Docker Hub API v2 `namespaces/{namespace}/repositories`; Harbor API v2.0 `/repositories` (`Link` and page by number);
JFrog Artifactory REST `/artifactory/api/repositories?packageType=docker`; OCI distribution-spec, "_catalog" of Docker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.credentials import CredentialSource
from seawall.adapters.registry.transport import HostSettings, Transport
from seawall.domain.errors import Denied, InputError, NotFound, RemoteError, SeawallError
from seawall.ports.inventory_source import Collected
from seawall.posture.objects import Note, Obj, mapping, mappings, text

MAX_PAGES: Final = 1000
MAX_ANSWER_BYTES: Final = 32 << 20
HUB: Final = "hub.docker.com"


class RegistrySource:
    """Fulfils `ports.inventory_source.InventorySource` for one registry."""

    def __init__(
        self,
        host: str,
        registry: HttpRegistry,
        credentials: CredentialSource,
        settings: HostSettings,
        *,
        namespaces: tuple[str, ...] = (),
        hub: str = HUB,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._host, self._registry, self._credentials, self._settings = host, registry, credentials, settings
        self._namespaces, self._hub, self._now = namespaces, hub, now

    @property
    def scope(self) -> str:
        """See the port: `registry:<host>`."""
        return f"registry:{self._host}"

    def collect(self) -> Collected:
        """See the port. Which API a registry has is found by asking: Harbor's, JFrog's, then the catalogue."""
        collected = Collected(self.scope, self._now())
        readers = (self._of_hub,) if self._host == "docker.io" else (self._harbor, self._jfrog, self._catalogue)
        refused: SeawallError | None = None
        for read in readers:
            before = len(collected.objects)
            try:
                for body in read():
                    name = text(body.get("name"))
                    if name:
                        whole = {**body, "registry": self._host}
                        collected.objects.append(Obj(whole, kind="registry/Repository", name=name, source=self._host))
            except (NotFound, InputError) as error:
                refused = refused or error
                del collected.objects[before:]
                continue
            except RemoteError as error:
                if len(collected.objects) == before:
                    refused = error
                    continue
                collected.notes.append(Note("Repository", f"the list broke off: {error.message}"))
                return collected
            collected.complete.add("Repository")
            return collected
        raise refused or Denied(f"{self._host} cannot be listed")

    def _of_hub(self) -> Iterator[dict[str, Any]]:
        if not self._namespaces:
            raise InputError(
                "Docker Hub lists by namespace",
                hint='name them in registries."docker.io".repositories as <namespace>/*',
            )
        for namespace in self._namespaces:
            path: str = f"/v2/namespaces/{namespace}/repositories?page_size=100"
            for _ in range(MAX_PAGES):
                answer = mapping(self._json(self._hub, path))
                for item in mappings(answer.get("results")):
                    yield {
                        "name": f"{namespace}/{text(item.get('name'))}",
                        "private": item.get("is_private"),
                        "updated": text(item.get("last_updated")),
                    }
                following = text(answer.get("next"))
                if not following:
                    break
                path = "/" + following.partition("://")[2].partition("/")[2]

    def _harbor(self) -> Iterator[dict[str, Any]]:
        for page in range(1, MAX_PAGES + 1):
            answer = self._json(self._host, f"/api/v2.0/repositories?page={page}&page_size=100")
            if not isinstance(answer, list):
                raise InputError("not Harbor")
            for item in mappings(answer):
                yield {
                    "name": text(item.get("name")),
                    "artifacts": item.get("artifact_count"),
                    "pulls": item.get("pull_count"),
                    "updated": text(item.get("update_time")),
                }
            if len(answer) < 100:
                return

    def _jfrog(self) -> Iterator[dict[str, Any]]:
        answer = self._json(self._host, "/artifactory/api/repositories?packageType=docker")
        if not isinstance(answer, list):
            raise InputError("not Artifactory")
        for item in mappings(answer):
            yield {"name": text(item.get("key")), "type": text(item.get("type")), "url": text(item.get("url"))}

    def _catalogue(self) -> Iterator[dict[str, Any]]:
        for name in self._registry.repositories(self._host):
            yield {"name": name}

    def _json(self, host: str, path: str) -> Any:
        transport = Transport(host, self._settings, lambda _host: self._credentials(self._host))
        try:
            with transport.send("GET", path, what=f"repositories of {self._host}") as answer:
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise RemoteError(f"{host}: a list of more than {MAX_ANSWER_BYTES >> 20} MiB")
        finally:
            transport.close()
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{host}{path.partition('?')[0]} is no such API") from error
