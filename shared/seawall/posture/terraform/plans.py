"""Terraform plans, states and configurations in JSON: the container resources of three clouds in their APIs' shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from seawall.posture.objects import as_items, mapping, mappings, text
from seawall.posture.terraform import aws, azure, google

Resource = tuple[str, str, dict[str, Any]]
_CONVERTERS: Final[dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]]] = {
    **azure.CONVERTERS,
    **aws.CONVERTERS,
    **google.CONVERTERS,
}
KINDS: Final = frozenset(_CONVERTERS) | {"aws_ecr_repository_policy", "aws_ecr_lifecycle_policy"}
"""Types of resources that are read."""


def terraform_resources(value: dict[str, Any]) -> Iterator[Resource]:
    """Yield type, name and API-shaped body of each container resource of a plan, state or configuration.

    Source: `terraform show -json` (planned_values, values) and Terraform's JSON configuration syntax (resource).
    """
    rows = list(_rows(value))
    policies = [
        (text(body.get("repository")), body.get("policy"))
        for kind, _, body in rows
        if kind == "aws_ecr_repository_policy"
    ]
    lifecycles = [text(body.get("repository")) for kind, _, body in rows if kind == "aws_ecr_lifecycle_policy"]
    for kind, name, body in rows:
        convert = _CONVERTERS.get(kind)
        if convert is None:
            continue
        cloud, shaped = convert(body)
        shown = text(shaped.get("name")) or text(body.get("name")) or name
        if kind == "aws_ecr_repository":
            for repository, policy in policies:
                if repository in {shown, name} or f"aws_ecr_repository.{name}." in repository or len(policies) == 1:
                    shaped["policy"] = policy
            if any(repository in {shown, name} or f".{name}." in repository for repository in lifecycles):
                shaped["lifecyclePolicyText"] = "set"
        if kind == "azurerm_monitor_diagnostic_setting" and not _is_of_cluster(shaped["_target"]):
            continue
        yield cloud, shown, shaped
    if not any(kind == "aws_ecr_repository" for kind, _, _ in rows):
        for repository, policy in policies:
            yield "AWS::ECR::Repository", repository, {"repositoryName": repository, "policy": policy}


def _rows(value: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield type, name and attributes of each resource."""
    for root in (
        mapping(value.get("planned_values")).get("root_module"),
        mapping(value.get("values")).get("root_module"),
    ):
        if isinstance(root, dict):
            yield from _module(root, 0)
    for entry in as_items(value.get("resource")):
        for kind, named in mapping(entry).items():
            for group in as_items(named):
                for name, bodies in mapping(group).items():
                    for body in as_items(bodies):
                        if isinstance(body, dict):
                            yield str(kind), str(name), body


def _module(module: dict[str, Any], depth: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for item in mappings(module.get("resources")):
        if item.get("mode") in (None, "managed"):
            yield text(item.get("type")), text(item.get("name")), mapping(item.get("values"))
    for child in mappings(module.get("child_modules")):
        if depth < 20:
            yield from _module(child, depth + 1)


def _is_of_cluster(target: str) -> bool:
    """Whether a diagnostic setting may be about a cluster: its target is one, or is known only after the plan runs."""
    return not target or "azurerm_kubernetes_cluster" in target or "managedclusters" in target.lower()
