"""An API server that fails in the middle: what was read counts, the rest is told, waits are bounded."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from seawall.adapters.kubernetes.access import Access
from seawall.adapters.kubernetes.client import TRIES, Gone, KubeClient
from seawall.adapters.kubernetes.listing import ClusterSource
from seawall.assets.rights import BY_KIND
from seawall.domain.errors import Unavailable

Answer = tuple[int, Any, dict[str, str]]


class Api:
    """Answers `/version`, and pods page by page as `pods` says: called with the query, returns status, body, headers."""

    def __init__(self, pods: Callable[[dict[str, str]], Answer]) -> None:
        self.queries: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                if parts.path == "/version":
                    status, body, headers = 200, {"gitVersion": "v1.31.0"}, {}
                else:
                    outer.queries.append(query)
                    status, body, headers = pods(query)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.waits: list[float] = []
        access = Access(f"http://127.0.0.1:{self._server.server_port}", "test", ssl.create_default_context())
        self.client = KubeClient(access, timeout_s=2, sleep=self.waits.append)
        self.source = ClusterSource("prod", lambda: self.client, kinds=[BY_KIND["Pod"]], page=100)

    def close(self) -> None:
        self.client.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[dict[str, str]], Answer]], Api]]:
    opened: list[Api] = []

    def start(pods: Callable[[dict[str, str]], Answer]) -> Api:
        opened.append(Api(pods))
        return opened[-1]

    yield start
    for api in opened:
        api.close()


def page(names: list[str], token: str = "", version: str = "7") -> Answer:
    items = [{"metadata": {"name": name, "namespace": "d", "managedFields": [1]}} for name in names]
    return 200, {"metadata": {"resourceVersion": version, "continue": token}, "items": items}, {}


def status(code: int, message: str = "no", **meta: str) -> Answer:
    return code, {"kind": "Status", "code": code, "message": message, "metadata": meta}, {}


def test_a_refusal_in_the_middle_keeps_what_was_read(serve) -> None:
    api = serve(lambda query: status(403, "pods is forbidden") if "continue" in query else page(["a", "b"], "t"))
    collected = api.source.collect()
    assert [obj.name for obj in collected.objects if obj.kind == "Pod"] == ["a", "b"]
    assert collected.unread == {"Pod"}
    assert collected.complete == set()
    (note,) = collected.notes
    assert note.where == "Pod"
    assert "broke off after 2 objects" in note.reason
    assert "forbidden" in note.reason


def test_a_listing_goes_on_when_the_server_forgot_its_beginning(serve) -> None:
    def pods(query: dict[str, str]) -> Answer:
        if query.get("continue") == "t1":
            return status(410, "too old", **{"continue": "t2"})
        return page(["b", "c"], version="9") if query.get("continue") == "t2" else page(["a", "b"], "t1")

    api = serve(pods)
    collected = api.source.collect()
    assert [obj.name for obj in collected.objects if obj.kind == "Pod"] == ["a", "b", "c"]
    assert collected.notes == []
    assert api.source.versions["Pod"] == ("v1", "7"), "a watch goes on from the beginning, to miss nothing"


def test_a_listing_that_is_always_forgotten_ends(serve) -> None:
    api = serve(lambda query: status(410, "too old") if "continue" in query else page(["a"], "t1"))
    collected = api.source.collect()
    assert collected.unread == {"Pod"}
    assert len(api.queries) < 10


def test_throttling_is_waited_for_as_the_server_asks(serve) -> None:
    answers = iter([(429, {}, {"Retry-After": "3"}), (503, {}, {}), (429, {}, {"Retry-After": "9999"})])
    api = serve(lambda _query: next(answers, page(["a"])))
    assert len(api.source.collect().objects) == 2
    assert api.waits == [3.0, 2.0, 30.0]


def test_time_outs_shrink_the_page_and_then_end(serve) -> None:
    api = serve(lambda query: status(504, "timeout") if int(query["limit"]) > 25 else page(["a"]))
    collected = api.source.collect()
    assert collected.complete == {"Pod"}
    assert [query["limit"] for query in api.queries] == ["100"] * TRIES + ["25"]
    broken = serve(lambda _query: status(504, "timeout"))
    with pytest.raises(Exception, match="nothing of prod can be read"):
        broken.source.collect()
    assert len(broken.queries) <= 3 * TRIES


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"items": 3}', b"[" * 100_000, b'{"items": [null, 3, {}, {"metadata": null}]}']
)
def test_nonsense_is_told(serve, body: bytes) -> None:
    api = serve(lambda query: (200, body, {}) if "continue" in query else page(["a"], "t"))
    collected = api.source.collect()
    assert collected.objects[1].name == "a"
    assert ("Pod" in collected.complete) == body.startswith(b'{"items": [')


def test_a_watch_hands_on_and_says_when_it_is_too_late(serve) -> None:
    lines = [
        {"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "8"}}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}},
        {"type": "ERROR", "object": {"code": 410, "message": "too old"}},
    ]
    api = serve(lambda _query: (200, b"\n".join(json.dumps(line).encode() for line in lines) + b"\n", {}))
    watch = api.client.watch(BY_KIND["Pod"], "v1", "7")
    found = [next(watch), next(watch)]
    with pytest.raises(Gone):
        next(watch)
    assert [event["type"] for event in found] == ["ADDED", "BOOKMARK"]
    assert found[0]["object"]["kind"] == "Pod"
    assert api.queries[0]["allowWatchBookmarks"] == "true"
    assert api.queries[0]["resourceVersion"] == "7"
    late = serve(lambda _query: status(410))
    with pytest.raises(Gone):
        list(late.client.watch(BY_KIND["Pod"], "v1", "1"))


def test_a_cut_connection_is_told(serve) -> None:
    api = serve(lambda _query: (200, b'{"type": "ADDED"', {"Content-Length": "9000"}))
    with pytest.raises(Unavailable):
        list(api.client.watch(BY_KIND["Pod"], "v1", "7", timeout_s=1))
