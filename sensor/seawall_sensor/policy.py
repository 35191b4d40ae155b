"""What a policy file says, and which policy a container falls under.

The file is YAML: `policies` is a list; the first one that selects a container holds for it. Without a file nothing is
ever stopped.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import stat
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from seawall.domain.errors import ConfigError
from seawall.domain.runtime_events import ContainerContext

Action = Literal["audit", "kill", "block"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Port = Annotated[int, Field(ge=0, le=65535)]
ProgramName = Annotated[str, Field(min_length=1, max_length=27, pattern=r"^[!-.0-~]+$")]
ProgramPath = Annotated[str, Field(max_length=4096, pattern=r"^/")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

PROTECTED_NAMESPACES = frozenset({"kube-system"})
"""A policy holds there only when it lists the namespace by its exact name."""

_MAX_FILE_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Selector(_Model):
    """Which containers: all that is given must hold; of a list, one. Names are shell patterns (`web-*`)."""

    namespaces: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    images: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _not_empty(self) -> Selector:
        if not (self.namespaces or self.labels or self.images or self.names):
            raise ValueError('selects nothing: give namespaces, labels, images or names (names: ["*"] selects all)')
        return self

    def selects(self, container: ContainerContext) -> bool:
        """Whether the container is meant. What is not known of it yet does not match."""
        if container.namespace in PROTECTED_NAMESPACES and container.namespace not in self.namespaces:
            return False
        if container.pod and not container.namespace:
            return False  # it may be a protected one
        return (
            _one_of(self.namespaces, container.namespace)
            and _one_of(self.images, container.image)
            and _one_of(self.names, container.name)
            and all(container.labels.get(name) == value for name, value in self.labels.items())
        )


class Drift(_Model):
    """Programs that are not from the image. `scripts`: also scripts that an interpreter of the image runs."""

    action: Action
    scripts: bool = False


class Programs(_Model):
    """Listed programs: `names` are the last part of the path, `paths` whole ones as the container sees them."""

    action: Action
    names: tuple[ProgramName, ...] = Field(default=(), max_length=1024)
    paths: tuple[ProgramPath, ...] = Field(default=(), max_length=1024)
    sha256: tuple[Sha256, ...] = Field(default=(), max_length=65536)


class Peer(_Model):
    """A network, and ports in it: single ones or (first, last); none = all."""

    cidr: Network
    ports: tuple[Port | tuple[Port, Port], ...] = Field(default=(), max_length=16)

    def ranges(self) -> list[tuple[int, int]]:
        """Return (first, last) of the ports."""
        return [port if isinstance(port, tuple) else (port, port) for port in self.ports] or [(0, 65535)]


class Outbound(_Model):
    """Peers that are refused. Of all that hold for a peer, the one with the smallest network decides; then `allow`."""

    action: Literal["audit", "block"]
    deny: tuple[Peer, ...] = Field(min_length=1, max_length=1024)
    allow: tuple[Peer, ...] = Field(default=(), max_length=1024)

    def rules(self) -> dict[Network, list[tuple[int, int, bool]]]:
        """Return per network the (first port, last port, refused) to ask in order, those of wider networks included."""
        peers = [(peer, False) for peer in self.allow] + [(peer, True) for peer in self.deny]
        # A stable sort: of equal networks, those that may be reached stay in front.
        peers.sort(key=lambda row: row[0].cidr.prefixlen, reverse=True)
        found: dict[Network, list[tuple[int, int, bool]]] = {}
        for network in {peer.cidr for peer, _ in peers}:
            found[network] = [
                (first, last, refused)
                for peer, refused in peers
                if _within(network, peer.cidr)
                for first, last in peer.ranges()
            ]
        return found


class Policy(_Model):
    """One policy: whom it holds for and what it does."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    select: Selector
    drift: Drift | None = None
    programs: Programs | None = None
    outbound: Outbound | None = None


class PolicyFile(_Model):
    """The whole file."""

    policies: tuple[Policy, ...] = Field(max_length=256)

    @model_validator(mode="after")
    def _consistent(self) -> PolicyFile:
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise ValueError("two policies have the same name")
        for policy in self.policies:
            rules = policy.outbound.rules() if policy.outbound is not None else {}
            if any(len(ranges) > 16 for ranges in rules.values()):
                raise ValueError(f"{policy.name}: more than 16 ranges of ports hold for one network")
        return self

    def find(self, container: ContainerContext) -> Policy | None:
        """Return the first policy that selects the container."""
        return next((policy for policy in self.policies if policy.select.selects(container)), None)


def read_policies(path: Path) -> PolicyFile:
    """Read a policy file.

    Raises:
        ConfigError: it can not be read, or something in it is not as it must be.
    """
    try:
        # A pipe or a device would be read for ever; links are followed, as Kubernetes mounts files by them.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"the policy file {path} is not a file")
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
        if len(text) > _MAX_FILE_BYTES:
            raise ConfigError(f"{path} is larger than 1 MB")
        return PolicyFile.model_validate(yaml.load(text, _Plain))  # noqa: S506 - a safe loader
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{path}: {where or 'file'}: {first['msg']}") from error
        reason = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ConfigError(f"the policy file {path} can not be read: {reason}"[:500]) from error


class _Plain(yaml.SafeLoader):
    """YAML without anchors, which could grow without end, and without a key that stands twice, of which one would be lost."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="anchors are not taken", problem_mark=self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1 and isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _one_of(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or (bool(value) and any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns))


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
