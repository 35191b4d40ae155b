"""Puts the image adapters together from settings."""

from __future__ import annotations

import contextlib
from functools import cache as once
from typing import TYPE_CHECKING

from seawall.adapters.blobs import CLOUD_SCHEMES, Blobs, open_blobs
from seawall.adapters.images.cache import FolderCache, UrlCache, open_cache
from seawall.adapters.images.sources import Sources
from seawall.domain.errors import RemoteError
from seawall.settings import Settings

if TYPE_CHECKING:
    from seawall.adapters.registry.client import HttpRegistry
    from seawall.adapters.registry.credentials import CredentialSource
    from seawall.adapters.registry.transport import HostSettings


def open_registry(settings: Settings) -> HttpRegistry:
    """Return the client for every registry, with the credentials that this deployment has."""
    from seawall.adapters.registry.client import HttpRegistry

    return HttpRegistry(registry_credentials(settings), host_settings(settings))


def registry_credentials(settings: Settings) -> CredentialSource:
    """Return what gives the credential of a registry: settings, Docker's configuration, the clouds' identities."""
    from seawall.adapters.registry.clouds import CloudCredentials
    from seawall.adapters.registry.credentials import Credential, docker_config, first_of

    def configured(host: str) -> Credential | None:
        entry = settings.registries.get(host) or settings.registries.get(
            "docker.io" if host == "registry-1.docker.io" else host
        )
        if entry is None:
            return None
        found = Credential(entry.username, entry.password.get_secret_value(), entry.token.get_secret_value())
        return found or None

    return first_of((configured, docker_config(), CloudCredentials(host_settings(settings))))


def host_settings(settings: Settings) -> dict[str, HostSettings]:
    """Return how each registry of the settings is reached."""
    from seawall.adapters.registry.transport import HostSettings

    return {
        host: HostSettings(entry.ca_file, entry.plain_http, entry.proxy, entry.rate_limit_reserve)
        for host, entry in settings.registries.items()
    }


def open_sources(settings: Settings) -> Sources:
    """Return what opens image targets; the registry client is made at the first reference."""
    return Sources(once(lambda: open_registry(settings)))


def open_layer_cache(settings: Settings) -> FolderCache | UrlCache | BlobCache:
    """Return the layer cache of this deployment: `layers` below the blob store."""
    url = f"{settings.effective_blob_url.rstrip('/')}/layers"
    return BlobCache(open_blobs(url, settings)) if url.startswith(CLOUD_SCHEMES) else open_cache(url)


class BlobCache:
    """The layer cache in a cloud's blob store; a store that does not answer costs the cache, not the scan."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def get(self, key: str) -> bytes | None:
        """Return the record under `key`, or None."""
        try:
            return self._blobs.get(key)
        except RemoteError:
            return None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`."""
        with contextlib.suppress(RemoteError):
            self._blobs.put(key, value)
