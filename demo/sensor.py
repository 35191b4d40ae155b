"""A recorded sensor batch: what a sensor on the attacked node delivers, enrolled with a one-time token and signed."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from seawall.domain.runtime_events import Ancestor, ContainerContext, Process, ProcessExec, RuntimeEvent
from seawall.formats.sensor_batch import encode_batch, identity_of
from seawall.formats.sensor_certificate import make_request

from demo.story import CLUSTER, MINER_POD

if TYPE_CHECKING:
    from demo.__main__ import Demo, Server

NODE = "aks-nodes-1"
CONTAINER = "9c1f2a7d4e6b8a90112233445566778899aabbccddeeff001122334455667788"


class CertificateSigner:
    """Signs with the key whose certificate enrolment gave."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self.certificate_der = certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, payload: bytes) -> bytes:
        """ECDSA P-256 SHA-256, DER."""
        return self._key.sign(payload, ec.ECDSA(hashes.SHA256()))


def batch(server: Server, demo: Demo, start: datetime) -> bytes:
    """Enrol at the server as a new sensor does, and return the signed batch."""
    token = demo.seawall("sensor", "token", "--cluster", CLUSTER).stdout.strip()
    key = ec.generate_private_key(ec.SECP256R1())
    asked = {"node": NODE, "csr": make_request(key, NODE).decode()}
    answer = server.client.post("/v1/sensors/enrol", json=asked, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    certificate = x509.load_pem_x509_certificate(answer.json()["certificate"].encode())
    boot = str(uuid.uuid5(uuid.NAMESPACE_URL, "seawall-demo-boot"))
    return encode_batch(
        _events(start, boot),
        signer=CertificateSigner(key, certificate),
        identity=identity_of(certificate),
        boot=boot,
        stream="demo",
        batch=1,
        created_ns=int(start.timestamp() * 1e9),
    )


def _events(start: datetime, boot: str) -> list[RuntimeEvent]:
    """In the thief's pod a downloaded miner starts; in the shop's a worker does what it always does."""
    thief = ContainerContext(
        id=CONTAINER, name="main", image="docker.io/library/alpine:3.20", pod=MINER_POD, namespace="kube-system",
        owner=f"Pod/{MINER_POD}", privileged=True, runtime="containerd", host_pid=True,
    )  # fmt: skip
    shop = ContainerContext(
        id=CONTAINER[::-1], name="api", image="registry.shop.example/api:1.4.2", pod="api-1", namespace="shop", owner="Deployment/api",
        runtime="containerd",
    )  # fmt: skip
    shell = Ancestor(pid=4100, exe="/bin/sh", args=("sh",))
    shim = Ancestor(pid=3900, exe="/usr/bin/containerd-shim-runc-v2")
    miner = Process(
        pid=4127, ppid=4100, exe="/tmp/.x/xmrig", args=("./xmrig", "-o", "stratum+tcp://pool.minexmr.example:4444", "-u", "48edf"), cwd="/tmp/.x",
        ancestors=(shell, shim), origin="upper", drift=True, entered=True, exe_inode=1201, exe_size_bytes=8_400_000, exe_mode=0o100755,
    )  # fmt: skip
    worker = Process(
        pid=5200,
        ppid=5100,
        exe="/usr/local/bin/python3.11",
        args=("python3", "/app/main.py"),
        ancestors=(shim,),
        origin="image",
    )

    def moment(seconds: int) -> int:
        return int((start + timedelta(seconds=seconds)).timestamp() * 1e9)

    return [
        ProcessExec(ts_ns=moment(0), process=worker, container=shop, boot=boot, seq=1, previous_exe="/bin/sh"),
        ProcessExec(ts_ns=moment(30), process=miner, container=thief, boot=boot, seq=2, previous_exe="/bin/sh"),
    ]
