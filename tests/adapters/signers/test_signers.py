"""Keys in files, variables and a key service: one form of signature, clear errors."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from seawall.adapters.signers import open_signer
from seawall.adapters.signers.gcp import GoogleSigner
from seawall.adapters.signers.local import PASSWORD_VARIABLE
from seawall.domain.errors import ConfigError, NotFound
from seawall.formats.keys import load_public_key, verify_signature

PAYLOAD = b"what is signed"


def pem_of(key, password=b"") -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def check(signer):
    assert verify_signature(signer.public_key_pem(), PAYLOAD, signer.sign(PAYLOAD))
    assert not verify_signature(signer.public_key_pem(), PAYLOAD + b"!", signer.sign(PAYLOAD))
    assert len(signer.key_id) == 64


def test_a_key_is_made_once_and_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "deep" / "key.pem"
    first = open_signer(str(path), create=True)
    check(first)
    assert open_signer(str(path), create=True).key_id == first.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_public_key(path.with_suffix(".pub").read_text())
    assert sorted(item.name for item in path.parent.iterdir()) == ["key.pem", "key.pub"]


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    code = f"from seawall.adapters.signers import open_signer; print(open_signer({str(tmp_path / 'key.pem')!r}, create=True).key_id)"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in running}) == 1


def test_a_key_in_a_variable(monkeypatch):
    monkeypatch.setenv("MY_KEY", pem_of(ec.generate_private_key(ec.SECP256R1())).decode())
    check(open_signer("env:MY_KEY"))


def test_a_protected_key(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    path.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    with pytest.raises(ConfigError, match=PASSWORD_VARIABLE):
        open_signer(str(path))
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    check(open_signer(str(path)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param("no/such/key.pem", "cannot be read", id="missing"),
        pytest.param("env:SURELY_NOT_SET", "not set", id="variable"),
        pytest.param("vault://x", "no such key service", id="service"),
        pytest.param("azurekms://novault", "not a Key Vault key", id="azure-address"),
        pytest.param("awskms://", "not a KMS key", id="aws-address"),
        pytest.param("gcpkms://projects/p", "not a version of a Cloud KMS key", id="gcp-address"),
    ],
)
def test_specifications_that_are_wrong(spec, message):
    with pytest.raises(ConfigError, match=message):
        open_signer(spec)


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", pem_of(rsa.generate_private_key(65537, 2048)), pem_of(ec.generate_private_key(ec.SECP384R1()))],
    ids=["empty", "broken", "rsa", "another-curve"],
)  # fmt: skip
def test_keys_that_are_not_p256_are_refused(tmp_path, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        open_signer(str(path))


def test_aws_kms(aws_environment):
    """Against moto's KMS, as cosign writes its address."""
    import boto3

    kms = boto3.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    kms.create_alias(AliasName="alias/seawall", TargetKeyId=key["KeyId"])
    kms.close()
    for spec in (f"awskms:///{key['KeyId']}", "awskms:///alias/seawall", f"awskms:///{key['Arn']}"):
        signer = open_signer(spec)
        # AWS takes the digest that we send as the digest; moto hashes whatever it gets once more.
        assert verify_signature(signer.public_key_pem(), hashlib.sha256(PAYLOAD).digest(), signer.sign(PAYLOAD))
        assert len(signer.key_id) == 64
    with pytest.raises(NotFound, match="no KMS key"):
        open_signer("awskms:///alias/none").sign(PAYLOAD)
    with pytest.raises(NotFound):
        _ = open_signer(f"awskms://{os.environ['AWS_ENDPOINT_URL'].removeprefix('http://')}/alias/none").key_id


def test_google_kms_speaks_its_client():
    """Google has no emulator of Cloud KMS: the client library's own request and answer forms stand in."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    asked = []

    class Client:
        def get_public_key(self, request):
            return SimpleNamespace(pem=pem.decode())

        def asymmetric_sign(self, request):
            from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

            asked.append(request["name"])
            return SimpleNamespace(
                signature=key.sign(request["digest"]["sha256"], ec.ECDSA(Prehashed(hashes.SHA256())))
            )

    name = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
    check(GoogleSigner(f"{name}/versions/1", client=Client()))
    assert asked[0] == f"{name}/cryptoKeyVersions/1"


def test_azure_key_vault_signatures_become_asn1(monkeypatch):
    """Key Vault answers r and s side by side; its client library is spoken to, the service is not there to be started."""
    pytest.importorskip("azure.keyvault.keys")
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from seawall.adapters.signers import azure

    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    jwk = SimpleNamespace(x=numbers.x.to_bytes(32), y=numbers.y.to_bytes(32), crv="P-256")

    class Crypto:
        def __init__(self, *_): ...

        def sign(self, _algorithm, digest):
            r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
            return SimpleNamespace(signature=r.to_bytes(32) + s.to_bytes(32))

    monkeypatch.setattr("azure.keyvault.keys.crypto.CryptographyClient", Crypto)
    signer = azure.AzureSigner("v.vault.azure.net/k", credential=object())
    signer._keys = SimpleNamespace(get_key=lambda *_: SimpleNamespace(key=jwk))
    check(signer)
