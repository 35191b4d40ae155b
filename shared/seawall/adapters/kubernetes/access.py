"""How to reach an API server: by kubeconfig, as kubectl would, or from inside by the pod's own account.

Own code, because of what we need (list, watch, metadata only, one connection pool, our errors) the public client would bring 700
generated models into every function app.
Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files", client.authentication.k8s.io/v1.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from seawall.domain.audit_events import parse_time
from seawall.domain.errors import ConfigError, Denied, Unavailable
from seawall.posture.objects import mapping, mappings, text

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PLUGIN_TIMEOUT_S: Final = 60
TOKEN_REFRESH_S: Final = 60
"""Projected tokens are rotated on disk: read again this often."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is and who we are towards it. `bearer` gives a valid token, None = by certificate."""

    server: str
    name: str
    tls: ssl.SSLContext
    bearer: Callable[[], str] | None = None
    basic: tuple[str, str] | None = None
    proxy: str = ""
    server_name: str = ""
    impersonate: dict[str, str] = field(default_factory=dict)


def in_cluster() -> Access:
    """Return the access of the pod that this process runs in.

    Raises:
        ConfigError: this is no pod, or it mounts no token.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = SERVICE_ACCOUNT / "token"
    if not host or not token.is_file():
        raise ConfigError(
            "not in a cluster: no KUBERNETES_SERVICE_HOST or no service account token",
            hint="run in a pod whose service account token is mounted, or name a kubeconfig",
        )
    address = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    return Access(f"https://{address}:{port}", "in-cluster", tls, _file_token(token))


def from_kubeconfig(path: str | os.PathLike[str] | None = None, context: str = "") -> Access:
    """Return the access that a context of a kubeconfig describes; None = `KUBECONFIG` or `~/.kube/config`.

    Raises:
        ConfigError: a file is not there or no kubeconfig, or it has no such context, cluster or user.
    """
    files = [Path(path)] if path else default_files()
    config = _merged(files)
    chosen = context or text(config.get("current-context"))
    if not chosen:
        raise ConfigError("the kubeconfig has no current context", hint="name one with --context")
    entry, folder = _named(config, "contexts", "context", chosen)
    cluster, cluster_folder = _named(config, "clusters", "cluster", text(entry.get("cluster")))
    user, user_folder = (
        _named(config, "users", "user", text(entry.get("user"))) if text(entry.get("user")) else ({}, folder)
    )
    server = text(cluster.get("server")).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise ConfigError(f"cluster {text(entry.get('cluster'))} has no server URL")
    tls = _trust(cluster, cluster_folder)
    plugin = _Plugin(mapping(user["exec"]), user_folder, cluster) if isinstance(user.get("exec"), dict) else None
    bearer = _bearer(user, user_folder)
    if plugin is not None:
        plugin.refresh()
        if plugin.certificate:
            _present(tls, *plugin.certificate)
        bearer = plugin.token if plugin.has_token else bearer
    elif certificate := _certificate(user, user_folder):
        _present(tls, *certificate)
    basic = (text(user.get("username")), text(user.get("password"))) if user.get("username") else None
    acting = {"Impersonate-User": text(user.get("as"))} if user.get("as") else {}
    return Access(
        server,
        chosen,
        tls,
        bearer,
        basic,
        text(cluster.get("proxy-url")),
        text(cluster.get("tls-server-name")),
        acting,
    )


def trusting(authority: str) -> ssl.SSLContext:
    """Return a TLS context that trusts this certificate authority (base64 of PEM, as clouds give it) and no other.

    Raises:
        ConfigError: it is none.
    """
    if not authority:
        raise ConfigError("the cluster's certificate authority is not known")
    return _trust({"certificate-authority-data": authority}, Path())


def default_files() -> list[Path]:
    """Return the kubeconfig files that kubectl would read."""
    named = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path.home() / ".kube" / "config"]


def _merged(files: list[Path]) -> dict[str, Any]:
    """Return one config of several files: of two entries with one name the first counts."""
    merged: dict[str, Any] = {"clusters": [], "users": [], "contexts": [], "current-context": ""}
    read = 0
    for file in files:
        try:
            document = yaml.safe_load(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"the kubeconfig {file} cannot be read: {' '.join(str(error).split())[:200]}") from error
        if not isinstance(document, dict):
            raise ConfigError(f"{file} is not a kubeconfig")
        read += 1
        merged["current-context"] = merged["current-context"] or text(document.get("current-context"))
        for name in ("clusters", "users", "contexts"):
            merged[name] += [{**item, "_folder": file.parent} for item in mappings(document.get(name))]
    if not read:
        raise ConfigError(
            f"there is no kubeconfig at {', '.join(map(str, files))}", hint="name one with --kubeconfig or KUBECONFIG"
        )
    return merged


def _named(config: dict[str, Any], section: str, inner: str, name: str) -> tuple[dict[str, Any], Path]:
    for item in config[section]:
        if text(item.get("name")) == name:
            return mapping(item.get(inner)), item["_folder"]
    known = ", ".join(text(item.get("name")) for item in config[section]) or "none"
    raise ConfigError(f"the kubeconfig has no {inner} {name!r}", hint=f"it has: {known}")


def _trust(cluster: dict[str, Any], folder: Path) -> ssl.SSLContext:
    if cluster.get("insecure-skip-tls-verify") is True:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if data := text(cluster.get("certificate-authority-data")):
            return ssl.create_default_context(cadata=base64.b64decode(data, validate=True).decode())
        if name := text(cluster.get("certificate-authority")):
            return ssl.create_default_context(cafile=str(folder / name))
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(f"the cluster's certificate authority cannot be read: {error}") from error
    return ssl.create_default_context()


def _bearer(user: dict[str, Any], folder: Path) -> Callable[[], str] | None:
    if name := text(user.get("tokenFile")):
        return _file_token(folder / name)
    if token := text(user.get("token")):
        return lambda: token
    return None


def _file_token(path: Path) -> Callable[[], str]:
    known: list[tuple[float, str]] = []

    def read() -> str:
        if not known or known[0][0] < time.monotonic():
            try:
                known[:] = [(time.monotonic() + TOKEN_REFRESH_S, path.read_text().strip())]
            except OSError as error:
                raise Denied(f"the token {path} cannot be read: {error.strerror}") from error
        return known[0][1]

    return read


def _certificate(user: dict[str, Any], folder: Path) -> tuple[bytes, bytes] | None:
    parts = []
    for name in ("client-certificate", "client-key"):
        try:
            if data := text(user.get(f"{name}-data")):
                parts.append(base64.b64decode(data))
            elif file := text(user.get(name)):
                parts.append((folder / file).read_bytes())
        except (OSError, binascii.Error) as error:
            raise ConfigError(f"{name} cannot be read: {error}") from error
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _present(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give the context a client certificate; Python's ssl takes one from files only."""
    with tempfile.NamedTemporaryFile(prefix="seawall-", suffix=".pem") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise ConfigError(f"the client certificate cannot be used: {error}") from error


