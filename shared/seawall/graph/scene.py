"""The collected objects as an attacker sees them: pods on nodes, tokens in volumes, identities with permission sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from seawall.graph.model import Vertex, VertexKind
from seawall.posture.objects import Obj, mapping, mappings, text, texts
from seawall.posture.rbac import Binding, Subject, all_bindings, matches
from seawall.posture.workloads import Container, Workload
from seawall.posture.world import World

K = VertexKind
CORE: Final = frozenset({""})
CLUSTER_ADMIN: Final = Vertex(K.CLUSTER_ADMIN, "", "")
INTERNET: Final = Vertex(K.INTERNET, "", "")
ALL_PODS: Final = Vertex(K.GROUP, "", "all pods")
ALL_NODES: Final = Vertex(K.GROUP, "", "a schedulable node")
ALL_ACCOUNTS: Final = Vertex(K.GROUP, "", "all service accounts")
ALL_SECRETS: Final = Vertex(K.GROUP, "", "all secrets")
UNKNOWN_NODE: Final = Vertex(K.NODE, "", "(any node)")


@dataclass(frozen=True, slots=True)
class HostMount:
    """A hostPath volume as one container mounts it. `path` is normalised, without a trailing slash except for `/`."""

    volume: str
    path: str
    read_only: bool


class Unit:
    """A workload with its vertices. `nodes` are those that its replicas run on; ALL_NODES when that is not known."""

    __slots__ = ("containers", "namespace", "nodes", "pod", "token", "workload")

    def __init__(self, workload: Workload, nodes: tuple[Vertex, ...], token: bool) -> None:
        self.workload = workload
        self.namespace = workload.namespace
        name = workload.obj.name if workload.kind == "Pod" else f"{workload.kind.lower()}/{workload.obj.name}"
        self.pod = Vertex(K.POD, self.namespace, name)
        self.nodes = nodes
        self.token = token
        self.containers: tuple[tuple[Vertex, Container], ...] = tuple(
            (Vertex(K.CONTAINER, self.namespace, f"{name}/{item.name}"), item)
            for item in workload.containers
            if not item.is_init
        )

    @property
    def account(self) -> Vertex:
        return account(self.namespace, self.workload.service_account)

    @property
    def token_volume(self) -> Vertex:
        return self.volume("kube-api-access")

    def volume(self, name: str) -> Vertex:
        return Vertex(K.VOLUME, self.namespace, f"{self.pod.name}/{name}")


def account(namespace: str, name: str) -> Vertex:
    """Return the identity of a service account."""
    return Vertex(K.IDENTITY, namespace, f"ServiceAccount:{name}")


def identity(subject: Subject) -> Vertex:
    """Return the identity that a binding's subject names; service accounts written as users are recognised."""
    kind, namespace, name = subject
    if kind == "User" and name.startswith("system:serviceaccount:") and name.count(":") == 3:
        _, _, namespace, name = name.split(":")
        return account(namespace, name)
    return Vertex(K.IDENTITY, namespace if kind == "ServiceAccount" else "", f"{kind}:{name}")


def group(name: str, namespace: str = "") -> Vertex:
    """Return the vertex of "all of these"."""
    return Vertex(K.GROUP, namespace, name)


def accounts_within(scope: str) -> Vertex:
    """Return the group of a namespace's service accounts, of all for the empty scope."""
    return group("service accounts", scope) if scope else ALL_ACCOUNTS


