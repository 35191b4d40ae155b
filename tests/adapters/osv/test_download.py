"""Downloads from a real HTTP server on this machine: conditional, limited, patient."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from seawall.adapters.osv.download import ECOSYSTEMS, Downloader, default_urls
from seawall.domain.errors import Denied, InputError, NotFound, TooLarge, Unavailable


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path == "/etag":
            if self.headers.get("If-None-Match") == '"1"':
                self.send_response(304)
                self.end_headers()
                return
            self._send(200, b"content", {"ETag": '"1"'})
        elif self.path == "/flaky":
            first = sum(path == "/flaky" for path, _ in self.server.seen) < 3
            self._send(503 if first else 200, b"at last", {"Retry-After": "0"})
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
        elif self.path == "/large":
            self._send(200, b"x" * 2000, {})
        else:
            self._send(int(self.path[1:]), b"", {})

    def _send(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen = []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{made.server_port}"
    yield made
    made.shutdown()
    made.server_close()
    thread.join(5)


@pytest.fixture
def downloader(tmp_path):
    made = Downloader(tmp_path / "cache", max_bytes=1000, pause_s=0.01)
    yield made
    made.close()


def test_an_unchanged_source_is_not_sent_again(server, downloader):
    path, new = downloader.fetch(f"{server.url}/etag")
    assert (path.read_bytes(), new) == (b"content", True)
    again, new = downloader.fetch(f"{server.url}/etag")
    assert (again, new, again.read_bytes()) == (path, False, b"content")
    assert server.seen[1][1]["if-none-match"] == '"1"'


def test_a_busy_server_is_asked_again(server, downloader):
    path, _ = downloader.fetch(f"{server.url}/flaky")
    assert path.read_bytes() == b"at last"
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/404", NotFound), ("/403", Denied), ("/401", Denied), ("/418", InputError), ("/500", Unavailable),
        ("/cut", Unavailable), ("/large", TooLarge),
    ],
)  # fmt: skip
def test_failures_are_ours_and_leave_no_file(server, downloader, tmp_path, path, error):
    with pytest.raises(error):
        downloader.fetch(f"{server.url}{path}")
    assert not list((tmp_path / "cache").glob("*.bin"))


def test_a_server_that_is_not_there(downloader):
    with pytest.raises(Unavailable, match="cannot be reached"):
        downloader.fetch("http://127.0.0.1:9/x")


def test_a_mirror_has_the_default_sources_under_the_same_names():
    assert len(default_urls()) == len(ECOSYSTEMS) + 2
    mirrored = default_urls("https://mirror.example/osv/")
    assert "https://mirror.example/osv/Debian/all.zip" in mirrored
    assert "https://mirror.example/osv/Red%20Hat/all.zip" in mirrored
    assert "https://mirror.example/osv/known_exploited_vulnerabilities.json" in mirrored


def test_what_was_fetched_is_there_when_the_server_is_not(server, downloader):
    url = f"{server.url}/etag"
    assert downloader.cached(url) is None
    path, _ = downloader.fetch(url)
    assert downloader.cached(url) == path
