"""IAM policies as Terraform and the AWS APIs write them."""

from __future__ import annotations

import json
from typing import Any

from seawall.posture.objects import mapping, text


def policy_document(value: object) -> dict[str, Any]:
    """Return an IAM policy written as JSON text, here-document or mapping; empty when it cannot be read."""
    if isinstance(value, dict):
        return value
    raw = text(value).strip()
    if raw.startswith("<<"):
        lines = raw.splitlines()
        raw = "\n".join(lines[1:-1])
    if raw.startswith("${jsonencode(") and raw.endswith(")}"):
        raw = raw.removeprefix("${jsonencode(").removesuffix(")}")
    try:
        return mapping(json.loads(raw))
    except ValueError:
        return {}
