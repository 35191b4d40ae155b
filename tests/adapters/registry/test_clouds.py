"""Sign-in at cloud registries with the SDKs' real code, custom authorities, proxies: against HTTP doubles."""

import base64
import json
import time
from contextlib import ExitStack, closing
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from seawall.adapters.images.opening import open_registry
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.clouds import CloudCredentials
from seawall.adapters.registry.credentials import Credential
from seawall.adapters.registry.hosts import ACR, ECR, GAR
from seawall.adapters.registry.transport import HostSettings
from seawall.domain.errors import ConfigError, Denied, Unavailable
from seawall.domain.images import ImageReference
from seawall.settings import RegistryCredential, Settings

from tests.support.ports import free_port
from tests.support.tls import Request, http_service, https_service, proxy_to

MANIFEST = b'{"schemaVersion":2,"config":{"digest":"sha256:%s"},"layers":[]}' % (b"a" * 64)
ACR_HOST = "shop.azurecr.io"
MANIFEST_PATH = "/v2/shop/api/manifests/1"


@pytest.fixture(autouse=True)
def no_identity_of_this_machine(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def stack():
    with ExitStack() as opened:
        yield opened


def form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def token_registry(request: Request, refresh: str = "acr refresh", where: str = ACR_HOST):
    """A registry with ACR's token service: an exchange of identities, and OAuth 2 with refresh tokens."""
    if request.path == "/oauth2/exchange":
        sent = form(request)
        if sent != {"grant_type": "access_token", "service": ACR_HOST, "access_token": "entra token"}:
            return 401, {}, b'{"errors":[{"code":"UNAUTHORIZED"}]}'
        return 200, {}, json.dumps({"refresh_token": refresh}).encode()
    if request.path == "/oauth2/token":
        sent = form(request)
        wanted = {"grant_type": "refresh_token", "service": where, "scope": "repository:shop/api:pull"}
        if request.method != "POST" or not wanted.items() <= sent.items() or not sent.get("client_id"):
            return 400, {}, b"{}"
        if sent["refresh_token"] != refresh:
            return 401, {}, b'{"errors":[{"code":"UNAUTHORIZED"}]}'
        return 200, {}, json.dumps({"access_token": "access", "expires_in": 300}).encode()
    if request.headers.get("authorization") != "Bearer access":
        challenge = f'Bearer realm="https://{where}/oauth2/token",service="{where}",scope="repository:shop/api:pull"'
        return 401, {"WWW-Authenticate": challenge}, b""
    return 200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, MANIFEST


def managed_identity(request: Request):
    """Azure's identity endpoint of App Service and Container Apps."""
    query = parse_qs(request.path.partition("?")[2])
    if request.headers.get("x-identity-header") != "secret" or query["resource"] != [
        "https://containerregistry.azure.net"
    ]:
        return 400, {"Content-Type": "application/json"}, b"{}"
    record = {"access_token": "entra token", "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
    return 200, {"Content-Type": "application/json"}, json.dumps(record).encode()


def test_acr_with_a_managed_identity(stack, tmp_path, monkeypatch):
    """From the workload's identity to the manifest, through a proxy and under a private authority."""
    identity = stack.enter_context(http_service(managed_identity))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{identity.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    registry = stack.enter_context(https_service(token_registry, tmp_path, ACR_HOST))
    proxy, asked = stack.enter_context(proxy_to(registry.port))
    settings = Settings(registries={ACR_HOST: RegistryCredential(ca_file=registry.ca_file, proxy=proxy)})
    http = open_registry(settings)
    stack.callback(http.close)
    assert http.manifest(ImageReference(ACR_HOST, "shop/api", "1"))[2] == MANIFEST
    assert http.manifest(ImageReference(ACR_HOST, "shop/api", "1"))[2] == MANIFEST
    paths = [request.path for request in registry.requests]
    assert paths == [MANIFEST_PATH, "/oauth2/exchange", "/oauth2/token", MANIFEST_PATH, MANIFEST_PATH]
    assert set(asked) == {f"CONNECT {ACR_HOST}:443"}
    assert len(identity.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        pytest.param(401, b"{}", Denied, "refused the Azure identity", id="refused"),
        pytest.param(200, b"[]", Denied, "refused the Azure identity", id="not-an-object"),
        pytest.param(200, b'{"refresh_token": 7}', Denied, "refused the Azure identity", id="not-a-text"),
        pytest.param(503, b"", Unavailable, "answered 503", id="down"),
        pytest.param(429, b"", Unavailable, "answered 429", id="too-many"),
    ],
)
def test_acr_exchange_that_fails(stack, tmp_path, monkeypatch, status, body, error, message):
    identity = stack.enter_context(http_service(managed_identity))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{identity.port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    registry = stack.enter_context(https_service(lambda _request: (status, {}, body), tmp_path, ACR_HOST))
    proxy, _ = stack.enter_context(proxy_to(registry.port))
    credentials = CloudCredentials({ACR_HOST: HostSettings(ca_file=registry.ca_file, proxy=proxy)})
    with pytest.raises(error, match=message):
        credentials(ACR_HOST)


def test_ecr(aws_environment):
    credential = CloudCredentials()("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    assert credential is not None
    assert credential.username == "AWS"
    assert credential.password


def test_ecr_that_does_not_answer_is_not_a_refusal(monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match="GetAuthorizationToken"):
        CloudCredentials()("123456789012.dkr.ecr.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(("code", "status"), [("ThrottlingException", 400), ("ServerException", 500)])
def test_ecr_that_is_busy_is_not_a_refusal(stack, monkeypatch, code, status):
    answer = (status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps({"__type": code}).encode())
    service = stack.enter_context(http_service(lambda _request: answer))
    url = f"http://127.0.0.1:{service.port}"
    for name, value in {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_MAX_ATTEMPTS": "1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match="GetAuthorizationToken"):
        CloudCredentials()("123456789012.dkr.ecr.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    ("host", "reading", "writing"),
    [
        (ACR_HOST, "Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr:BatchGetImage", "ecr:PutImage"),
        ("europe-docker.pkg.dev", "artifactregistry.repositories.downloadArtifacts", "artifactregistry.repositories.uploadArtifacts"),
    ],
)  # fmt: skip
def test_a_refused_call_names_the_permission(stack, tmp_path, host, reading, writing):
    """The identity is known and may not: the registry answers 403."""
    refusal = b'{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}'

    def answer(request: Request):
        return (404, {}, b"") if request.method == "HEAD" and "/blobs/" in request.path else (403, {}, refusal)

    service = stack.enter_context(https_service(answer, tmp_path, host))
    proxy, _asked = stack.enter_context(proxy_to(service.port))
    settings = HostSettings(ca_file=service.ca_file, proxy=proxy)
    registry = stack.enter_context(closing(HttpRegistry(lambda _host: None, {host: settings})))
    reference = ImageReference(host, "shop/api", tag="1")
    with pytest.raises(Denied, match=reading):
        registry.resolve(reference)
    with pytest.raises(Denied, match=writing):
        registry.push_blob(reference, b"x")
    with pytest.raises(Denied, match=writing):
        registry.push_manifest(reference, MANIFEST, "application/vnd.oci.image.manifest.v1+json")


def test_ecr_is_asked_again_before_its_token_expires(aws_environment):
    now = [0.0]
    credentials = CloudCredentials(clock=lambda: now[0])
    host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    first = credentials(host)
    now[0] = 12 * 3600 - 301
    assert credentials(host) is first
    now[0] = 12 * 3600 - 299
    assert credentials(host) is not first


def service_account(folder, port):
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "account.json"
    account = {
        "type": "service_account",
        "project_id": "shop",
        "private_key": key.decode(),
        "client_email": "scanner@shop.iam.gserviceaccount.com",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    path.write_text(json.dumps(account))
    return str(path)


def google_tokens(request: Request):
    sent = form(request)
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = json.loads(base64.urlsafe_b64decode(sent["assertion"].split(".")[1] + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    record = {"access_token": "google token", "expires_in": 3600, "token_type": "Bearer"}
    return 200, {"Content-Type": "application/json"}, json.dumps(record).encode()


def test_artifact_registry(stack, tmp_path, monkeypatch):
    google = stack.enter_context(http_service(google_tokens))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(tmp_path, google.port))
    expected = Credential("oauth2accesstoken", "google token")
    credentials = CloudCredentials()
    assert credentials("europe-docker.pkg.dev") == expected
    assert credentials("europe-docker.pkg.dev") == expected
    assert len(google.requests) == 1


def test_artifact_registry_refused(stack, tmp_path, monkeypatch):
    answer = (400, {"Content-Type": "application/json"}, b'{"error":"invalid_grant"}')
    google = stack.enter_context(http_service(lambda _request: answer))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(tmp_path, google.port))
    with pytest.raises(Denied, match="no Google identity"):
        CloudCredentials()("europe-docker.pkg.dev")


def test_artifact_registry_without_identity_is_asked_as_anyone(monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert CloudCredentials()("gcr.io") == Credential()


@pytest.mark.parametrize(
    ("host", "cloud"),
    [
        ("shop.azurecr.io", ACR),
        ("shop.westeurope.data.azurecr.io", ACR),
        ("shop.azurecr.cn", ACR),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", ECR),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", ECR),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", ECR),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", ECR),
        ("europe-docker.pkg.dev", GAR),
        ("eu.gcr.io", GAR),
        ("azurecr.io", None),
        ("shop.azurecr.io.evil.example", None),
        ("evil.example/shop.azurecr.io", None),
        ("12345.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("docker.pkg.dev", None),
        ("notgcr.io", None),
        ("ghcr.io", None),
    ],
)
def test_only_the_clouds_own_hosts_get_their_tokens(host, cloud):
    assert [pattern for pattern in (ACR, ECR, GAR) if pattern.fullmatch(host)] == ([cloud] if cloud else [])


def registry_at(stack, folder, **settings):
    """A registry with a refresh token's service on this machine; returns it with a client and a reference."""
    where: list[str] = []
    running = stack.enter_context(https_service(lambda request: token_registry(request, "rt", where[0]), folder))
    host = f"127.0.0.1:{running.port}"
    where.append(host)
    values = {"ca_file": running.ca_file} | settings
    http = open_registry(Settings(registries={host: RegistryCredential(**values)}))
    stack.callback(http.close)
    return running, http, ImageReference(host, "shop/api", "1")


def test_identity_token(stack, tmp_path):
    running, http, reference = registry_at(stack, tmp_path, token="rt")
    assert http.manifest(reference)[2] == MANIFEST
    assert [request.path for request in running.requests] == [MANIFEST_PATH, "/oauth2/token", MANIFEST_PATH]


def test_identity_token_of_dockers_configuration(stack, tmp_path, monkeypatch):
    _, http, reference = registry_at(stack, tmp_path)
    (tmp_path / "docker").mkdir()
    entry = {"auth": base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode(), "identitytoken": "rt"}
    (tmp_path / "docker/config.json").write_text(json.dumps({"auths": {reference.registry: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    assert http.manifest(reference)[2] == MANIFEST


def test_identity_token_that_was_withdrawn(stack, tmp_path):
    _, http, reference = registry_at(stack, tmp_path, token="old")
    with pytest.raises(Denied, match="refused a token for repository:shop/api:pull"):
        http.manifest(reference)


def test_an_unknown_authority(stack, tmp_path):
    running, http, reference = registry_at(stack, tmp_path, token="rt", ca_file=None)
    with pytest.raises(Denied, match="certificate is not trusted") as error:
        http.manifest(reference)
    assert "ca_file" in error.value.hint
    assert running.requests == []


def test_a_certificate_for_another_name(stack, tmp_path):
    running = stack.enter_context(https_service(token_registry, tmp_path))
    proxy, _ = stack.enter_context(proxy_to(running.port))
    host = "other.example"
    http = open_registry(Settings(registries={host: RegistryCredential(ca_file=running.ca_file, proxy=proxy)}))
    stack.callback(http.close)
    with pytest.raises(Denied, match="certificate is not trusted"):
        http.manifest(ImageReference(host, "shop/api", "1"))


@pytest.mark.parametrize("content", [None, "", "not PEM"])
def test_an_authority_file_that_is_none(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    http = open_registry(Settings(registries={"a.example": RegistryCredential(ca_file=path)}))
    with pytest.raises(ConfigError, match="PEM file"):
        http.manifest(ImageReference("a.example", "shop/api", "1"))


def test_a_proxy_that_is_down(stack):
    settings = {"a.example": RegistryCredential(proxy=f"http://127.0.0.1:{free_port()}")}
    http = open_registry(Settings(registries=settings))
    stack.callback(http.close)
    http._sleep = lambda _seconds: None
    with pytest.raises(Unavailable, match="does not answer"):
        http.manifest(ImageReference("a.example", "shop/api", "1"))


def test_a_proxy_that_is_none():
    http = open_registry(Settings(registries={"a.example": RegistryCredential(proxy="proxy.example:3128")}))
    with pytest.raises(ConfigError, match="proxy"):
        http.manifest(ImageReference("a.example", "shop/api", "1"))
