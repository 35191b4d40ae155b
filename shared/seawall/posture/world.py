"""Everything that was collected, indexed once: what a control asks about the objects around its subject."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from typing import Any, Final

from seawall.posture.objects import Note, Obj, mapping, mappings, number, subset_of, text
from seawall.posture.workloads import Workload, kind_of, workloads_of

LATEST_MINOR: Final = 37
"""The newest Kubernetes minor version that the tables of this package know."""

SYSTEM_NAMESPACES: Final = frozenset(
    {
        "kube-system", "kube-public", "kube-node-lease", "gatekeeper-system", "azure-arc", "calico-system",
        "tigera-operator", "gke-managed-system", "gke-managed-cim", "gmp-system", "gmp-public", "amazon-cloudwatch",
        "aks-command", "app-routing-system", "local-path-storage", "kube-flannel", "cilium-secrets",
    }
)  # fmt: skip


class World:
    """Objects of one cluster, folder or account, with indexes that are built on first use.

    `today` decides about support windows and expiries. `parameters` are settings of controls by control id.
    """

    def __init__(
        self,
        objects: Iterable[Obj],
        *,
        notes: Iterable[Note] = (),
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        today: date,
        minor: int | None = None,
        unread_kinds: Iterable[str] = (),
    ) -> None:
        self.objects = list(objects)
        for index, obj in enumerate(self.objects):
            obj.index = index
        self.notes = list(notes)
        self.today = today
        self.unread_kinds = frozenset(unread_kinds)
        self._parameters = parameters or {}
        self._minor = minor
        self.by_kind: dict[str, list[Obj]] = defaultdict(list)
        for obj in self.objects:
            self.by_kind[kind_of(obj)].append(obj)

    def of(self, *kinds: str) -> list[Obj]:
        """Return the objects of these kinds."""
        if len(kinds) == 1:
            return self.by_kind.get(kinds[0], [])
        return [obj for kind in kinds if kind in self.by_kind for obj in self.by_kind[kind]]

    def parameter(self, control: str, name: str, default: Any) -> Any:
        """Return a setting of a control."""
        return self._parameters.get(control, {}).get(name, default)

    @cached_property
    def workloads(self) -> list[Workload]:
        return workloads_of(self.objects)

    @cached_property
    def workloads_in(self) -> dict[str, list[Workload]]:
        """Workloads by namespace."""
        found: dict[str, list[Workload]] = defaultdict(list)
        for workload in self.workloads:
            found[workload.namespace].append(workload)
        return found

    @cached_property
    def _by_label(self) -> dict[tuple[str, str, Any], list[Workload]]:
        found: dict[tuple[str, str, Any], list[Workload]] = defaultdict(list)
        for workload in self.workloads:
            for key, value in workload.labels.items():
                if isinstance(value, str):
                    found[workload.namespace, key, value].append(workload)
        return found

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> list[Workload]:
        """Return the workloads that a plain selector, such as a Service's, matches; an empty one matches nothing."""
        candidates: list[Workload] | None = None
        for key, value in selector.items():
            if not isinstance(value, str):
                return []
            these = self._by_label.get((namespace, key, value), [])
            if candidates is None or len(these) < len(candidates):
                candidates = these
        return [item for item in candidates or () if subset_of(selector, item.labels)]

    @cached_property
    def _services(self) -> dict[tuple[str, str, Any], list[Obj]]:
        found: dict[tuple[str, str, Any], list[Obj]] = defaultdict(list)
        for service in self.of("Service"):
            first = next(iter(mapping(service.spec.get("selector")).items()), None)
            if first is not None and isinstance(first[1], str):
                found[service.in_namespace, first[0], first[1]].append(service)
        return found

    def services_of(self, workload: Workload) -> list[Obj]:
        """Return the services that select a workload's pods."""
        return [
            service
            for key, value in workload.labels.items()
            if isinstance(value, str)
            for service in self._services.get((workload.namespace, key, value), ())
            if subset_of(mapping(service.spec.get("selector")), workload.labels)
        ]

    @cached_property
    def users_of(self) -> dict[tuple[str, str], list[Workload]]:
        """Workloads by namespace and name of their service account."""
        found: dict[tuple[str, str], list[Workload]] = defaultdict(list)
        for workload in self.workloads:
            found[workload.namespace, workload.service_account].append(workload)
        return found

    @cached_property
    def named(self) -> dict[tuple[str, str, str], Obj]:
        """Objects by kind, namespace and name."""
        return {(obj.kind, obj.in_namespace, obj.name): obj for obj in self.objects}

    def find(self, kind: str, namespace: str, name: str) -> Obj | None:
        """Return the object of that name, None when it was not collected."""
        return self.named.get((kind, namespace, name))

    def in_namespace(self, kind: str, namespace: str) -> list[Obj]:
        """Return the objects of a kind in one namespace."""
        return self._by_namespace.get((kind, namespace), [])

    @cached_property
    def _by_namespace(self) -> dict[tuple[str, str], list[Obj]]:
        found: dict[tuple[str, str], list[Obj]] = defaultdict(list)
        for obj in self.objects:
            found[obj.kind, obj.in_namespace].append(obj)
        return found

    @cached_property
    def namespaces(self) -> dict[str, dict[str, Any]]:
        """Labels of every namespace that is known, as an object or by what lies in it."""
        found: dict[str, dict[str, Any]] = {obj.in_namespace: {} for obj in self.objects if obj.in_namespace}
        for obj in self.of("Namespace"):
            found[obj.name] = {"kubernetes.io/metadata.name": obj.name, **obj.labels}
        return found

    @cached_property
    def is_cluster(self) -> bool:
        """Whether this is a whole cluster rather than some manifests: nodes, or mirrors of its control plane, are here."""
        return bool(self.of("Node")) or any(workload.is_static for workload in self.workloads)

    @cached_property
    def provider(self) -> str:
        """Who runs the control plane: aks, eks, gke, or empty for self-managed and unknown."""
        for node in self.of("Node"):
            labels, identity = node.labels, text(node.spec.get("providerID"))
            version = text(mapping(mapping(node.body.get("status")).get("nodeInfo")).get("kubeletVersion"))
            if any(label.startswith("kubernetes.azure.com/") for label in labels):
                return "aks"
            if "-eks-" in version or any(
                label.startswith(("eks.amazonaws.com/", "alpha.eksctl.io/")) for label in labels
            ):
                return "eks"
            if "-gke." in version or (
                any(label.startswith("cloud.google.com/gke") for label in labels) and identity.startswith("gce")
            ):
                return "gke"
        for kind, name in (
            ("Microsoft.ContainerService/managedClusters", "aks"),
            ("AWS::EKS::Cluster", "eks"),
            ("container.googleapis.com/Cluster", "gke"),
        ):
            if self.of(kind):
                return name
        return ""

    @cached_property
    def minor(self) -> int | None:
        """The server's Kubernetes minor version, None when nothing says it."""
        if self._minor is not None:
            return self._minor
        for obj in self.of("ServerVersion", "APIServerInfo", "ClusterInfo"):
            for value in (
                obj.body.get("gitVersion"),
                obj.get("data.gitVersion"),
                obj.get("info.gitVersion"),
                obj.get("version.gitVersion"),
            ):
                if found := minor_of(text(value)):
                    return found
            if (found := number(text(obj.body.get("minor")).rstrip("+"))) is not None:
                return found
        minors = [
            found
            for node in self.of("Node")
            if (
                found := minor_of(text(mapping(mapping(node.body.get("status")).get("nodeInfo")).get("kubeletVersion")))
            )
        ]
        return max(minors, default=None)

    @cached_property
    def service_accounts(self) -> dict[tuple[str, str], Obj]:
        return {(obj.in_namespace, obj.name): obj for obj in self.of("ServiceAccount")}

    @cached_property
    def limit_ranges(self) -> dict[str, dict[tuple[str, str], Any]]:
        """Defaults that LimitRanges give to containers: namespace to {(limits|requests, resource): value}."""
        found: dict[str, dict[tuple[str, str], Any]] = defaultdict(dict)
        for obj in self.of("LimitRange"):
            for item in mappings(obj.spec.get("limits")):
                if item.get("type") != "Container":
                    continue
                limits = mapping(item.get("default"))
                for name, value in limits.items():
                    found[obj.in_namespace]["limits", name] = value
                for name, value in {**limits, **mapping(item.get("defaultRequest"))}.items():
                    found[obj.in_namespace]["requests", name] = value
        return found


def minor_of(version: str) -> int | None:
    """Return the minor part of `v1.31.2-eks-...`; None when it is no such version."""
    match = re.match(r"v?1\.(\d+)", version)
    return int(match[1]) if match else None


def automounts_token(workload: Workload, world: World) -> bool:
    """Whether pods get a token of their account by default: the pod's word counts over the account's, none means yes.

    Source: PodSpec.automountServiceAccountToken.
    """
    own = workload.spec.get("automountServiceAccountToken")
    account = world.service_accounts.get((workload.namespace, workload.service_account))
    if own is None and account is not None:
        own = account.body.get("automountServiceAccountToken")
    return own is not False


def projects_token(workload: Workload) -> bool:
    """Whether a volume asks for a token of the account by itself."""
    return any(
        source.get("serviceAccountToken") is not None
        for _, volume in workload.volumes
        for source in mappings(mapping(volume.get("projected")).get("sources"))
    )
