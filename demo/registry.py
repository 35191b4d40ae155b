"""The demo's container registry: enough of the OCI distribution-spec 1.1 to pull the image and to attach its attestation.

In memory, on the loopback address, filled from an OCI layout. Tests use Debian's real `docker-registry` instead; the demo
must run where nothing but Python is installed.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"


class DemoRegistry:
    """Serves `layout` as `repository:tag`; use as a context manager. `host` is `127.0.0.1:<port>`."""

    def __init__(self, layout: Path, repository: str, tag: str) -> None:
        self.repository = repository
        self.blobs = {f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}
        entry = json.loads((layout / "index.json").read_text())["manifests"][0]
        self.digest: str = entry["digest"]
        self.media_type: str = entry["mediaType"]
        self.manifests = {
            self.digest: (self.media_type, self.blobs[self.digest]),
            tag: (self.media_type, self.blobs[self.digest]),
        }
        self.uploads: dict[str, bytearray] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> DemoRegistry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def referrers(self, digest: str) -> list[dict[str, object]]:
        """Descriptors of the manifests whose subject is `digest`."""
        found = []
        for name, (media_type, raw) in self.manifests.items():
            manifest = json.loads(raw)
            if name.startswith("sha256:") and (manifest.get("subject") or {}).get("digest") == digest:
                kind = manifest.get("artifactType") or manifest["config"]["mediaType"]
                found.append({"mediaType": media_type, "digest": name, "size": len(raw), "artifactType": kind})
        return found


def _handler(registry: DemoRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/v2/":
                return self.reply(200, b"{}")
            if match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
                if found := registry.manifests.get(match[2]):
                    digest = "sha256:" + hashlib.sha256(found[1]).hexdigest()
                    return self.reply(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)
            elif match := re.fullmatch(r"/v2/(.+)/blobs/([^/]+)", path):
                if (blob := registry.blobs.get(match[2])) is not None:
                    return self.reply(
                        200, blob, Content_Type="application/octet-stream", Docker_Content_Digest=match[2]
                    )
            elif match := re.fullmatch(r"/v2/(.+)/referrers/([^/]+)", path):
                index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": registry.referrers(match[2])}
                return self.reply(200, json.dumps(index).encode(), Content_Type=INDEX)
            return self.reply(404, b'{"errors":[{"code":"NOT_FOUND"}]}', Content_Type="application/json")

        do_HEAD = do_GET

        def do_POST(self) -> None:
            if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/", urlsplit(self.path).path):
                upload = uuid.uuid4().hex
                registry.uploads[upload] = bytearray(self.body())
                return self.reply(202, Location=f"/v2/{match[1]}/blobs/uploads/{upload}", Range="0-0")
            return self.reply(404)

        def do_PATCH(self) -> None:
            upload = self.path.rsplit("/", 1)[-1]
            registry.uploads[upload] += self.body()
            self.reply(202, Location=self.path, Range=f"0-{len(registry.uploads[upload])}")

        def do_PUT(self) -> None:
            path = urlsplit(self.path)
            if match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path.path):
                raw = self.body()
                digest = "sha256:" + hashlib.sha256(raw).hexdigest()
                stored = (self.headers.get("Content-Type") or INDEX, raw)
                registry.manifests[digest] = registry.manifests[match[2]] = stored
                subject = (json.loads(raw).get("subject") or {}).get("digest", "")
                return self.reply(201, Docker_Content_Digest=digest, **({"OCI_Subject": subject} if subject else {}))
            upload = path.path.rsplit("/", 1)[-1]
            raw = bytes(registry.uploads.pop(upload, b"")) + self.body()
            digest = "sha256:" + hashlib.sha256(raw).hexdigest()
            if parse_qs(path.query).get("digest") != [digest]:
                return self.reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
            registry.blobs[digest] = raw
            return self.reply(201, Docker_Content_Digest=digest)

        def do_DELETE(self) -> None:
            registry.manifests.pop(self.path.rsplit("/", 1)[-1], None)
            self.reply(202)

    return Handler
