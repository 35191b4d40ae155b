"""Reading of attributes and nested blocks as Terraform's JSON gives them."""

from __future__ import annotations

from typing import Any

from seawall.posture.objects import as_items, mapping, truth


def block(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a nested block, written as a list of one or as a mapping."""
    items = as_items(body.get(name))
    return mapping(items[0]) if items else {}


def pick(body: dict[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)


def boolean(value: Any) -> Any:
    """Terraform accepts booleans as text."""
    found = truth(value) if isinstance(value, str) else value
    return value if found is None else found


def clean(value: dict[str, Any]) -> dict[str, Any]:
    """Drop what is not set, so that absent means absent."""
    return {key: clean(item) if isinstance(item, dict) else item for key, item in value.items() if item is not None}
