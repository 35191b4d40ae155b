"""Changes live objects through kubectl: the user's own context, rights and sign-in plug-ins apply."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from seawall.domain.errors import ConfigError, Denied, NotFound, RemoteError, Unavailable
from seawall.domain.posture import Assessment, ObjectRef
from seawall.posture.remediation.patches import apply, operations

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Change:
    """An object before and after its repair."""

    ref: ObjectRef
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """What was done to an object and what takes it back, both as JSON patches."""

    ref: ObjectRef
    patch: list[dict[str, Any]]
    inverse: list[dict[str, Any]]
    context: str

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> ChangeRecord:
        """Read a line of a record."""
        value = json.loads(line)
        return cls(ObjectRef(**value["ref"]), value["patch"], value["inverse"], value["context"])


class Cluster:
    """One context of the user's kubeconfig."""

    def __init__(self, context: str = "") -> None:
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise ConfigError("kubectl is not installed", hint="install kubectl, or use `seawall posture fix --write`")
        self._kubectl = kubectl
        self.context = context or self._run("config", "current-context").strip()

    def get(self, ref: ObjectRef) -> dict[str, Any]:
        """Return a live object.

        Raises:
            NotFound: it does not exist.
        """
        body: dict[str, Any] = json.loads(self._run("get", *_name(ref), "-o", "json"))
        return body

    def patch(self, ref: ObjectRef, patch: list[dict[str, Any]], *, dry_run: bool) -> None:
        """Change an object, or ask the API server whether it would accept the change."""
        extra = ["--dry-run=server"] if dry_run else []
        self._run("patch", *_name(ref), "--type=json", "-p", json.dumps(patch), *extra)

    def _run(self, *arguments: str) -> str:
        context = ["--context", self.context] if getattr(self, "context", "") else []
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program, arguments are not run by a shell
                [self._kubectl, *context, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"kubectl {arguments[0]} took longer than {_TIMEOUT_S} s") from error
        if done.returncode == 0:
            return done.stdout
        message = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"kubectl {arguments[0]} failed"
        if "NotFound" in message or "not found" in message:
            raise NotFound(message)
        if "Forbidden" in message or "forbidden" in message:
            raise Denied(message)
        raise RemoteError(message)


def _name(ref: ObjectRef) -> list[str]:
    group = ref.api_version.partition("/")[0] if "/" in ref.api_version else ""
    kind = f"{ref.kind.lower()}.{group}" if group else ref.kind.lower()
    return [kind, ref.name, *(["-n", ref.namespace] if ref.namespace else [])]


def changes_of(items: Iterable[Assessment], cluster: Cluster) -> Iterator[Change]:
    """Yield the change of each live object that repairs its failures. Objects that a tool owns are left to that tool."""
    by_ref: dict[ObjectRef, list[Assessment]] = {}
    for item in items:
        by_ref.setdefault(item.object, []).append(item)
    for ref, found in by_ref.items():
        before = cluster.get(ref)
        if owner := _owner(before):
            raise RemoteError(
                f"{ref.kind} {ref.namespace}/{ref.name} is managed by {owner}",
                hint="change it at its source: `seawall posture fix --write` and commit",
            )
        yield Change(ref, before, apply(before, [change for item in found for change in operations(item)]))


def _owner(body: dict[str, Any]) -> str:
    meta = body.get("metadata") or {}
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    if "argocd.argoproj.io/tracking-id" in notes or "argocd.argoproj.io/instance" in labels:
        return "Argo CD"
    return "Flux" if "kustomize.toolkit.fluxcd.io/name" in labels or "helm.toolkit.fluxcd.io/name" in labels else ""