class _Plugin:
    """A sign-in plug-in of a kubeconfig (`exec`), asked again when its credential ends."""

    def __init__(self, spec: dict[str, Any], folder: Path, cluster: dict[str, Any]) -> None:
        command = text(spec.get("command"))
        if not command:
            raise ConfigError("the kubeconfig's exec has no command")
        # As kubectl: a bare name is looked up in PATH, a relative path is beside the kubeconfig.
        self._command = str(folder / command) if os.sep in command else command
        self._arguments = [item for item in spec.get("args") or [] if isinstance(item, str)]
        self._environment = {text(item.get("name")): text(item.get("value")) for item in mappings(spec.get("env"))}
        self._hint = text(spec.get("installHint"))
        info: dict[str, Any] = {"interactive": False}
        if spec.get("provideClusterInfo") is True:
            kept = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
            info["cluster"] = {key: cluster[key] for key in kept if key in cluster}
        self._info = json.dumps({"apiVersion": text(spec.get("apiVersion")), "kind": "ExecCredential", "spec": info})
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0
        self.certificate: tuple[bytes, bytes] | None = None

    @property
    def has_token(self) -> bool:
        return bool(self._token)

    def token(self) -> str:
        with self._lock:
            if self._until < time.time():
                self.refresh()
            return self._token

    def refresh(self) -> None:
        environment = {**os.environ, **self._environment, "KUBERNETES_EXEC_INFO": self._info}
        try:
            done = subprocess.run(  # noqa: S603 - the command that the user's own kubeconfig names, as kubectl runs it
                [self._command, *self._arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PLUGIN_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise ConfigError(f"the sign-in plug-in {self._command} is not installed", hint=self._hint) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"the sign-in plug-in {self._command} failed: {type(error).__name__}") from error
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise Denied(f"the sign-in plug-in {self._command} failed: {last[0][:300]}", hint=self._hint)
        try:
            status = mapping(mapping(json.loads(done.stdout)).get("status"))
        except ValueError as error:
            raise Denied(f"the sign-in plug-in {self._command} gave no ExecCredential") from error
        self._token = text(status.get("token"))
        ends = parse_time(text(status.get("expirationTimestamp")))
        self._until = ends.timestamp() - 60 if ends is not None else time.time() + 300
        certificate, key = text(status.get("clientCertificateData")), text(status.get("clientKeyData"))
        if certificate and key:
            self.certificate = certificate.encode(), key.encode()
        if not self._token and self.certificate is None:
            raise Denied(f"the sign-in plug-in {self._command} gave neither token nor certificate")
