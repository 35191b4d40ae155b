"""Between clouds without a stored secret: each token is what the other side expects, checked by doubles that verify it."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import external_account
from google.auth.compute_engine import _metadata
from seawall.adapters.aws import session
from seawall.adapters.azure.http import azure_http
from seawall.adapters.azure.identity import FEDERATION_AUDIENCE, azure_credential
from seawall.adapters.gcp import identity as google_identity
from seawall.bootstrap import bootstrap
from seawall.domain.errors import ConfigError, Denied, MissingSetting, Unavailable
from seawall.settings import AwsSettings, AzureSettings, Settings, load_settings

from tests.support.azure_api import AzureApi
from tests.support.tls import Answer, Request, http_service, https_service, proxy_to

ROLE = "arn:aws:iam::123456789012:role/seawall-publish"
ISSUER = "https://11111111-2222.tokens.sts.global.api.aws"
GOOGLE, ACCOUNT = "https://accounts.google.com", "112233445566778899"
TENANT, CLIENT = "0aaaaaaa-0000-0000-0000-000000000001", "0bbbbbbb-0000-0000-0000-000000000002"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token_of(issuer: str, subject: str, audience: str) -> str:
    claims = {"iss": issuer, "sub": subject, "aud": audience, "exp": int(time.time()) + 900}
    return jwt.encode(claims, KEY, algorithm="RS256")


class Entra:
    """The token endpoint of a tenant with one federated credential."""

    def __init__(self, issuer: str, subject: str) -> None:
        self._issuer, self._subject = issuer, subject
        self.granted: list[str] = []

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        base = f"https://login.microsoftonline.com/{TENANT}"
        if path.endswith("/.well-known/openid-configuration"):
            return answer({"authorization_endpoint": f"{base}/oauth2/v2.0/authorize", "token_endpoint": f"{base}/oauth2/v2.0/token", "issuer": f"{base}/v2.0"})  # fmt: skip
        if path.endswith("/discovery/instance"):
            return answer(
                {"tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration", "metadata": []}
            )
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert path == f"/{TENANT}/oauth2/v2.0/token"
        assert form["client_id"] == CLIENT
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        claims = jwt.decode(
            form["client_assertion"], KEY.public_key(), ["RS256"], audience=FEDERATION_AUDIENCE, issuer=self._issuer
        )
        if claims["sub"] != self._subject:
            return answer({"error": "invalid_client", "error_description": "AADSTS70021: No matching federated identity record"}, 401)  # fmt: skip
        self.granted.append(form["scope"])
        return answer({"token_type": "Bearer", "expires_in": 3600, "access_token": "granted"})


def answer(body: dict[str, Any], status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def sts(request: Request) -> Answer:
    """`GetWebIdentityToken` of an account whose outbound federation is on."""
    form = parse_qs(request.body.decode())
    assert form["Action"] == ["GetWebIdentityToken"]
    assert form["SigningAlgorithm"] == ["RS256"]
    (audience,) = form["Audience.member.1"]
    expires = (datetime.now(UTC) + timedelta(minutes=15)).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = (
        '<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetWebIdentityTokenResult>'
        f"<WebIdentityToken>{token_of(ISSUER, ROLE, audience)}</WebIdentityToken><Expiration>{expires}</Expiration>"
        "</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
    )
    return 200, {"Content-Type": "text/xml"}, body.encode()


def metadata(request: Request) -> Answer:
    """Google's metadata server."""
    assert request.headers.get("metadata-flavor") == "Google"
    parts = urlsplit(request.path)
    if parts.path.endswith("/identity"):
        (audience,) = parse_qs(parts.query)["audience"]
        return (
            200,
            {"Metadata-Flavor": "Google", "Content-Type": "text/html"},
            token_of(GOOGLE, ACCOUNT, audience).encode(),
        )
    if "recursive=true" in parts.query:
        account = {"aliases": ["default"], "email": "seawall@acme.iam.gserviceaccount.com", "scopes": []}
        return 200, {"Metadata-Flavor": "Google", "Content-Type": "application/json"}, json.dumps(account).encode()
    return 200, {"Metadata-Flavor": "Google"}, b""


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Entra], None]]:
    """Makes a double answer for login.microsoftonline.com, to clients that check its certificate."""
    held: list[Entra] = []
    with (
        https_service(lambda request: held[0](request), tmp_path, "login.microsoftonline.com") as service,
        proxy_to(service.port) as (proxy, _),
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.ca_file))
        yield held.append


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The token services of AWS and Google on this machine."""
    session.client.cache_clear()
    with http_service(sts) as aws, http_service(metadata) as google:
        for name, value in {
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{aws.port}", "AWS_ACCESS_KEY_ID": "of-the-role", "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "eu-west-1", "GCE_METADATA_HOST": f"127.0.0.1:{google.port}", "GCE_METADATA_IP": f"127.0.0.1:{google.port}",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        importlib.reload(_metadata)  # it reads the environment when it is imported
        yield
    session.client.cache_clear()


@pytest.mark.parametrize(("identity", "issuer", "subject"), [("aws", ISSUER, ROLE), ("gcp", GOOGLE, ACCOUNT)])
def test_a_role_of_another_cloud_becomes_an_identity_of_azure(
    clouds: None, entra: Callable[[Entra], None], identity: Any, issuer: str, subject: str
) -> None:
    tenant = Entra(issuer, subject)
    entra(tenant)
    credential = azure_credential(AzureSettings(identity=identity, tenant_id=TENANT, client_id=CLIENT))
    scope = "https://eventhubs.azure.net//.default"
    assert [credential.get_token(scope).token for _ in range(2)] == ["granted"] * 2
    assert len(tenant.granted) == 1, "the token is kept while it holds"
    assert scope in tenant.granted[0]


@pytest.mark.parametrize(("identity", "issuer"), [("aws", ISSUER), ("gcp", GOOGLE)])
def test_a_role_that_azure_does_not_know_is_refused_and_named(
    clouds: None, entra: Callable[[Entra], None], identity: Any, issuer: str
) -> None:
    entra(Entra(issuer, "somebody else"))
    credential = azure_credential(AzureSettings(identity=identity, tenant_id=TENANT, client_id=CLIENT))
    with pytest.raises(Denied, match=r"AADSTS70021.*the role X"):
        azure_http("https://monitor.azure.com", "https://monitor.azure.com", credential, needs="the role X").call(
            "GET", "/"
        )


@pytest.mark.parametrize("missing", ["tenant_id", "client_id"])
def test_a_federation_without_tenant_or_client_stops_at_the_start(missing: str) -> None:
    values = {"tenant_id": TENANT, "client_id": CLIENT} | {missing: ""}
    with pytest.raises(MissingSetting, match=f"SEAWALL_AZURE__{missing.upper()}"):
        azure_credential(AzureSettings(identity="aws", **values))


def test_an_identity_of_azure_becomes_a_role_of_aws(
    aws_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with AzureApi() as api:
        for name, value in api.managed_identity().items():
            monkeypatch.setenv(name, value)
        aws = AwsSettings(role_arn=ROLE, audience="https://management.azure.com")
        application = bootstrap(Settings(data_dir=tmp_path, aws=aws))
        try:
            who = session.client("sts").get_caller_identity()["Arn"]
            assert who.endswith("assumed-role/seawall-publish/seawall")
        finally:
            session._federated.clear()
            session.client.cache_clear()
            application.close()


def test_a_role_without_an_audience_stops_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"aws \(SEAWALL_AWS\): role_arn needs audience"):
        load_settings(data_dir=tmp_path, aws={"role_arn": ROLE})


POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/seawall/providers/other"
SPOKE = "seawall@acme.iam.gserviceaccount.com"


class GoogleSts:
    """Google's token exchange and the impersonation behind it, for one trusted subject; Azure's metadata server beside them."""

    def __init__(self, trusts: Callable[[str], bool]) -> None:
        self._trusts = trusts

    def __call__(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if path == "/metadata/identity/oauth2/token":
            assert request.headers["metadata"] == "True"
            return answer({"access_token": token_of(f"https://sts.windows.net/{TENANT}/", CLIENT, "api://seawall-gcp")})
        if path == "/v1/projects/1":  # google-auth asks for the name of the pool's project, and does without
            return 403, {}, b"{}"
        if path == "/v1/token":
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            assert form["audience"] == POOL
            if not self._trusts(form["subject_token"]):
                return 400, {}, b'{"error": "invalid_grant", "error_description": "The subject is not trusted."}'
            return answer(
                {"access_token": "federated", "expires_in": 3600, "token_type": "Bearer", "issued_token_type": "x"}
            )
        assert path == f"/v1/projects/-/serviceAccounts/{SPOKE}:generateAccessToken"
        assert request.headers["authorization"] == "Bearer federated"
        until = datetime.now(UTC) + timedelta(hours=1)
        return answer({"accessToken": "of the service account", "expireTime": f"{until:%Y-%m-%dT%H:%M:%SZ}"})


def azure_subject(token: str) -> bool:
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience="api://seawall-gcp")
    return (claims["iss"], claims["sub"]) == (f"https://sts.windows.net/{TENANT}/", CLIENT)


def aws_subject(token: str) -> bool:
    """A signed `GetCallerIdentity` that Google would send on, for this pool and no other."""
    call = json.loads(unquote(token))
    headers = {item["key"].lower(): item["value"] for item in call["headers"]}
    assert call["url"].startswith("https://sts.eu-west-1.amazonaws.com")
    assert headers["x-goog-cloud-target-resource"] == POOL
    return "Credential=AKIDOFTHEROLE/" in headers["authorization"]


def google_file(kind: str, url: str) -> dict[str, Any]:
    """A credential configuration as `gcloud iam workload-identity-pools create-cred-config` writes it."""
    if kind == "azure":
        source = {"url": f"{url}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://seawall-gcp", "headers": {"Metadata": "True"}, "format": {"type": "json", "subject_token_field_name": "access_token"}}  # fmt: skip
        token = "urn:ietf:params:oauth:token-type:jwt"
    else:
        verified = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        source = {"environment_id": "aws1", "regional_cred_verification_url": verified}
        token = "urn:ietf:params:aws:token-type:aws4_request"
    return {
        "type": "external_account", "audience": POOL, "subject_token_type": token, "token_url": f"{url}/v1/token",
        "service_account_impersonation_url": f"{url}/v1/projects/-/serviceAccounts/{SPOKE}:generateAccessToken",
        "credential_source": source,
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "trusts"), [("azure", azure_subject), ("aws", aws_subject)])
@pytest.mark.parametrize("known", [True, False])
def test_an_identity_of_another_cloud_becomes_a_service_account_of_google(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, trusts: Callable[[str], bool], known: bool
) -> None:
    with http_service(GoogleSts(lambda token: trusts(token) and known)) as service:
        path, url = tmp_path / "credentials.json", f"http://127.0.0.1:{service.port}"
        path.write_text(json.dumps(google_file(kind, url)))
        monkeypatch.setattr(external_account, "_CLOUD_RESOURCE_MANAGER", f"{url}/v1/projects/")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        for name, value in {"AWS_ACCESS_KEY_ID": "AKIDOFTHEROLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "AWS_REGION": "eu-west-1"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        google_identity._credentials.cache_clear()
        try:
            if known:
                assert google_identity.access_token() == "of the service account"
            else:
                with pytest.raises(Unavailable, match="The subject is not trusted"):
                    google_identity.access_token()
        finally:
            google_identity._credentials.cache_clear()
