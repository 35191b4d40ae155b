"""Signing keys: `open_signer` takes what settings say and gives the `Signer`.

    path/to/key.pem                          a PEM private key (PKCS #8 or SEC 1, also password-protected)
    env:NAME                                 the PEM text itself, in an environment variable
    azurekms://VAULT.vault.azure.net/KEY     Azure Key Vault, through azure-identity
    awskms://[ENDPOINT]/KEY-ID, alias, ARN   AWS KMS
    gcpkms://projects/.../cryptoKeyVersions/1   Google Cloud KMS

The names of the key services are those that cosign uses. Only the service that is named is imported.
"""

from __future__ import annotations

from pathlib import Path

from seawall.domain.errors import ConfigError
from seawall.ports.signer import Signer


def open_signer(spec: str, *, create: bool = False) -> Signer:
    """Return the signer that `spec` names.

    Args:
        spec: see the package's description.
        create: make a new key where `spec` is a path at which there is no file yet.

    Raises:
        ConfigError: a key that is not there, cannot be read, or is not ECDSA P-256.
        MissingExtra: the cloud's extra is not installed.
    """
    scheme, separator, rest = spec.partition("://")
    if separator:
        if scheme == "azurekms":
            from seawall.adapters.signers.azure import AzureSigner

            return AzureSigner(rest)
        if scheme == "awskms":
            from seawall.adapters.signers.aws import AwsSigner

            return AwsSigner(rest)
        if scheme == "gcpkms":
            from seawall.adapters.signers.gcp import GoogleSigner

            return GoogleSigner(rest)
        raise ConfigError(f"no such key service: {scheme}", hint="azurekms, awskms, gcpkms, env:NAME or a path")
    from seawall.adapters.signers.local import LocalSigner

    if spec.startswith("env:"):
        return LocalSigner.from_environment(spec.removeprefix("env:"))
    return LocalSigner.from_file(Path(spec), create=create)
