"""A real kube-apiserver with etcd on loopback, for one test session."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.ports import free_port

START_S = 90


@dataclass(frozen=True)
class KubeApi:
    """Where the server listens, and a client of a cluster administrator."""

    url: str
    kubeconfig: Path
    client: httpx.Client

    def create(self, path: str, body: dict[str, Any], *, dry_run: bool = False) -> httpx.Response:
        """POST an object to a collection's path."""
        return self.client.post(path, json=body, params={"dryRun": "All"} if dry_run else {})


def binary() -> Path:
    """The API server that tests/kube/build.sh makes."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seawall" / "kube-apiserver"


@contextmanager
def running(
    folder: Path, *, audit_policy: Mapping[str, Any] | None = None, users: Sequence[str] = ()
) -> Iterator[KubeApi]:
    """Start etcd and the API server, wait until it is ready, stop both at the end.

    With an audit policy the server logs to `audit.log` in `folder`. Each of `users` can log in with the token `NAME-token`.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    token = secrets.token_hex(16)
    lines = [f'{token},admin,admin,"system:masters"', *(f"{name}-token,{name},{name}" for name in users)]
    (folder / "tokens.csv").write_text("\n".join(lines) + "\n")
    logging = []
    if audit_policy is not None:
        (folder / "policy.yaml").write_text(yaml.safe_dump(dict(audit_policy)))
        logging = [f"--audit-policy-file={folder / 'policy.yaml'}", f"--audit-log-path={folder / 'audit.log'}"]
    store, peer, port = free_port(), free_port(), free_port()
    etcd = shutil.which("etcd")
    assert etcd is not None
    with (folder / "etcd.log").open("wb") as etcd_log, (folder / "api.log").open("wb") as api_log:
        keeper = subprocess.Popen(
            [etcd, "--data-dir", str(folder / "etcd"), "--listen-client-urls", f"http://127.0.0.1:{store}", "--advertise-client-urls", f"http://127.0.0.1:{store}",
             "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}"],
            stdout=etcd_log, stderr=etcd_log,
        )  # fmt: skip
        server = subprocess.Popen(
            [str(binary()), f"--etcd-servers=http://127.0.0.1:{store}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={folder}",
             "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={folder / 'sa.key'}", f"--service-account-signing-key-file={folder / 'sa.key'}",
             f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/24", "--disable-admission-plugins=ServiceAccount",
             "--endpoint-reconciler-type=none", "--allow-privileged=true", *logging],
            stdout=api_log, stderr=api_log,
        )  # fmt: skip
        client = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, verify=False, timeout=30
        )
        try:
            _wait(client, server, folder)
            config = {
                "apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}],
                "users": [{"name": "admin", "user": {"token": token}}], "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            }  # fmt: skip
            (folder / "kubeconfig").write_text(yaml.safe_dump(config))
            yield KubeApi(f"https://127.0.0.1:{port}", folder / "kubeconfig", client)
        finally:
            client.close()
            for process in (server, keeper):
                process.terminate()
            for process in (server, keeper):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(client: httpx.Client, server: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            if client.get("/readyz").status_code == 200 and client.get("/api/v1/namespaces/default").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"kube-apiserver is not ready: {(folder / 'api.log').read_text()[-2000:]}")
