"""The pod that a request would make, wherever the specification sits: pods, templates of workloads, patches, ephemeral
containers. Bodies come from outside: every field may have any type, and a field of a wrong type reads as absent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar

from seawall.domain.audit_events import AuditEvent

MAX_CONTAINERS = 200
MAX_PATCH_OPERATIONS = 1000

_TEMPLATE = ("spec", "template")
SPEC_PATHS: dict[str, tuple[str, ...]] = {
    "pods": (),
    "deployments": _TEMPLATE,
    "daemonsets": _TEMPLATE,
    "statefulsets": _TEMPLATE,
    "replicasets": _TEMPLATE,
    "replicationcontrollers": _TEMPLATE,
    "jobs": _TEMPLATE,
    "cronjobs": ("spec", "jobTemplate", "spec", "template"),
    "podtemplates": ("template",),
    "deploymentconfigs": _TEMPLATE,
    "rollouts": _TEMPLATE,
    "clonesets": _TEMPLATE,
    "configurations": _TEMPLATE,
}
"""Where each resource keeps its pod template (core/v1, apps/v1, batch/v1; OpenShift, Argo Rollouts, OpenKruise, Knative)."""
WORKLOADS = tuple(SPEC_PATHS)
BODIES = ("request bodies of pods and workloads",)
"""What analytics over pods and workloads need: `Detection.needs`."""
POD_CHANGES = (*WORKLOADS, "pods/ephemeralcontainers")
"""Resources whose writes can bring a pod specification."""
WRITES = ("create", "update", "patch")

_HASH_SUFFIX = re.compile(r"-[a-z0-9]{5,10}$")
_TIME_SUFFIX = re.compile(r"-\d{8,12}$")


def mapping(value: Any) -> dict[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return `value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return `value` if it is a text, else empty."""
    return value if isinstance(value, str) else ""


def texts(value: Any) -> list[str]:
    """Return the texts of an array."""
    return [item for item in items(value) if isinstance(item, str)]


