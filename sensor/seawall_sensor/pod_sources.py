"""Where the node's pods are learnt from: a watch of the API server that is scoped to this node, or the kubelet.

A source fills a `PodDirectory` in a thread. What goes wrong is logged once and tried again with back-off; the sensor works on,
its events are marked incomplete.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import ssl
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from seawall.domain.errors import ConfigError

from seawall_sensor.pods import PodDirectory, controller_of, parse_pod

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_LINE_BYTES = 4 << 20
"""One object of a watch: etcd takes 1.5 MB."""
MAX_BODY_BYTES = 64 << 20
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_OWNERS = {"ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}", "Job": "/apis/batch/v1/namespaces/{}/jobs/{}"}
_HASH = "pod-template-hash"


class PodSource(ABC):
    """Fills a directory in a thread. `token_file` is read anew for every connection: it is exchanged while we run."""

    def __init__(
        self,
        url: str,
        directory: PodDirectory,
        *,
        node: str = "",
        token_file: Path | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        timeout_s: float = 30.0,
    ) -> None:
        """Raises:
        ConfigError: not an address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not an address", hint="https://host:port")
        self._parts, self.directory, self._node = parts, directory, node
        self._token_file, self._ca_file, self._verify, self._timeout_s = token_file, ca_file, verify, timeout_s
        self._stopping = threading.Event()
        self._wrong = ""
        self._known: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        """Owner of an owner, by (kind, namespace, name)."""
        self.failures = 0
        self._thread = threading.Thread(target=self._work, name="pods", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; a connection that waits is left to the process's end."""
        self._stopping.set()

    def _work(self) -> None:
        wait_s = 0.5
        while not self._stopping.is_set():
            try:
                self._follow()
                wait_s, self._wrong = 0.5, ""
            except Exception as error:  # noqa: BLE001 - whatever the server or the network does, the thread lives
                self.failures += 1
                reason = f"{type(error).__name__}: {error}"[:300]
                if reason != self._wrong:
                    log.warning("pods of this node are not known: %s", reason)
                self._wrong = reason
                self._stopping.wait(random.uniform(0, wait_s))  # noqa: S311
                wait_s = min(wait_s * 2, 30.0)

    @abstractmethod
    def _follow(self) -> None:
        """One round: until the server ends it."""

    @contextmanager
    def _get(
        self, path: str, *, accept: str = "application/json", timeout_s: float = 0
    ) -> Iterator[http.client.HTTPResponse]:
        parts = self._parts
        host, port, limit = parts.hostname or "", parts.port, timeout_s or self._timeout_s
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
            if not self._verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(host, port or 443, timeout=limit, context=context)
        else:
            connection = http.client.HTTPConnection(host, port or 80, timeout=limit)
        headers = {"accept": accept, "user-agent": "seawall-sensor"}
        if self._token_file is not None:
            headers["authorization"] = f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"
        try:
            connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                text = response.read(2000).decode("utf-8", "replace")
                raise _Answer(response.status, f"GET {path.partition('?')[0]} answered {response.status}: {text[:200]}")
            yield response
            response.close()
        finally:
            connection.close()

    def _json(self, path: str, *, accept: str = "application/json") -> dict[str, Any]:
        with self._get(path, accept=accept) as response:
            body = response.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"{path.partition('?')[0]} answered more than {MAX_BODY_BYTES} bytes")
        found = json.loads(body)
        if not isinstance(found, dict):
            raise TypeError(f"{path.partition('?')[0]} did not answer with an object")
        return found

    def _owner(self, item: dict[str, Any]) -> str:
        """Return the workload as far as the pod itself says it."""
        meta = item.get("metadata") or {}
        kind, name = controller_of(meta)
        mark = (meta.get("labels") or {}).get(_HASH, "")
        if kind == "ReplicaSet" and mark and name.endswith(f"-{mark}"):
            return f"Deployment/{name.removesuffix(f'-{mark}')}"
        # A static pod is "owned" by its node.
        return f"{kind}/{name}" if kind and kind != "Node" else ""

    def _take(self, item: dict[str, Any]) -> str:
        pod = parse_pod(item)
        if pod is None:
            return ""
        pod.owner = self._owner(item)
        self.directory.put(pod)
        return pod.uid


