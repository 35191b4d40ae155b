"""The JSON Schema of every CloudEvent that travels between doors, queues and functions.

`python -m seawall.formats.event_schemas docs/events` writes one file per type.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from seawall.domain.images import ImagePushed
from seawall.formats.cloudevents import (
    AUDIT_RECEIVED,
    IMAGE_PUSHED,
    INCIDENTS_CHANGED,
    POSTURE_RECEIVED,
    SENSOR_RECEIVED,
    CloudEvent,
)

_RAW = {
    AUDIT_RECEIVED: "Audit or cloud activity records as their source delivered them, any supported envelope; subject: the cluster, where the records do not name it.",
    SENSOR_RECEIVED: "One signed sensor batch (docs/sensor-batch.md); subject: the sensor's id; time: when the door took it.",
    POSTURE_RECEIVED: "Kubernetes manifests or an API dump, YAML or JSON; subject: the scope whose present state it is.",
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return a JSON Schema (draft 2020-12) by event type."""
    found = {
        IMAGE_PUSHED: _with_data("An image arrived in a registry.", IMAGE_PUSHED, msgspec.json.schema(ImagePushed))
    }
    found |= {kind: _with_bytes(text, kind) for kind, text in _RAW.items()}
    document = {
        "type": "object",
        "required": ["incident", "alerts"],
        "properties": {"incident": {"type": "object"}, "alerts": {"type": "array"}},
    }
    found[INCIDENTS_CHANGED] = _with_data(
        "An incident changed; id is <incident>/<number of the change>.", INCIDENTS_CHANGED, document
    )
    return found


def _envelope(description: str, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(CloudEvent)["$defs"]["CloudEvent"]
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{kind.replace('.', ':')}",
        "title": kind,
    }
    schema["description"] = description
    schema["properties"]["type"] = {"const": kind}
    return schema


def _with_data(description: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    schema = _envelope(description, kind)
    schema["$defs"] = schema.get("$defs", {}) | data.pop("$defs", {})
    schema["properties"]["data"] = data
    schema["required"] = [*schema["required"], "data"]
    return schema


def _with_bytes(description: str, kind: str) -> dict[str, Any]:
    schema = _envelope(description, kind)
    schema["properties"]["data_base64"] = {"type": "string", "contentEncoding": "base64", "description": description}
    schema["required"] = [*schema["required"], "data_base64"]
    return schema


def main(folder: str) -> None:
    """Write the files."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for kind, schema in schemas().items():
        (target / f"{kind}.schema.json").write_text(json.dumps(schema, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
