"""Registry tokens from the identity that a workload has in its cloud: no stored secret.

Each SDK is imported when a registry of its cloud is first asked.

Source: Microsoft, "ACR AAD-OAuth" (exchange of an Entra token); AWS, ECR GetAuthorizationToken; Google, Artifact
Registry "Authentication methods" (user oauth2accesstoken).
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from seawall.adapters.registry.credentials import Credential
from seawall.adapters.registry.hosts import ACR, ECR, GAR
from seawall.adapters.registry.transport import HostSettings, http_client
from seawall.domain.errors import Denied, MissingExtra, Unavailable


class CloudCredentials:
    """Credentials of ACR, ECR and Artifact Registry hosts, kept until five minutes before they expire."""

    EARLY_S = 300

    def __init__(
        self, hosts: Mapping[str, HostSettings] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hosts = dict(hosts or {})
        self._clock = clock
        self._kept: dict[str, tuple[float, Credential]] = {}
        self._lock = threading.Lock()

    def __call__(self, host: str) -> Credential | None:
        """Return the credential for `host`, or None where it is no cloud registry or that cloud's extra is missing."""
        fetch = _acr if ACR.fullmatch(host) else _ecr if ECR.fullmatch(host) else _gar if GAR.fullmatch(host) else None
        if fetch is None:
            return None
        with self._lock:
            kept = self._kept.get(host)
            if kept and kept[0] > self._clock():
                return kept[1]
            try:
                credential, lifetime_s = fetch(host, self._hosts.get(host) or HostSettings())
            except MissingExtra:
                return None
            self._kept[host] = (self._clock() + max(lifetime_s - self.EARLY_S, 30), credential)
            return credential


def _acr(host: str, settings: HostSettings) -> tuple[Credential, float]:
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise MissingExtra("azure", f"signing in to {host}") from error
    try:
        token = DefaultAzureCredential().get_token("https://containerregistry.azure.net/.default").token
    except AzureError as error:
        raise Denied(
            f"no Azure identity to sign in to {host}", hint="assign a managed identity with AcrPull"
        ) from error
    return exchange_acr(host, token, settings), 3 * 3600


def exchange_acr(host: str, entra_token: str, settings: HostSettings) -> Credential:
    """Return the ACR refresh token that `entra_token` is worth at `host`."""
    form = {"grant_type": "access_token", "service": host, "access_token": entra_token}
    try:
        with http_client(settings) as http:
            answer = http.post(f"https://{host}/oauth2/exchange", data=form)
    except httpx.HTTPError as error:
        raise Unavailable(f"{host} does not answer: {type(error).__name__}") from error
    if answer.status_code >= 500 or answer.status_code == 429:
        raise Unavailable(f"{host}/oauth2/exchange answered {answer.status_code}")
    try:
        refresh = answer.json()["refresh_token"] if answer.status_code == 200 else ""
    except (ValueError, KeyError, TypeError):
        refresh = ""
    if not isinstance(refresh, str) or not refresh:
        raise Denied(
            f"{host} refused the Azure identity ({answer.status_code})", hint="grant it AcrPull on the registry"
        )
    return Credential(identity_token=refresh)


def _ecr(host: str, _settings: HostSettings) -> tuple[Credential, float]:
    match = ECR.fullmatch(host)
    assert match is not None
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection
    except ImportError as error:
        raise MissingExtra("aws", f"signing in to {host}") from error
    try:
        answer = boto3.client("ecr", region_name=match.group(2)).get_authorization_token()
    except (NoConnection, HTTPClientError) as error:
        raise Unavailable(f"ecr:GetAuthorizationToken for {host}: {error}") from error
    except (BotoCoreError, ClientError) as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0) if isinstance(error, ClientError) else 0
        if status == 429 or status >= 500 or "Throttl" in str(error):
            raise Unavailable(f"ecr:GetAuthorizationToken for {host}: {error}") from error
        raise Denied(f"ecr:GetAuthorizationToken for {host}: {error}", hint="allow it to this role") from error
    data = answer["authorizationData"][0]
    username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return Credential(username, password), 12 * 3600


def _gar(host: str, _settings: HostSettings) -> tuple[Credential, float]:
    try:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests
    except ImportError as error:
        raise MissingExtra("gcp", f"signing in to {host}") from error
    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        refresh: Any = credentials.refresh
        refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.DefaultCredentialsError:
        return Credential(), 60  # public images need no identity
    except google.auth.exceptions.TransportError as error:
        raise Unavailable(f"Google's token service does not answer, to sign in to {host}: {error}") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise Denied(f"no Google identity to sign in to {host}", hint="grant roles/artifactregistry.reader") from error
    return Credential("oauth2accesstoken", str(credentials.token)), 1800