class _Answer(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ApiPods(PodSource):
    """The API server: a list and a watch of this node's pods; owners of owners are asked for once."""

    _version = ""

    def _follow(self) -> None:
        if not self._version:
            self._list()
        try:
            for event in self._watch():
                self._apply(event)
        except _Answer as answer:
            if answer.status == 410:
                self._version = ""
            raise

    def _list(self) -> None:
        uids, token = set(), ""
        while True:
            more = f"&continue={quote(token)}" if token else ""
            page = self._json(f"/api/v1/pods?fieldSelector={self._selector()}&limit=500{more}")
            uids |= {self._take(item) for item in page.get("items") or []}
            meta = page.get("metadata") or {}
            token = str(meta.get("continue", ""))
            if not token:
                break
        self.directory.only(uids)
        self._version = str(meta.get("resourceVersion", ""))

    def _selector(self) -> str:
        return quote(f"spec.nodeName={self._node}", safe="")

    def _watch(self) -> Iterator[dict[str, Any]]:
        # The server ends a watch after `timeoutSeconds`; a connection that says nothing for longer is dead.
        path = (
            f"/api/v1/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=240"
            f"&fieldSelector={self._selector()}&resourceVersion={quote(self._version)}"
        )
        with self._get(path, timeout_s=300) as response:
            while not self._stopping.is_set():
                line = response.readline(MAX_LINE_BYTES + 1)
                if not line:
                    return
                if len(line) > MAX_LINE_BYTES:
                    self._version = ""
                    raise ValueError("an object of the watch is too large")
                yield json.loads(line)

    def _apply(self, event: dict[str, Any]) -> None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            self._version = ""  # 410 Gone: what we had is too old; list again
            raise _Answer(int(item.get("code") or 0), f"the watch ended: {item.get('message', '')}"[:200])
        version = str((item.get("metadata") or {}).get("resourceVersion", ""))
        if kind == "DELETED":
            self.directory.gone(str((item.get("metadata") or {}).get("uid", "")))
        elif kind in ("ADDED", "MODIFIED"):
            self._take(item)
        self._version = version or self._version

    def _owner(self, item: dict[str, Any]) -> str:
        meta = item.get("metadata") or {}
        kind, name = controller_of(meta)
        path = _OWNERS.get(kind)
        if path is None:
            return super()._owner(item)
        key = (kind, str(meta.get("namespace", "")), name)
        if key not in self._known:
            try:
                above = self._json(path.format(quote(key[1]), quote(name)), accept=_METADATA)
                upper, upper_name = controller_of(above.get("metadata") or {})
                self._known[key] = f"{upper}/{upper_name}" if upper else f"{kind}/{name}"
            except (_Answer, OSError, ValueError, TypeError, http.client.HTTPException):
                return super()._owner(item)  # not allowed or gone already: what the pod says itself
            if len(self._known) > 4096:
                self._known.popitem(last=False)
        return self._known[key]


class KubeletPods(PodSource):
    """The kubelet's own list (`/pods`, TLS on 10250), asked every few seconds: for nodes that may not ask the API server."""

    interval_s = 3.0

    def _follow(self) -> None:
        page = self._json("/pods")
        self.directory.only({self._take(item) for item in page.get("items") or []})
        self._stopping.wait(self.interval_s)


def kubelet_url(kubelet: str) -> str:
    """Return where a kubelet listens: a URL as it is, an address (as Kubernetes gives a pod its node's, IPv6 bare) on port 10250."""
    if "://" in kubelet:
        return kubelet
    return f"https://[{kubelet.strip('[]')}]:10250" if ":" in kubelet else f"https://{kubelet}:10250"


def in_cluster(directory: PodDirectory, node: str, host: str, port: str) -> ApiPods | None:
    """Return the source that a pod's service account gives; None outside a cluster."""
    token = SERVICE_ACCOUNT / "token"
    if not host or not token.is_file():
        return None
    name = f"[{host}]" if ":" in host else host
    return ApiPods(
        f"https://{name}:{port or 443}", directory, node=node, token_file=token, ca_file=SERVICE_ACCOUNT / "ca.crt"
    )
