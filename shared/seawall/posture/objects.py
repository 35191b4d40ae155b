"""Objects as they were read, and safe reading of fields that may be missing, null or of the wrong type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seawall.domain.posture import ObjectRef

_EMPTY: Final[dict[str, Any]] = {}
_NONE: Final[list[Any]] = []


class Obj:
    """One object: a Kubernetes object, or a cloud resource in the shape of its provider's API.

    `body` is the decoded document and must not be changed. `kind` of a cloud resource is its type, for example
    `Microsoft.ContainerService/managedClusters`. `source` says where it was read.
    """

    __slots__ = ("api_version", "body", "index", "kind", "meta", "name", "namespace", "namespaced", "source")

    def __init__(self, body: dict[str, Any], *, kind: str = "", name: str = "", source: str = "") -> None:
        meta = body.get("metadata")
        self.meta: dict[str, Any] = meta if isinstance(meta, dict) else _EMPTY
        self.body = body
        self.kind = kind or text(body.get("kind"))
        self.api_version = text(body.get("apiVersion"))
        self.name = name or text(self.meta.get("name")) or text(self.meta.get("generateName"))
        self.namespace = text(self.meta.get("namespace"))
        self.namespaced = self.kind not in CLUSTER_SCOPED and bool(self.api_version)
        self.source = source
        self.index = -1

    @property
    def ref(self) -> ObjectRef:
        """How results name this object."""
        return ObjectRef(self.kind, self.name, self.namespace, self.api_version)

    @property
    def in_namespace(self) -> str:
        """The namespace that the API server would use: `default` when a namespaced object names none."""
        if self.kind in CLUSTER_SCOPED:
            return ""
        return self.namespace or ("default" if self.namespaced else "")

    @property
    def labels(self) -> dict[str, Any]:
        return mapping(self.meta.get("labels"))

    @property
    def annotations(self) -> dict[str, Any]:
        return mapping(self.meta.get("annotations"))

    @property
    def spec(self) -> dict[str, Any]:
        return mapping(self.body.get("spec"))

    def get(self, path: str) -> Any:
        """Return the value at a dotted path of mappings, None when any part is missing."""
        return dig(self.body, path)

    def __repr__(self) -> str:
        return f"Obj({self.kind} {self.namespace}/{self.name})"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be read or judged; the rest was. `where` is a file, object or kind."""

    where: str
    reason: str


CLUSTER_SCOPED: Final = frozenset(
    {
        "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole", "ClusterRoleBinding",
        "CustomResourceDefinition", "FlowSchema", "IngressClass", "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
        "PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass", "StorageClass",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        "VolumeAttachment", "VolumeAttributesClass", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterPolicy",
        "ConstraintTemplate", "GatewayClass", "ComponentStatus", "CiliumClusterwideNetworkPolicy",
        "GlobalNetworkPolicy", "SecurityContextConstraints",
    }
)  # fmt: skip


def mapping(value: object) -> dict[str, Any]:
    """Return `value` when it is a mapping, else an empty one. The result must not be changed."""
    return value if isinstance(value, dict) else _EMPTY


def sequence(value: object) -> list[Any]:
    """Return `value` when it is a list, else an empty one. The result must not be changed."""
    return value if isinstance(value, list) else _NONE


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the mappings among the items of a list; anything else gives an empty list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else _NONE


def text(value: object) -> str:
    """Return `value` when it is a string, else the empty string."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """Return the strings among the items of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def number(value: object) -> int | None:
    """Return a whole number, also when it was written as a string; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError:
            return None
    return None


def truth(value: object) -> bool | None:
    """Return a boolean, also when it was written as a string (flags, annotations, templates); None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}.get(
            value.strip().lower()
        )
    return None


def dig(body: object, path: str) -> Any:
    """Return the value at a dotted path of mapping keys, None when any part is missing or not a mapping."""
    for key in path.split("."):
        if not isinstance(body, Mapping):
            return None
        body = body.get(key)
    return body


def selects(selector: object, labels: Mapping[str, Any]) -> bool:
    """Whether a Kubernetes label selector matches; an empty selector matches all, None matches nothing.

    Source: LabelSelector in the Kubernetes API (matchLabels and matchExpressions are all required).
    """
    if not isinstance(selector, dict):
        return False
    for key, value in mapping(selector.get("matchLabels")).items():
        if labels.get(key) != value:
            return False
    for item in mappings(selector.get("matchExpressions")):
        key, operator, values = text(item.get("key")), item.get("operator"), sequence(item.get("values"))
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(text(operator), False)
        if not holds:
            return False
    return True


def subset_of(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether a plain key-value selector (of a Service or a ReplicationController) matches."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def quote(key: str) -> str:
    """Return a path segment for a map key: `.key`, or `["key"]` where the key is not a plain word."""
    return f".{key}" if key.replace("-", "").replace("_", "").isalnum() else f'["{key}"]'


def as_items(value: Any) -> Sequence[Any]:
    """Return a list as it is, and a single mapping as a list of one (Terraform and XML-born formats)."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []
