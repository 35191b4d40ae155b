"""The registry port over HTTP.

Source: OCI distribution-spec 1.1, "Pull", "Push", "Content Discovery", "Referrers".
"""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote, urljoin, urlsplit

import httpx

from seawall.adapters.registry.credentials import CredentialSource
from seawall.adapters.registry.transport import ATTEMPTS, MAX_ANSWER_BYTES, HostSettings, Transport
from seawall.domain.errors import InputError, NotFound, SeawallError, Unavailable
from seawall.domain.images import ImageReference
from seawall.oci.digests import check_digest, digest_of, verified
from seawall.oci.manifests import ACCEPT, OCI_INDEX
from seawall.oci.references import DOCKER_HUB, is_digest

MAX_PAGES = 10_000
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class HttpRegistry:
    """Every registry that a reference can name, one `Transport` per host (a `seawall.ports.registry.Registry`)."""

    def __init__(
        self,
        credentials: CredentialSource,
        hosts: Mapping[str, HostSettings] | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = credentials
        self._hosts = dict(hosts or {})
        self._sleep = sleep
        self._transports: dict[str, Transport] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            transport.close()

    def _to(self, registry: str) -> Transport:
        host = DOCKER_HUB if registry == "docker.io" else registry
        with self._lock:
            if host not in self._transports:
                settings = self._hosts.get(registry) or self._hosts.get(host) or HostSettings()
                self._transports[host] = Transport(host, settings, self._credentials, sleep=self._sleep)
            return self._transports[host]

    def manifest(self, reference: ImageReference) -> tuple[str, str, bytes]:
        """Return (media type, digest, bytes); see the port."""
        with self._to(reference.registry).send(
            "GET",
            f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag or 'latest'}",
            scope=_pull(reference),
            headers={"Accept": ACCEPT},
            what=f"manifest of {reference}",
            budget=True,
        ) as answer:
            content = _bounded(answer, str(reference))
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if reference.digest:
            check_digest(content, reference.digest)
            return media_type, reference.digest, content
        return media_type, digest_of(content), content

    def blob(self, reference: ImageReference, digest: str) -> Iterator[bytes]:
        """Yield the blob's bytes, resumed where a connection broke, checked at the end; see the port."""
        if not is_digest(digest):
            raise InputError(f"{digest!r} is not a digest", where="digest")
        return verified(self._download(reference, digest), digest)

    def _download(self, reference: ImageReference, digest: str) -> Iterator[bytes]:
        transport = self._to(reference.registry)
        done = 0
        failures = 0
        while True:
            headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
            before = done
            try:
                with transport.send(
                    "GET",
                    f"/v2/{reference.repository}/blobs/{digest}",
                    scope=_pull(reference),
                    headers=headers,
                    expect=(200, 206) if done else (200,),
                    what=f"layer {digest} of {reference}",
                ) as answer:
                    skip = (
                        done if answer.status_code == 200 else 0
                    )  # the server has no ranges: read up to where we were
                    for chunk in answer.iter_raw():
                        if skip:
                            skipped = min(skip, len(chunk))
                            skip -= skipped
                            chunk = chunk[skipped:]
                        if chunk:
                            done += len(chunk)
                            yield chunk
                return
            except httpx.TransportError as error:
                failures = failures + 1 if done == before else 1
                if failures >= ATTEMPTS:
                    raise Unavailable(f"{transport.host}: download of {digest} broke off at byte {done}") from error
                self._sleep(0.25 * 2**failures)

    def push_blob(self, reference: ImageReference, content: bytes) -> str:
        """Upload `content` unless the registry has it, and return its digest."""
        digest = digest_of(content)
        transport, scope = self._to(reference.registry), _push(reference)
        base = f"/v2/{reference.repository}/blobs"
        try:
            with transport.send("HEAD", f"{base}/{digest}", scope=scope):
                return digest
        except NotFound:
            pass
        with transport.send(
            "POST", f"{base}/uploads/", scope=scope, expect=(202, 201), what=f"upload to {reference.repository}"
        ) as answer:
            location = urljoin(transport.base + f"{base}/uploads/", answer.headers.get("Location", ""))
        separator = "&" if urlsplit(location).query else "?"
        with transport.send(
            "PUT",
            f"{location}{separator}digest={quote(digest)}",
            scope=scope,
            headers={"Content-Type": "application/octet-stream"},
            content=content,
            expect=(201, 202, 204),
            what=f"upload to {reference.repository}",
        ):
            return digest

    def push_manifest(
        self, reference: ImageReference, content: bytes, media_type: str, *, replaces: Sequence[str] = ()
    ) -> str:
        """Upload a manifest; see the port. A referrer is also entered in the fallback tag where the registry has no API."""
        digest = digest_of(content)
        transport, scope = self._to(reference.registry), _push(reference)
        with transport.send(
            "PUT",
            f"/v2/{reference.repository}/manifests/{reference.tag or digest}",
            scope=scope,
            headers={"Content-Type": media_type},
            content=content,
            expect=(201, 200, 202),
            what=f"manifest to {reference}",
        ) as answer:
            indexed = "OCI-Subject" in answer.headers
        subject = _subject(content)
        if subject and not indexed:
            entry = _descriptor(content, media_type, digest)
            self._edit_fallback(dataclasses.replace(reference, tag="", digest=subject), add=entry, drop=replaces)
        for old in replaces:
            if old != digest:
                self._delete(dataclasses.replace(reference, tag="", digest=old))
        return digest

    def _delete(self, reference: ImageReference) -> None:
        """Delete a superseded manifest; a registry that forbids deletion keeps it, unlisted where the fallback tag lists."""
        try:
            with self._to(reference.registry).send(
                "DELETE",
                f"/v2/{reference.repository}/manifests/{reference.digest}",
                scope=f"repository:{reference.repository}:delete,pull,push",
                expect=(202, 200, 204, 404, 405, 400, 401, 403),
            ):
                return
        except SeawallError:
            return

    def referrers(self, reference: ImageReference, artifact_type: str = "") -> list[dict[str, object]]:
        """Return descriptors of what refers to `reference.digest`; see the port."""
        if not is_digest(reference.digest):
            raise InputError(f"{reference} has no digest to look for referrers of", where="digest")
        params = {"artifactType": artifact_type} if artifact_type else None
        try:
            with self._to(reference.registry).send(
                "GET",
                f"/v2/{reference.repository}/referrers/{reference.digest}",
                scope=_pull(reference),
                params=params,
                headers={"Accept": OCI_INDEX},
                what=f"referrers of {reference}",
            ) as answer:
                entries = _entries(_bounded(answer, "referrers"))
        except (NotFound, InputError):
            entries = self._fallback(reference)
        return [item for item in entries if not artifact_type or item.get("artifactType") == artifact_type]

    def _fallback(self, reference: ImageReference) -> list[dict[str, object]]:
        tagged = dataclasses.replace(reference, tag=reference.digest.replace(":", "-", 1), digest="")
        try:
            _, _, content = self.manifest(tagged)
        except NotFound:
            return []
        return _entries(content)

    def _edit_fallback(self, subject: ImageReference, add: dict[str, object], drop: Sequence[str]) -> None:
        kept = [
            item
            for item in self._fallback(subject)
            if item.get("digest") not in drop and item.get("digest") != add["digest"]
        ]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*kept, add]}
        tagged = dataclasses.replace(subject, tag=subject.digest.replace(":", "-", 1), digest="")
        self.push_manifest(tagged, json.dumps(document, separators=(",", ":")).encode(), OCI_INDEX)

    def repositories(self, registry: str) -> Iterator[str]:
        """Yield the names of all repositories of a registry that lists them."""
        for page in self._pages(registry, "/v2/_catalog?n=1000", "registry:catalog:*", f"repositories of {registry}"):
            names = page.get("repositories")
            yield from (name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    def tags(self, reference: ImageReference) -> Iterator[str]:
        """Yield the tags of a repository."""
        path = f"/v2/{reference.repository}/tags/list?n=1000"
        for page in self._pages(reference.registry, path, _pull(reference), f"tags of {reference.repository}"):
            names = page.get("tags")
            yield from (name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    def resolve(self, reference: ImageReference) -> tuple[str, str]:
        """Return (media type, digest) that a tag stands for, without its content where the registry says it in headers."""
        with self._to(reference.registry).send(
            "HEAD",
            f"/v2/{reference.repository}/manifests/{reference.digest or reference.tag}",
            scope=_pull(reference),
            headers={"Accept": ACCEPT},
            what=f"manifest of {reference}",
        ) as answer:
            digest = answer.headers.get("Docker-Content-Digest", "")
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if is_digest(digest):
            return media_type, digest
        media_type, digest, _ = self.manifest(reference)
        return media_type, digest

    def _pages(self, registry: str, path: str, scope: str, what: str) -> Iterator[dict[str, object]]:
        transport = self._to(registry)
        for _ in range(MAX_PAGES):
            with transport.send("GET", path, scope=scope, what=what) as answer:
                content = _bounded(answer, what)
                match = _NEXT.search(answer.headers.get("Link", ""))
            try:
                page = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{registry}: {what}: not JSON") from error
            if isinstance(page, dict):
                yield page
            if match is None:
                return
            following = urlsplit(urljoin(transport.base + path, match.group(1)))
            path = f"{following.path}?{following.query}"  # never another host: our token would go along


def _pull(reference: ImageReference) -> str:
    return f"repository:{reference.repository}:pull"


def _push(reference: ImageReference) -> str:
    return f"repository:{reference.repository}:pull,push"


def _bounded(answer: httpx.Response, what: str) -> bytes:
    content = bytearray()
    try:
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise InputError(f"{what}: answer is over {MAX_ANSWER_BYTES} bytes")
    except httpx.TransportError as error:
        raise Unavailable(f"{what}: the answer broke off") from error
    return bytes(content)


def _subject(content: bytes) -> str:
    document = json.loads(content)
    subject = document.get("subject") if isinstance(document, dict) else None
    digest = subject.get("digest") if isinstance(subject, dict) else None
    return digest if isinstance(digest, str) else ""


def _descriptor(content: bytes, media_type: str, digest: str) -> dict[str, object]:
    document = json.loads(content)
    entry: dict[str, object] = {"mediaType": media_type, "digest": digest, "size": len(content)}
    config = document.get("config")
    artifact_type = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    if artifact_type:
        entry["artifactType"] = artifact_type
    if document.get("annotations"):
        entry["annotations"] = document["annotations"]
    return entry


def _entries(content: bytes) -> list[dict[str, object]]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError("referrers index is not JSON") from error
    entries = document.get("manifests") if isinstance(document, dict) else None
    return [item for item in entries if isinstance(item, dict)] if isinstance(entries, list) else []
