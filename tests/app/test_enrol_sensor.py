"""Enrolment: a token buys one certificate per node, a certificate renews itself, nothing else does."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from seawall.app.enrol_sensor import CERTIFICATE_LIFETIME, TOKEN_PREFIX, create_token, enrol_sensor, renew_sensor
from seawall.domain.errors import MalformedEvent, Unauthenticated
from seawall.formats.sensor_batch import identity_of
from seawall.formats.sensor_certificate import make_request

from tests.support.sensors import NOW, Authority, MemorySensors, Sensor

AUTHORITY = Authority()
KEY = ec.generate_private_key(ec.SECP256R1())
CSR = make_request(KEY, "node-1").decode()


def enrol(store: MemorySensors, token: str, node: str = "node-1", csr: str = CSR, later: timedelta = timedelta()):
    return enrol_sensor(token=token, csr=csr, node=node, store=store, authority=AUTHORITY, now=NOW + later)


def token_of(store: MemorySensors, uses: int = 1, hours: int = 1) -> str:
    return create_token(store, cluster="prod", now=NOW, lifetime=timedelta(hours=hours), uses=uses)


def test_a_token_buys_a_certificate_for_its_cluster() -> None:
    store = MemorySensors()
    enrolled = enrol(store, token_of(store))
    certificate = x509.load_pem_x509_certificate(enrolled.certificate.encode())
    identity = AUTHORITY.trust().check(certificate)
    assert (identity.cluster, identity.node, identity.sensor) == ("prod", "node-1", enrolled.sensor)
    assert certificate.public_key() == KEY.public_key()
    assert enrolled.expires_at == NOW + CERTIFICATE_LIFETIME
    assert NOW < enrolled.renew_after < enrolled.expires_at


def test_only_the_hash_of_a_token_is_kept() -> None:
    store = MemorySensors()
    token = token_of(store)
    assert token.startswith(TOKEN_PREFIX)
    assert token not in repr(store.tokens)


@pytest.mark.parametrize(
    ("uses", "nodes", "last_is_served"),
    [
        pytest.param(1, ["a", "a"], False, id="same node twice"),
        pytest.param(1, ["a", "b"], False, id="used up"),
        pytest.param(3, ["a", "b", "c"], True, id="a node each"),
        pytest.param(3, ["a", "b", "a"], False, id="node again with uses left"),
    ],
)
def test_how_often_a_token_serves(uses: int, nodes: list[str], last_is_served: bool) -> None:
    store = MemorySensors()
    token = token_of(store, uses)
    for node in nodes[:-1]:
        enrol(store, token, node)
    if last_is_served:
        assert enrol(store, token, nodes[-1]).node == nodes[-1]
    else:
        with pytest.raises(Unauthenticated):
            enrol(store, token, nodes[-1])


def test_an_expired_token_buys_nothing() -> None:
    store = MemorySensors()
    with pytest.raises(Unauthenticated):
        enrol(store, token_of(store), later=timedelta(hours=2))


def rsa_request() -> str:
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("node", "csr"),
    [
        pytest.param("node-1", "nothing", id="no request"),
        pytest.param("node-1", "x" * 10_000, id="too large"),
        pytest.param("node-1", rsa_request(), id="RSA key"),
        pytest.param("../x\n", CSR, id="node name"),
        pytest.param("", CSR, id="no node name"),
    ],
)
def test_a_malformed_request_does_not_use_up_the_token(node: str, csr: str) -> None:
    store = MemorySensors()
    token = token_of(store)
    with pytest.raises(MalformedEvent):
        enrol(store, token, node, csr)
    assert enrol(store, token).node == "node-1"


class TestRenewal:
    sensor = Sensor(AUTHORITY)
    key = ec.generate_private_key(ec.SECP256R1())
    csr = make_request(key, "node-1").decode()

    def renew(self, store: MemorySensors | None = None, **change: str):
        values = {
            "certificate": self.sensor.certificate_pem,
            "csr": self.csr,
            "signature": base64.b64encode(self.sensor.sign(self.csr.encode())).decode(),
        } | change
        return renew_sensor(**values, store=store or MemorySensors(), authority=AUTHORITY, now=NOW)

    def test_same_identity_new_key(self) -> None:
        renewed = x509.load_pem_x509_certificate(self.renew().certificate.encode())
        assert identity_of(renewed) == self.sensor.identity
        assert renewed.public_key() == self.key.public_key()

    def test_the_present_key_must_sign(self) -> None:
        wrong = base64.b64encode(Sensor(AUTHORITY).sign(self.csr.encode())).decode()
        with pytest.raises(Unauthenticated):
            self.renew(signature=wrong)

    def test_revoked(self) -> None:
        store = MemorySensors()
        store.revoke("sensor-1", NOW)
        with pytest.raises(Unauthenticated, match="revoked"):
            self.renew(store)

    def test_another_authority(self) -> None:
        with pytest.raises(Unauthenticated):
            self.renew(certificate=Sensor(Authority()).certificate_pem)

    @pytest.mark.parametrize("field", ["certificate", "signature"])
    def test_malformed(self, field: str) -> None:
        with pytest.raises(MalformedEvent):
            self.renew(**{field: "ü"})


@pytest.mark.parametrize(
    "change",
    [{"cluster": "a b"}, {"uses": 0}, {"uses": 10**6}, {"lifetime": timedelta(days=8)}, {"lifetime": timedelta(0)}],
)
def test_tokens_that_are_not_made(change: dict) -> None:
    values = {"cluster": "prod", "uses": 1, "lifetime": timedelta(hours=1)} | change
    with pytest.raises(MalformedEvent):
        create_token(MemorySensors(), now=NOW, **values)
