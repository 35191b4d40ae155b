"""The effective view of a workload: one pod template, every container of every list, replicas folded into their owner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from seawall.posture.objects import Obj, mapping, sequence, text

KNATIVE: Final = "Service:serving.knative.dev"
TEMPLATE_PATHS: Final = {
    "Pod": "",
    "PodTemplate": "template",
    "CronJob": "spec.jobTemplate.spec.template",
    **dict.fromkeys(
        (
            "Deployment",
            "ReplicaSet",
            "DaemonSet",
            "StatefulSet",
            "Job",
            "ReplicationController",
            "DeploymentConfig",
            "Rollout",
        ),
        "spec.template",
    ),
    "Sandbox": "spec.podTemplate",
    "SandboxTemplate": "spec.podTemplate",
    "SandboxWarmPool": "spec.podTemplate",
    KNATIVE: "spec.template",
}
"""Where each kind keeps its pod template; a Pod is its own."""

CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")
_JOB_RUN: Final = re.compile(r"-\d{8,}$")


class Container:
    """One container of any list. `path` is its JSON path in the owner object.

    `is_init` says that it ends before the others start: a sidecar (restartPolicy Always) does not.
    """

    __slots__ = ("_image", "body", "index", "is_ephemeral", "is_init", "list_name", "name", "path", "sc")

    def __init__(self, body: dict[str, Any], list_name: str, index: int, path: str) -> None:
        self.body = body
        self.list_name = list_name
        self.index = index
        self.path = path
        self.name = text(body.get("name"))
        self.sc: dict[str, Any] = mapping(body.get("securityContext"))
        self.is_init = list_name == "initContainers" and body.get("restartPolicy") != "Always"
        self.is_ephemeral = list_name == "ephemeralContainers"
        self._image: Image | None = None

    @property
    def image(self) -> Image:
        if self._image is None:
            self._image = Image.parse(text(self.body.get("image")))
        return self._image

    @property
    def capabilities(self) -> dict[str, Any]:
        return mapping(self.sc.get("capabilities"))

    def added(self) -> list[str]:
        """Added capabilities in their usual form: upper case, without the prefix CAP_."""
        return [capability(item) for item in sequence(self.capabilities.get("add")) if isinstance(item, str)]

    def dropped(self) -> list[str]:
        """Dropped capabilities in their usual form."""
        return [capability(item) for item in sequence(self.capabilities.get("drop")) if isinstance(item, str)]


class Image:
    """An image as a pod names it. `registry` is `docker.io` when the name has no host."""

    __slots__ = ("digest", "raw", "registry", "repository", "tag")

    def __init__(self, raw: str, registry: str, repository: str, tag: str, digest: str) -> None:
        self.raw, self.registry, self.repository, self.tag, self.digest = raw, registry, repository, tag, digest

    @classmethod
    def parse(cls, raw: str) -> Image:
        """Split a name by the rules of the distribution reference grammar; nothing is checked."""
        name, _, digest = raw.strip().partition("@")
        head, _, rest = name.partition("/")
        has_host = bool(rest) and ("." in head or ":" in head or head == "localhost")
        registry, repository = (head, rest) if has_host else ("docker.io", name)
        stem, colon, tag = repository.rpartition(":")
        if colon and "/" not in tag:
            repository = stem
        else:
            tag = ""
        if registry in {"index.docker.io", "registry-1.docker.io"}:
            registry = "docker.io"
        if registry == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        return cls(raw, registry.lower(), repository, tag, digest)


_MAPPING: Final = (type(None), dict)


class Workload:
    """A pod template with its owner. `labels` and `annotations` are those of the pods; `pods` are the replicas that were folded into it."""

    __slots__ = (
        "annotations", "broken", "containers", "kind", "labels", "namespace", "obj", "path", "pods", "sc", "service_account", "spec",
        "template", "volumes", "windows",
    )  # fmt: skip

    def __init__(self, obj: Obj, template: dict[str, Any], path: str) -> None:
        self.obj = obj
        self.kind = obj.kind
        self.namespace = obj.in_namespace
        self.template = template
        spec = template.get("spec")
        self.spec: dict[str, Any] = mapping(spec)
        self.path = f"{path}.spec" if path else "spec"
        self.sc: dict[str, Any] = mapping(self.spec.get("securityContext"))
        self.windows = mapping(self.spec.get("os")).get("name") == "windows"
        meta = mapping(template.get("metadata"))
        self.labels: dict[str, Any] = mapping(meta.get("labels"))
        self.annotations: dict[str, Any] = mapping(meta.get("annotations"))
        self.service_account = (
            text(self.spec.get("serviceAccountName")) or text(self.spec.get("serviceAccount")) or "default"
        )
        self.volumes = [
            (index, item) for index, item in enumerate(sequence(self.spec.get("volumes"))) if isinstance(item, dict)
        ]
        self.pods: list[Obj] = []
        self.broken = "" if isinstance(spec, dict) else f"{self.path} is missing or not a mapping"
        listed = self.spec.get("volumes")
        if listed is not None and not (isinstance(listed, list) and len(listed) == len(self.volumes)):
            self.broken = f"{self.path}.volumes is not a list of mappings"
        if self.spec.get("securityContext").__class__ not in _MAPPING:
            self.broken = f"{self.path}.securityContext is not a mapping"
        self.containers: list[Container] = []
        for list_name in CONTAINER_LISTS:
            items = self.spec.get(list_name)
            if items is None:
                continue
            if not isinstance(items, list):
                self.broken = f"{self.path}.{list_name} is not a list"
                continue
            for index, item in enumerate(items):
                if isinstance(item, dict):
                    self.containers.append(Container(item, list_name, index, f"{self.path}.{list_name}[{index}]"))
                    if item.get("securityContext").__class__ not in _MAPPING:
                        self.broken = f"{self.path}.{list_name}[{index}].securityContext is not a mapping"
                else:
                    self.broken = f"{self.path}.{list_name}[{index}] is not a mapping"

    @property
    def on_windows_nodes(self) -> bool:
        """Says by `os` or by its node selector that it runs on Windows; only the first exempts it from rules for Linux."""
        selector = mapping(self.spec.get("nodeSelector"))
        return self.windows or "windows" in (selector.get("kubernetes.io/os"), selector.get("beta.kubernetes.io/os"))

    @property
    def is_job(self) -> bool:
        return self.kind in {"Job", "CronJob"}

    @property
    def is_static(self) -> bool:
        """A mirror of a static pod: run by the kubelet from a file, not by the API server."""
        return self.kind == "Pod" and (
            "kubernetes.io/config.mirror" in self.obj.annotations
            or "kubernetes.io/config.source" in self.obj.annotations
        )

    def at(self, field: str) -> str:
        """JSON path of a field of the pod spec."""
        return f"{self.path}.{field}"


def capability(name: str) -> str:
    """Return a capability in its usual form."""
    return name.strip().upper().removeprefix("CAP_")


def kind_of(obj: Obj) -> str:
    """Return the kind, with its group where that tells it from a kind of the same name: Knative's Service runs pods."""
    return KNATIVE if obj.kind == "Service" and obj.api_version.startswith("serving.knative.dev/") else obj.kind


def template_path(obj: Obj) -> str | None:
    """Return where an object keeps its pod template; None for kinds without one.

    A custom resource has one when there are containers where a Deployment has its own: OpenKruise's CloneSet and its kin.
    """
    known = TEMPLATE_PATHS.get(kind_of(obj))
    if known is not None:
        other = obj.kind == "SandboxWarmPool" or (obj.kind == "Rollout" and "argoproj" not in obj.api_version)
        return None if other else known
    if "." in obj.api_version.partition("/")[0] and sequence(mapping(obj.get("spec.template.spec")).get("containers")):
        return "spec.template"
    return None


def template_of(obj: Obj) -> tuple[dict[str, Any], str] | None:
    """Return the pod template of an object and its path; None for kinds without one."""
    path = template_path(obj)
    if path is None:
        return None
    return (mapping(obj.get(path)), path) if path else (obj.body, "")


def workloads_of(objects: Iterable[Obj]) -> list[Workload]:
    """Return one workload for each top controller; pods and replica sets under it are folded into it.

    A pod whose owner was not collected stands for that owner: its replicas are reported once, under the owner's name.
    """
    candidates: list[Obj] = [obj for obj in objects if template_path(obj) is not None]
    known = {(obj.kind, obj.namespace, obj.name): obj for obj in objects}
    found: dict[tuple[str, str, str], Workload] = {}
    order: list[Workload] = []
    folded: list[tuple[Obj, tuple[str, str, str]]] = []
    for obj in candidates:
        owner = _top_owner(obj, known)
        if owner is not None and owner != (obj.kind, obj.namespace, obj.name):
            folded.append((obj, owner))
            continue
        template = template_of(obj)
        if template is None:
            continue
        workload = Workload(obj, *template)
        found.setdefault((obj.kind, obj.namespace, obj.name), workload)
        order.append(workload)
    for obj, owner in folded:
        holder = found.get(owner)
        if holder is None:
            kind, namespace, name = owner
            real = known.get(owner)
            template = template_of(obj)
            if template is None:
                continue
            stand_in = real or Obj(
                {
                    "apiVersion": _API.get(kind, ""),
                    "kind": kind,
                    "metadata": {**obj.meta, "name": name, "namespace": namespace},
                }
            )
            holder = Workload(stand_in, template[0], TEMPLATE_PATHS.get(kind, "spec.template"))
            found[owner] = holder
            order.append(holder)
        if obj.kind == "Pod":
            holder.pods.append(obj)
    return order


_API: Final = {
    "ReplicaSet": "apps/v1", "Deployment": "apps/v1", "DaemonSet": "apps/v1", "StatefulSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "ReplicationController": "v1",
}  # fmt: skip


def _top_owner(obj: Obj, known: dict[tuple[str, str, str], Obj]) -> tuple[str, str, str] | None:
    """Return kind, namespace and name of the controller at the top of the chain; None when there is none."""
    if "ownerReferences" not in obj.meta:
        return None
    top: tuple[str, str, str] | None = None
    current: Obj | None = obj
    for _ in range(8):
        if current is None:
            break
        owner = next(
            (
                item
                for item in sequence(current.meta.get("ownerReferences"))
                if isinstance(item, dict)
                and item.get("controller") is not False
                and text(item.get("kind")) not in {"", "Node"}
            ),
            None,
        )
        if owner is None:
            break
        top = (text(owner.get("kind")), obj.namespace, text(owner.get("name")))
        following = known.get(top)
        if following is None and top[0] == "ReplicaSet":
            mark = text(mapping(obj.meta.get("labels")).get("pod-template-hash"))
            if mark and top[2].endswith(f"-{mark}"):
                top = ("Deployment", obj.namespace, top[2].removesuffix(f"-{mark}"))
                following = known.get(top)
        elif following is None and top[0] == "Job" and _JOB_RUN.search(top[2]):
            cron = ("CronJob", obj.namespace, _JOB_RUN.sub("", top[2]))
            if cron in known:
                top = cron
        current = following if following is not current else None
    return top