def at(value: Any, *path: str) -> Any:
    """Return what lies at `path` in nested objects, or None."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


View = TypeVar("View")


def once(make: Callable[[AuditEvent], View]) -> Callable[[AuditEvent], View]:
    """Work out what `make` takes from an event only once, however many analytics ask. Nobody may change what it returns."""

    @wraps(make)
    def view(event: AuditEvent) -> View:
        views: dict[Any, View] | None = event.views_cache
        if views is None:
            views = event.views_cache = {}
        elif make in views:
            return views[make]
        found = views[make] = make(event)
        return found

    return view


@once
def written(event: AuditEvent) -> dict[str, Any]:
    """Return the object that the request wrote: its body (a JSON patch as the partial object it makes), else the answer.

    A patch gives the part that changed only, so that touching an old object does not repeat what it always was. Where
    the log keeps answers alone, the whole object stands for what was written.
    """
    body = event.request_body
    if isinstance(body, list):
        return from_json_patch(body)
    if isinstance(body, dict) and body.get("kind") not in ("DeleteOptions", "Status"):
        return body
    if event.verb in WRITES and body is None:
        answer = event.response_body
        if isinstance(answer, dict) and answer.get("kind") != "Status":
            return answer
    return {}


def from_json_patch(operations: list[Any]) -> dict[str, Any]:
    """Return the partial object that the `add` and `replace` operations of an RFC 6902 patch make."""
    root: dict[str, Any] = {}
    for operation in operations[:MAX_PATCH_OPERATIONS]:
        if not isinstance(operation, dict) or operation.get("op") not in ("add", "replace"):
            continue
        path = operation.get("path")
        if isinstance(path, str) and path.count("/") < 30:
            steps = [step.replace("~1", "/").replace("~0", "~") for step in path.strip("/").split("/")]
            if steps == [""]:
                root.update(mapping(operation.get("value")))
            else:
                _put(root, steps, operation.get("value"))
    return root


def _put(root: dict[str, Any], steps: list[str], value: Any) -> None:
    node: Any = root
    for step, following in zip(steps, [*steps[1:], ""], strict=True):
        last = not following and step is steps[-1]
        if isinstance(node, list):
            index = len(node) if step == "-" or not step.isdecimal() or int(step) >= len(node) else int(step)
            if index == len(node):
                node.append(None)
            if last:
                node[index] = value
                return
            if not isinstance(node[index], dict | list):
                node[index] = [] if _is_index(following) else {}
            node = node[index]
        else:
            if last:
                node[step] = value
                return
            if not isinstance(node.get(step), dict | list):
                node[step] = [] if _is_index(following) else {}
            node = node[step]


def _is_index(step: str) -> bool:
    return step == "-" or step.isdecimal()


@dataclass(frozen=True, slots=True)
class HostPath:
    """A folder or file of the node in the pod. `writable` unless every mount of it says readOnly."""

    path: str
    writable: bool


class Container:
    """One container of a pod; `kind` is container, init or ephemeral."""

    def __init__(self, raw: dict[str, Any], kind: str) -> None:
        self.raw = raw
        self.kind = kind
        self.name = text(raw.get("name"))
        self.image = text(raw.get("image"))
        self.security = mapping(raw.get("securityContext"))

    @property
    def privileged(self) -> bool:
        """Full access to the node."""
        return self.security.get("privileged") is True

    @property
    def added_capabilities(self) -> list[str]:
        """Capabilities added, upper case, without `CAP_`."""
        return [name.upper().removeprefix("CAP_") for name in texts(at(self.security, "capabilities", "add"))]

    @property
    def command_line(self) -> str:
        """Command and arguments joined by spaces."""
        return " ".join([*texts(self.raw.get("command")), *texts(self.raw.get("args"))])


class PodView:
    """The pod of a request. `partial` when the request carried only the part that changed."""

    def __init__(self, event: AuditEvent, template: dict[str, Any], resource: str, *, partial: bool) -> None:
        self.resource = resource
        self.partial = partial
        self.spec = mapping(template.get("spec"))
        self.metadata = mapping(template.get("metadata"))
        self.namespace = event.namespace or text(self.metadata.get("namespace"))
        self.name = event.name
        # Not the event itself: it keeps this view, and two that know each other wait for the garbage collector.
        self._has_user = event.user is not None

    @cached_property
    def containers(self) -> list[Container]:
        """All containers, init and ephemeral ones included."""
        found = []
        for key, kind in (
            ("containers", "container"),
            ("initContainers", "init"),
            ("ephemeralContainers", "ephemeral"),
        ):
            found += [
                Container(raw, kind) for raw in items(self.spec.get(key))[:MAX_CONTAINERS] if isinstance(raw, dict)
            ]
        return found

    @cached_property
    def host_paths(self) -> list[HostPath]:
        """Folders of the node that the pod mounts."""
        found = []
        for volume in items(self.spec.get("volumes")):
            path = text(at(volume, "hostPath", "path"))
            if path:
                found.append(HostPath(normal_path(path), self._writable(text(mapping(volume).get("name")))))
        return found

    def _writable(self, volume: str) -> bool:
        mounts = [
            mount
            for container in self.containers
            for mount in items(container.raw.get("volumeMounts"))
            if isinstance(mount, dict) and mount.get("name") == volume
        ]
        return not mounts or any(mount.get("readOnly") is not True for mount in mounts)

    def flag(self, name: str) -> bool:
        """True when the pod's specification sets `name` (hostPID, hostIPC, hostNetwork) to true."""
        return self.spec.get(name) is True

    @property
    def owner_kind(self) -> str:
        """Kind of the controller that the pod belongs to, or empty."""
        return text(self._owner.get("kind"))

    @cached_property
    def _owner(self) -> dict[str, Any]:
        owners = [owner for owner in items(self.metadata.get("ownerReferences")) if isinstance(owner, dict)]
        return next((owner for owner in owners if owner.get("controller") is True), owners[0] if owners else {})

    @property
    def is_mirror(self) -> bool:
        """True for the mirror of a static pod, which the kubelet creates."""
        return "kubernetes.io/config.mirror" in mapping(self.metadata.get("annotations")) or self.owner_kind == "Node"

    @cached_property
    def workload(self) -> str:
        """Name of what somebody deployed: the Deployment behind a ReplicaSet, the CronJob behind a Job, the static pod."""
        if self.resource != "pods":
            return _TIME_SUFFIX.sub("", self.name) if self.resource == "jobs" else self._of_replica_set(self.name)
        owner = text(self._owner.get("name"))
        if self.is_mirror:
            return self.name.removesuffix(f"-{owner}") if owner else self.name
        if self.owner_kind == "ReplicaSet":
            labels = mapping(self.metadata.get("labels"))
            digest = text(labels.get("pod-template-hash"))
            return owner.removesuffix(f"-{digest}") if digest else _HASH_SUFFIX.sub("", owner)
        if self.owner_kind == "Job":
            return _TIME_SUFFIX.sub("", owner)
        return owner or self.name

    def _of_replica_set(self, name: str) -> str:
        return _HASH_SUFFIX.sub("", name) if self.resource == "replicasets" and self._has_user else name

    @property
    def images(self) -> list[str]:
        """Images of all containers."""
        return [container.image for container in self.containers if container.image]


@once
def pod_of(event: AuditEvent) -> PodView | None:
    """Return the pod that a request writes, or None when its body was not logged or holds no pod."""
    ref = event.object_ref
    if ref is None or ref.resource not in SPEC_PATHS or ref.subresource not in ("", None, "ephemeralcontainers"):
        return None
    body = written(event)
    path = SPEC_PATHS[ref.resource]
    template = at(body, *path) if path else body
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        if event.resource == "pods/ephemeralcontainers" and items(body.get("ephemeralContainers")):
            template = {"spec": {"ephemeralContainers": body["ephemeralContainers"]}}
        else:
            return None
    return PodView(event, template, ref.resource, partial=event.verb == "patch")


def normal_path(path: str) -> str:
    """Return an absolute path without `.`, `..` and doubled slashes, as the kernel would resolve it without links."""
    parts: list[str] = []
    for part in path.split("/")[:200]:
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def repository(image: str) -> str:
    """Return an image reference without tag and digest, with Docker Hub's short forms written out."""
    name = image.partition("@")[0]
    head, slash, rest = name.rpartition("/")
    name = f"{head}{slash}{rest.partition(':')[0]}"
    first = name.partition("/")[0]
    if "/" not in name:
        return f"docker.io/library/{name}".lower()
    if "." not in first and ":" not in first and first != "localhost":
        return f"docker.io/{name}".lower()
    return name.lower()


def all_texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts in a JSON value, at most 12 levels down."""
    if isinstance(value, str):
        yield value
    elif depth < 12:
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for child in children:
            yield from all_texts(child, depth + 1)