class Scene:
    """A world with what attack edges ask about it.

    `exploitable` maps an image, as pods name it or by digest, to the id of an advisory that can be exploited over the
    network.
    """

    def __init__(self, world: World, *, exploitable: Mapping[str, str] | None = None) -> None:
        self.world = world
        self.exploitable = dict(exploitable or {})

    @cached_property
    def nodes(self) -> dict[str, Vertex]:
        return {obj.name: Vertex(K.NODE, "", obj.name) for obj in self.world.of("Node")}

    @cached_property
    def schedulable(self) -> list[Vertex]:
        """Nodes that take ordinary pods; all when none can be told apart, and a stand-in when none was collected."""
        found = [
            self.nodes[obj.name]
            for obj in self.world.of("Node")
            if not obj.spec.get("unschedulable")
            and not any(
                text(item.get("effect")) in {"NoSchedule", "NoExecute"} for item in mappings(obj.spec.get("taints"))
            )
        ]
        return found or list(self.nodes.values()) or [UNKNOWN_NODE]

    @cached_property
    def units(self) -> list[Unit]:
        return [
            Unit(workload, self._nodes_of(workload), self._has_token(workload)) for workload in self.world.workloads
        ]

    @cached_property
    def units_in(self) -> dict[str, list[Unit]]:
        found: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            found[unit.namespace].append(unit)
        return found

    @cached_property
    def unit_of(self) -> dict[int, Unit]:
        """Units by the id of their workload."""
        return {id(unit.workload): unit for unit in self.units}

    def _nodes_of(self, workload: Workload) -> tuple[Vertex, ...]:
        pods = workload.pods or [workload.obj]
        names = {text(pod.spec.get("nodeName")) for pod in pods if pod.kind == "Pod"} - {""}
        return tuple(self.nodes.get(name) or Vertex(K.NODE, "", name) for name in sorted(names)) or (ALL_NODES,)

    def _has_token(self, workload: Workload) -> bool:
        if any(
            "serviceAccountToken" in source and not mapping(source["serviceAccountToken"]).get("audience")
            for _, volume in workload.volumes
            for source in mappings(mapping(volume.get("projected")).get("sources"))
        ):
            return True
        own = workload.spec.get("automountServiceAccountToken")
        if own is None:
            obj = self.world.service_accounts.get((workload.namespace, workload.service_account))
            own = obj.body.get("automountServiceAccountToken") if obj is not None else None
        return own is not False and not workload.is_static

    def containers(self) -> Iterator[tuple[Unit, Vertex, Container]]:
        """Yield every container that runs for longer than the start of its pod."""
        for unit in self.units:
            for vertex, container in unit.containers:
                yield unit, vertex, container

    @cached_property
    def accounts(self) -> dict[str, set[str]]:
        """Names of service accounts by namespace, those that only pods or bindings name included."""
        found: dict[str, set[str]] = defaultdict(set)
        for namespace, name in self.world.service_accounts:
            found[namespace].add(name)
        for unit in self.units:
            found[unit.namespace].add(unit.workload.service_account)
        for binding in all_bindings(self.world):
            for kind, namespace, name in binding.subjects:
                if kind == "ServiceAccount" and namespace:
                    found[namespace].add(name)
        return found

    @cached_property
    def bindings(self) -> list[tuple[Binding, Vertex]]:
        return [
            (binding, Vertex(K.PERMISSIONS, binding.scope, f"{binding.role_name}::{binding.obj.name}"))
            for binding in all_bindings(self.world)
        ]

    def grants(
        self, verbs: Iterable[str], groups: Iterable[str], *resources: str
    ) -> Iterator[tuple[Binding, Vertex, list[str]]]:
        """Yield each permission set that grants one of the verbs on one of the resources, with the names it is limited to.

        An unlimited rule wins over limited ones; no names = every object.
        """
        wanted_verbs, wanted_groups, wanted = frozenset(verbs), frozenset(groups), frozenset(resources)
        for binding, vertex in self.bindings:
            limited: list[str] | None = None
            for rule in binding.rules:
                if matches(rule, wanted_verbs, wanted_groups, wanted):
                    names = texts(rule.get("resourceNames"))
                    limited = [] if not names or limited == [] else (limited or []) + names
            if limited is not None:
                yield binding, vertex, limited

    def host_mounts(self, unit: Unit, container: Container) -> list[HostMount]:
        """Return the hostPath volumes that a container mounts."""
        paths = {
            text(volume.get("name")): text(mapping(volume["hostPath"]).get("path"))
            for _, volume in unit.workload.volumes
            if "hostPath" in volume
        }
        if not paths:
            return []
        return [
            HostMount(name, normal(paths[name]), item.get("readOnly") is True)
            for item in mappings(container.body.get("volumeMounts"))
            if (name := text(item.get("name"))) in paths and paths[name]
        ]

    @cached_property
    def secrets(self) -> dict[str, dict[str, Obj | None]]:
        """Secrets by namespace and name, those that only pods name included (without an object)."""
        found: dict[str, dict[str, Obj | None]] = defaultdict(dict)
        for obj in self.world.of("Secret"):
            found[obj.in_namespace][obj.name] = obj
        for unit in self.units:
            for name in secret_names(unit.workload):
                found[unit.namespace].setdefault(name, None)
        return found


def is_root(container: Container, workload: Workload) -> bool:
    """Whether a container may run as user 0: nothing in container or pod says another user."""
    for context in (container.sc, workload.sc):
        user = context.get("runAsUser")
        if isinstance(user, int) and not isinstance(user, bool):
            return user == 0
    return not (container.sc.get("runAsNonRoot") or workload.sc.get("runAsNonRoot"))


def secret_names(workload: Workload) -> set[str]:
    """Return the names of the secrets that a workload mounts or reads into its environment."""
    names: set[str] = set()
    for _, volume in workload.volumes:
        names |= volume_secrets(volume)
    for container in workload.containers:
        for item in mappings(container.body.get("env")):
            names.add(text(mapping(mapping(item.get("valueFrom")).get("secretKeyRef")).get("name")))
        for item in mappings(container.body.get("envFrom")):
            names.add(text(mapping(item.get("secretRef")).get("name")))
    return names - {""}


def volume_secrets(volume: Mapping[str, Any]) -> set[str]:
    """Return the names of the secrets that a volume brings."""
    names = {text(mapping(volume.get("secret")).get("secretName"))}
    for source in mappings(mapping(volume.get("projected")).get("sources")):
        names.add(text(mapping(source.get("secret")).get("name")))
    return names - {""}


def normal(path: str) -> str:
    """Return an absolute path without dots, doubled or trailing slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {"", ".", ".."}:
            parts.append(part)
    return "/" + "/".join(parts)


def covers(path: str, wanted: str) -> bool:
    """Whether a directory is or contains another."""
    return path == "/" or wanted == path or wanted.startswith(f"{path}/")


def because(binding: Binding) -> str:
    """Return how a cause names a binding."""
    place = f"{binding.obj.in_namespace}/" if binding.obj.in_namespace else ""
    return f"{binding.obj.kind} {place}{binding.obj.name}"


def owner(unit: Unit) -> str:
    """Return how a cause names a workload."""
    return f"{unit.workload.kind} {unit.namespace}/{unit.workload.obj.name}"
