"""Who we are to a registry: our settings first, then Docker's configuration and helpers, then the cloud's identity.

Source: docker/cli, config file format; docker/docker-credential-helpers, protocol; containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.domain.errors import ConfigError

_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
HELPER_TIMEOUT_S = 30
_TOKEN_USER = "<token>"  # noqa: S105 - Docker's word for "the secret is an identity token"


@dataclass(frozen=True, slots=True)
class Credential:
    """User name and password, or an identity token (an OAuth 2 refresh token), or a ready bearer token; or nothing."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.bearer)


ANONYMOUS = Credential()
CredentialSource = Callable[[str], Credential | None]
"""Registry host to credential; None = this source does not know the host."""


def first_of(sources: Sequence[CredentialSource]) -> CredentialSource:
    """Return a source that asks each of `sources` in turn."""

    def find(host: str) -> Credential | None:
        for source in sources:
            if (credential := source(host)) is not None:
                return credential
        return None

    return find


def docker_config(environment: Mapping[str, str] | None = None) -> CredentialSource:
    """Return the source that reads Docker's and Podman's configuration, anew at each call (helpers rotate secrets)."""
    env = os.environ if environment is None else environment

    def find(host: str) -> Credential | None:
        for path in _config_files(env):
            try:
                config = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path} is not a Docker configuration: {error}") from error
            if isinstance(config, dict) and (credential := _from_config(config, host, env)) is not None:
                return credential
        return None

    return find


def _config_files(env: Mapping[str, str]) -> list[Path]:
    files = []
    if env.get("REGISTRY_AUTH_FILE"):
        files.append(Path(env["REGISTRY_AUTH_FILE"]))
    home = env.get("HOME", "")
    if env.get("DOCKER_CONFIG"):
        files.append(Path(env["DOCKER_CONFIG"]) / "config.json")
    elif home:
        files.append(Path(home) / ".docker/config.json")
    if env.get("XDG_RUNTIME_DIR"):
        files.append(Path(env["XDG_RUNTIME_DIR"]) / "containers/auth.json")
    if home:
        files.append(Path(home) / ".config/containers/auth.json")
    return files


def _keys(host: str) -> tuple[str, ...]:
    if host in _HUB_KEYS:
        return _HUB_KEYS
    return (host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/", f"http://{host}")


def _from_config(config: dict[str, Any], host: str, env: Mapping[str, str]) -> Credential | None:
    helpers = config.get("credHelpers")
    for key in _keys(host):
        if isinstance(helpers, dict) and isinstance(helpers.get(key), str):
            return _ask_helper(helpers[key], key, env)
    auths = config.get("auths")
    store = config.get("credsStore")
    for key in _keys(host):
        entry = auths.get(key) if isinstance(auths, dict) else None
        if isinstance(entry, dict) and (stored := _from_entry(entry)):
            return stored
    if isinstance(store, str) and store:
        for key in _keys(host)[:2]:
            if (credential := _ask_helper(store, key, env)) is not None:
                return credential
    return None


def _from_entry(entry: dict[str, Any]) -> Credential:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ConfigError("Docker configuration: an `auth` entry is not base64 of user:password") from error
    token = entry.get("identitytoken")
    return Credential(username, password.strip("\0"), token if isinstance(token, str) else "")


def _ask_helper(name: str, key: str, env: Mapping[str, str]) -> Credential | None:
    if not _HELPER_NAME.fullmatch(name):
        raise ConfigError(f"Docker configuration: {name!r} is not the name of a credential helper")
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own configuration names the helper, as in Docker
            [f"docker-credential-{name}", "get"],
            input=key.encode(),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
            env=dict(env),
        )
    except FileNotFoundError as error:
        raise ConfigError(
            f"credential helper docker-credential-{name} is not installed",
            hint="install it, or remove it from config.json",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"credential helper docker-credential-{name} did not answer in {HELPER_TIMEOUT_S} s"
        ) from error
    if answer.returncode:
        return None  # "credentials not found in native keychain": the protocol has no other way to say no
    try:
        record = json.loads(answer.stdout)
        username, secret = str(record["Username"]), str(record["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"credential helper docker-credential-{name} gave no user name and secret") from error
    return Credential(identity_token=secret) if username == _TOKEN_USER else Credential(username, secret)
