"""Platform identities and what each may do without an alert, by exact name.

The lists are YAML files in `detection/allow/`, one per distribution. A name has no wildcards and matches whole, so that
nobody is exempt for a name that merely begins like a platform's. An allowance names one power, not "everything".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from seawall.domain.errors import ConfigError

POWERS = {
    "anonymous-health": "anonymous health checks of this client",
    "approve-certificates": "approves certificate requests for nodes and its own components",
    "cluster-dns": "writes the cluster's DNS configuration",
    "control-loops": "creates pods, tokens and secrets on behalf of other objects",
    "debug": "runs commands in pods as part of a platform function",
    "delete-events": "clears old events",
    "deploy": "rolls out workloads and roles that somebody committed elsewhere",
    "impersonate": "acts for users that logged in to it",
    "list-secrets": "keeps a cache of secrets of the whole cluster",
    "mint-tokens": "requests tokens for service accounts",
    "node-proxy": "reads metrics of kubelets through the API server",
    "read-secrets": "reads secrets of its own function",
    "system-workloads": "runs workloads in the platform's namespaces",
    "webhooks": "registers and refreshes its own admission webhooks",
    "write-bindings": "writes the platform's own roles and bindings",
}
"""Every power, with what it means."""

_ORDINAL = re.compile(r"-\d{1,4}$")
_NAME = re.compile(r"[A-Za-z0-9:@._/+-]{3,200}")


class Allowances:
    """Which exact user name holds which powers, and where that comes from."""

    def __init__(
        self,
        powers: Mapping[str, frozenset[str]],
        workloads: Mapping[str, str] | None = None,
        agents: Mapping[str, str] | None = None,
    ) -> None:
        self._powers = dict(powers)
        self._workloads = dict(workloads or {})
        self._agents = dict(agents or {})

    def may(self, username: str, power: str) -> bool:
        """True when exactly this user name holds `power`."""
        return power in self._powers.get(username, ())

    def is_platform(self, username: str) -> bool:
        """True for an identity that some list names."""
        return username in self._powers

    def known_workload(self, namespace: str, name: str) -> str:
        """Return why the workload `namespace/name` is an ordinary node agent or platform component, or empty.

        Operators number the Deployments of one component (`rook-ceph-osd-3`): the number does not count.
        """
        known = self._workloads.get(f"{namespace}/{name}", "")
        return known or self._workloads.get(f"{namespace}/{_ORDINAL.sub('', name)}", "")

    def node_agent(self, repository: str) -> str:
        """Return what the node agent does that its maker publishes in this repository, or empty."""
        return self._agents.get(repository, "")


@cache
def built_in_allowances() -> Allowances:
    """Return the lists that the package carries.

    Raises:
        ConfigError: a list is malformed: an unknown power, a name that is not exact.
    """
    return with_allowances(())


def with_allowances(more: Iterable[tuple[str, str]]) -> Allowances:
    """Return the package's lists and a deployment's own, given as (origin, YAML text) in the same form.

    Raises:
        ConfigError: see `built_in_allowances`.
    """
    powers: dict[str, set[str]] = {}
    workloads: dict[str, str] = {}
    agents: dict[str, str] = {}
    for entry in sorted(files("seawall.detection").joinpath("allow").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".yaml"):
            read_allowances(entry.name, yaml.safe_load(entry.read_text("utf-8")), powers, workloads, agents)
    for origin, text in more:
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"{origin} is not YAML: {error}") from error
        try:
            read_allowances(origin, document, powers, workloads, agents)
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{origin} is no list of identities",
                hint="`identities:` with `users`, `may`, `why`; see the documentation",
            ) from error
    return Allowances({name: frozenset(found) for name, found in powers.items()}, workloads, agents)


def read_allowances(
    origin: str,
    document: Any,
    powers: dict[str, set[str]],
    workloads: dict[str, str],
    agents: dict[str, str],
) -> None:
    """Add one list to `powers`, `workloads` and `agents`.

    Raises:
        ConfigError: see `built_in_allowances`.
    """
    if not isinstance(document, dict) or not document.get("distribution") or not document.get("versions"):
        raise ConfigError(f"{origin} needs `distribution` and `versions`")
    for item in document.get("identities", ()):
        unknown = set(item["may"]) - POWERS.keys()
        if unknown:
            raise ConfigError(f"{origin}: unknown power {min(unknown)!r}", hint=f"known: {', '.join(POWERS)}")
        for user in item["users"]:
            if not _NAME.fullmatch(user) or user.endswith((":", "*")) or user == "system:":
                raise ConfigError(f"{origin}: {user!r} is not an exact user name")
            powers.setdefault(user, set()).update(item["may"])
    for item in document.get("workloads", ()):
        for name in item["names"]:
            if not re.fullmatch(r"[a-z0-9.-]+/[a-z0-9.-]+", name):
                raise ConfigError(f"{origin}: {name!r} is not an exact namespace/name")
            workloads[name] = item["why"]
    for item in document.get("agents", ()):
        if not item["source"]:
            raise ConfigError(f"{origin}: an agent needs the source that shows its repository")
        for name in item["repositories"]:
            if not re.fullmatch(r"[a-z0-9.-]+\.[a-z0-9.:-]+(/[a-z0-9._-]+)+", name):
                raise ConfigError(f"{origin}: {name!r} is not an exact repository with its registry")
            agents[name] = item["why"]
