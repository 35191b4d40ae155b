"""Tokens, retries, resumed downloads, rate limits: against a small real HTTP server that behaves badly on purpose."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from seawall.adapters.registry.client import HttpRegistry
from seawall.adapters.registry.credentials import Credential, docker_config
from seawall.adapters.registry.transport import HostSettings, retry_after
from seawall.domain.errors import ConfigError, Denied, InputError, Unavailable
from seawall.domain.images import ImageReference

BLOB = b"0123456789" * 50_000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
MANIFEST = b'{"schemaVersion":2,"config":{"digest":"sha256:%s"},"layers":[]}' % (b"a" * 64)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        state = self.server.state
        state["requests"].append((self.path, dict(self.headers)))
        answer = state["answers"](self, state)
        if answer is None:
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if headers.get("Connection") == "close":
            self.close_connection = True

    do_CONNECT = do_GET


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.state = {"requests": [], "waits": []}
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    host = f"127.0.0.1:{made.server_port}"
    clients = []

    def client(answers, credential=None, **settings):
        made.state["answers"] = answers
        http = HttpRegistry(
            lambda _h: credential,
            {host: HostSettings(**{"plain_http": True} | settings)},
            sleep=made.state["waits"].append,
        )
        clients.append(http)
        return http, ImageReference(host, "shop/api", "1"), made.state

    yield client
    for http in clients:
        http.close()
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize("credential", [None, Credential("u", "p"), Credential(identity_token="refresh")])
def test_bearer_flow(server, credential):
    def answers(request, state):
        if request.path.startswith("/token"):
            assert "scope=repository%3Ashop%2Fapi%3Apull" in request.path
            if credential:
                assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
            return 200, {}, json.dumps({"token": "secret", "expires_in": 300}).encode()
        if request.headers.get("Authorization") != "Bearer secret":
            realm = f"http://{request.headers['Host']}/token"
            challenge = f'Bearer realm="{realm}",service="registry",scope="repository:shop/api:pull"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return 200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, MANIFEST

    http, reference, state = server(answers, credential)
    if credential and credential.identity_token:
        with pytest.raises(Unavailable, match="501"):  # the double has no POST: the token request was an OAuth 2 form
            http.manifest(reference)
        return
    assert http.manifest(reference)[2] == MANIFEST
    http.manifest(reference)
    assert len([path for path, _ in state["requests"] if path.startswith("/token")]) == 1


def test_a_token_service_without_tls_is_refused(server):
    challenge = 'Bearer realm="ftp://elsewhere/token"'
    http, reference, _ = server(lambda *_: (401, {"WWW-Authenticate": challenge}, b""), Credential("u", "p"))
    with pytest.raises(Denied, match="without TLS"):
        http.manifest(reference)


def test_retries_with_back_off_and_retry_after(server):
    def answers(_request, state):
        turn = len(state["requests"])
        if turn == 1:
            return 503, {}, b""
        if turn == 2:
            return 429, {"Retry-After": "7"}, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
        return 200, {}, MANIFEST

    http, reference, state = server(answers)
    assert http.manifest(reference)[2] == MANIFEST
    first, second = state["waits"]
    assert 0.2 < first < 0.5
    assert 7 <= second < 9


def test_long_retry_after_is_the_platforms_business(server):
    http, reference, state = server(lambda *_: (429, {"Retry-After": "3600"}, b""))
    with pytest.raises(Unavailable) as error:
        http.manifest(reference)
    assert error.value.retry_after_s == 3600
    assert len(state["requests"]) == 1


def test_a_download_is_resumed_where_it_broke(server):
    def answers(request, state):
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        piece = BLOB[start : start + 200_000]
        if start + len(piece) < len(BLOB):  # promises all of it, then hangs up
            request.send_response(206 if start else 200)
            request.send_header("Content-Length", str(len(BLOB) - start))
            request.end_headers()
            request.wfile.write(piece)
            request.close_connection = True
            return None
        return (206 if start else 200), {}, piece

    http, reference, state = server(answers)
    assert b"".join(http.blob(reference, DIGEST)) == BLOB
    assert len(state["requests"]) == 3


def test_a_server_without_ranges_is_read_again(server):
    def answers(request, state):
        if len(state["requests"]) == 1:
            request.send_response(200)
            request.send_header("Content-Length", str(len(BLOB)))
            request.end_headers()
            request.wfile.write(BLOB[:300_000])
            request.close_connection = True
            return None
        return 200, {}, BLOB

    http, reference, _ = server(answers)
    assert b"".join(http.blob(reference, DIGEST)) == BLOB


def test_another_content_than_the_digest_says(server):
    http, reference, _ = server(lambda *_: (200, {}, b"evil"))
    with pytest.raises(InputError, match="expected"):
        list(http.blob(reference, DIGEST))
    with pytest.raises(InputError, match="expected"):
        http.manifest(ImageReference(reference.registry, reference.repository, "", DIGEST))


def test_rate_limit_budget(server):
    headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "10;w=21600"}
    http, reference, state = server(lambda *_: (200, headers, MANIFEST), reserve=10)
    http.manifest(reference)
    with pytest.raises(Unavailable, match="10 pulls are left") as error:
        http.manifest(reference)
    assert 21000 < error.value.retry_after_s <= 21600
    assert len(state["requests"]) == 1


def test_an_endless_manifest_is_cut(server):
    http, reference, _ = server(lambda *_: (200, {}, b" " * (17 * 1024 * 1024)))
    with pytest.raises(InputError, match="over 16777216 bytes"):
        http.manifest(reference)


def test_pages_stay_on_their_host(server):
    def answers(request, state):
        if len(state["requests"]) == 1:
            return 200, {"Link": '<http://evil.example/v2/_catalog?last=a>; rel="next"'}, b'{"repositories":["a"]}'
        return 200, {}, b'{"repositories":["b", 7]}'

    http, reference, state = server(answers)
    assert list(http.repositories(reference.registry)) == ["a", "b"]
    assert state["requests"][1][0] == "/v2/_catalog?last=a"


@pytest.mark.parametrize("plain_http", [pytest.param(True, id="plain"), pytest.param(False, id="tunnel")])
def test_a_proxy_that_lets_nobody_in(server, plain_http):
    _, reference, _ = server(None)
    http, reference, state = server(
        lambda *_: (407, {"Proxy-Authenticate": 'Basic realm="x"'}, b""),
        plain_http=plain_http,
        proxy=f"http://joe:hunter2@{reference.registry}",
    )
    with pytest.raises(Denied, match="proxy wants a user name") as caught:
        http.manifest(reference)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert len(state["requests"]) == 1, "asking again does not help"


def test_a_proxy_that_is_not_there_is_named(server):
    http, reference, _ = server(None, proxy="http://joe:hunter2@127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"through the proxy 127\.0\.0\.1:1 ") as caught:
        http.manifest(reference)
    assert "hunter2" not in caught.value.message


def test_retry_after_forms():
    assert retry_after("12") == 12
    assert retry_after("soon") is None
    assert retry_after("") is None
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_docker_configuration(tmp_path):
    config = {
        "auths": {
            "a.example": {"auth": base64.b64encode(b"user:pass:word").decode()},
            "https://index.docker.io/v1/": {"username": "hub", "password": "x"},
            "b.example": {"identitytoken": "t", "auth": base64.b64encode(b"x:").decode()},
        },
        "credHelpers": {"d.example": "../evil", "e.example": "missing"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    find = docker_config({"DOCKER_CONFIG": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert find("a.example") == Credential("user", "pass:word")
    assert find("registry-1.docker.io") == Credential("hub", "x")
    assert find("b.example").identity_token == "t"
    assert find("unknown.example") is None
    with pytest.raises(ConfigError, match="not the name"):
        find("d.example")
    with pytest.raises(ConfigError, match="not installed"):
        find("e.example")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not a Docker configuration"):
        find("a.example")
    assert "pass" not in repr(Credential("user", "password"))


def test_credential_helper(tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread host\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"for $host\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text('{"credHelpers": {"c.example": "test"}}')
    find = docker_config({"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert find("c.example") == Credential(identity_token="for c.example")
