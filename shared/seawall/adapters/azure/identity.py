"""Who we are towards Azure: an identity without a secret, wherever the process runs.

| `azure.identity` | runs on | what is exchanged |
|--|--|--|
| managed | Azure | the managed identity (`azure.client_id` names a user-assigned one) |
| workload | Kubernetes | the projected service account token (AKS workload identity) |
| aws | AWS | `sts:GetWebIdentityToken` of the role, for a federated credential |
| gcp | Google Cloud | the metadata server's ID token, for a federated credential |
| default | a developer's machine | what azure-identity finds |
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from seawall.domain.errors import MissingExtra, MissingSetting
from seawall.settings import AzureSettings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

FEDERATION_AUDIENCE = "api://AzureADTokenExchange"
"""Audience that a federated credential of Entra expects."""


def azure_credential(settings: AzureSettings) -> TokenCredential:
    """Return the credential that the settings name; nothing is asked of the network yet.

    Raises:
        MissingSetting: federation without tenant or client.
        MissingExtra: azure-identity is not installed.
    """
    try:
        import azure.identity as identity
    except ImportError as error:
        raise MissingExtra("azure", "Azure") from error
    client = settings.client_id or None
    if settings.identity == "managed":
        return identity.ManagedIdentityCredential(client_id=client)
    if settings.identity == "default":
        return identity.DefaultAzureCredential(managed_identity_client_id=client)
    if settings.identity == "workload":
        return identity.WorkloadIdentityCredential(
            client_id=client, tenant_id=settings.tenant_id or None, authority=settings.authority
        )
    for name in ("tenant_id", "client_id"):
        if not getattr(settings, name):
            raise MissingSetting(f"SEAWALL_AZURE__{name.upper()}", f"azure.identity = {settings.identity}")
    assertion = _aws_assertion if settings.identity == "aws" else _google_assertion
    return identity.ClientAssertionCredential(
        settings.tenant_id, settings.client_id, _cached(assertion), authority=settings.authority
    )


def _aws_assertion() -> tuple[str, float]:
    """A token that says which role we are (IAM outbound identity federation); regional STS endpoint only."""
    from seawall.adapters.aws.session import client

    answer = client("sts").get_web_identity_token(
        Audience=[FEDERATION_AUDIENCE], SigningAlgorithm="RS256", DurationSeconds=900
    )
    return str(answer["WebIdentityToken"]), answer["Expiration"].timestamp()


def _google_assertion() -> tuple[str, float]:
    from seawall.adapters.gcp.identity import identity_token

    return identity_token(FEDERATION_AUDIENCE), time.time() + 1800


def _cached(fetch: Callable[[], tuple[str, float]]) -> Callable[[], str]:
    known: list[tuple[str, float]] = []

    def assertion() -> str:
        if not known or known[0][1] < time.time() + 120:
            known[:] = [fetch()]
        return known[0][0]

    return assertion
