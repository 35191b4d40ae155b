"""As much of Google Cloud Storage's JSON API as the real client needs for small objects; `STORAGE_EMULATOR_HOST` leads to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.tls import Answer, Request, http_service

BUCKET = "seawall"


@dataclass
class GoogleStorage:
    """A running double with one bucket; `refuse` is the status that every call gets, 0 for none."""

    url: str = ""
    objects: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Generation and content by name."""
    refuse: int = 0

    def answer(self, request: Request) -> Answer:
        """See `tests.support.tls.Answers`."""
        if self.refuse:
            return _error(self.refuse)
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        if request.method == "POST" and parts.path == f"/upload/storage/v1/b/{BUCKET}/o":
            return self._upload(request, query)
        found = re.fullmatch(rf"(?:/download)?/storage/v1/b/{BUCKET}/o/([^/]+)", parts.path)
        name = unquote(found[1]) if found else ""
        if request.method != "GET" or name not in self.objects:
            return _error(404)
        generation, content = self.objects[name]
        if query.get("alt") == ["media"]:
            return 200, {"Content-Type": "application/octet-stream", "X-Goog-Generation": str(generation)}, content
        return _json(self._metadata(name))

    def _upload(self, request: Request, query: dict[str, list[str]]) -> Answer:
        assert query["uploadType"] == ["multipart"]
        mime = message_from_bytes(f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + request.body)
        described, media = (part.get_payload(decode=True) for part in mime.get_payload())  # type: ignore[union-attr,misc]
        name = json.loads(described)["name"]
        self.objects[name] = (self.objects.get(name, (0, b""))[0] + 1, media)
        return _json(self._metadata(name))

    def _metadata(self, name: str) -> dict[str, Any]:
        generation, content = self.objects[name]
        return {"kind": "storage#object", "bucket": BUCKET, "name": name, "generation": str(generation), "size": str(len(content))}  # fmt: skip


def _json(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _error(status: int) -> Answer:
    return _json({"error": {"code": status, "message": "no", "errors": []}}, status)


@contextmanager
def google_storage() -> Iterator[GoogleStorage]:
    """Yield the double."""
    double = GoogleStorage()
    with http_service(double.answer) as service:
        double.url = f"http://127.0.0.1:{service.port}"
        yield double
