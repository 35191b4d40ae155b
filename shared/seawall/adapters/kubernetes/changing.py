"""Changes a cluster with the caller's own rights: what a person decided in response to an incident, and nothing else."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import httpx
import msgspec

from seawall.adapters.kubernetes.client import KubeClient
from seawall.assets.rights import BY_KIND
from seawall.domain.errors import Denied, InputError, NotFound, Unavailable
from seawall.domain.responses import Request
from seawall.posture.loading import prune
from seawall.posture.objects import mapping, text

LOG_LINES: Final = 500
LOG_BYTES: Final = 256 << 10
EVENTS: Final = 200
_SELF: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_TYPES: Final = {"PATCH": "application/json-patch+json"}


class KubeChanger(KubeClient):
    """Fulfils `ports.responses.ChangeableCluster`. A change is sent once: nobody knows what became of one that broke off."""

    AGENT = "seawall-respond"
    DENIED_HINT = "`seawall respond --rbac ACTION` prints the role that it needs"

    @property
    def server(self) -> str:
        """See the port."""
        return self.access.server

    def whoami(self) -> str:
        """See the port."""
        return self._name

    @cached_property
    def _name(self) -> str:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self._write("POST", _SELF, review, {})
        except (NotFound, Denied):  # servers before 1.28 do not serve it
            return f"context {self.access.name}"
        return text(mapping(mapping(mapping(answer).get("status")).get("userInfo")).get("username"))

    def find(self, kind: str, namespace: str, name: str) -> tuple[str, dict[str, Any]]:
        """See the port."""
        known = BY_KIND[kind]
        path = known.path(known.versions[0], namespace if known.namespaced else "", name)
        return path, prune({**mapping(self.get(path)), "kind": kind})

    def list(self, kind: str, namespace: str) -> list[dict[str, Any]]:
        """See the port."""
        known, found, token = BY_KIND[kind], [], ""
        while True:
            page = self.page(known, known.versions[0], namespace=namespace, token=token)
            found += page.items
            token = page.next
            if not token:
                return found

    def events(self, namespace: str, uid: str) -> Any:
        """See the port."""
        parameters = {"fieldSelector": f"involvedObject.uid={uid}", "limit": str(EVENTS)}
        return [
            prune(item) for item in mapping(self.get(f"/api/v1/namespaces/{namespace}/events", parameters))["items"]
        ]

    def log(self, pod_path: str, container: str) -> str:
        """See the port."""
        parameters = {"container": container, "tailLines": str(LOG_LINES), "limitBytes": str(LOG_BYTES)}
        # Once: the node of a pod that has to go may not answer, and each try is a long wait.
        return self._once(f"{pod_path}/log", parameters, "*/*").decode(errors="replace")

    def send(self, request: Request, *, dry_run: bool) -> None:
        """See the port."""
        body, parameters = request.body, {"fieldManager": "seawall-respond"}
        if request.method == "DELETE":
            # A server that gets DeleteOptions looks at no parameter, `dryRun` among them.
            body, parameters = {"apiVersion": "v1", "kind": "DeleteOptions", **(body or {})}, {}
            if dry_run:
                body["dryRun"] = ["All"]
        elif dry_run:
            parameters["dryRun"] = "All"
        self._write(request.method, request.path, body, parameters)

    def _write(self, method: str, path: str, body: Any, parameters: dict[str, str]) -> Any:
        headers = {**self._headers("application/json"), "Content-Type": _TYPES.get(method, "application/json")}
        content = msgspec.json.encode(body)
        try:
            answer = self._client.request(
                method, path, params=parameters, content=content, headers=headers, extensions=self._extensions
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.access.server}{path}: {type(error).__name__} {error}"[:300]) from error
        if answer.is_success:
            return msgspec.json.decode(answer.content)
        said = self._error(answer, path)
        if answer.status_code in (409, 422):
            raise InputError(str(said), hint="it has changed meanwhile: look at it again") from said
        raise said
