"""The published schemas are what the code says, and real events fit them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from seawall.domain.images import ImagePushed
from seawall.formats.cloudevents import AUDIT_RECEIVED, IMAGE_PUSHED, CloudEvent, carrying
from seawall.formats.event_schemas import schemas

DOCS = Path(__file__).parents[2] / "docs" / "events"


@pytest.mark.parametrize("kind", sorted(schemas()))
def test_the_published_schema_is_current(kind) -> None:
    assert json.loads((DOCS / f"{kind}.schema.json").read_text()) == schemas()[kind], (
        "python -m seawall.formats.event_schemas docs/events"
    )


def test_events_fit_their_schema() -> None:
    push = ImagePushed("r.example", "shop/api", "sha256:" + "1" * 64)
    event = CloudEvent(id="1", source="//r.example", type=IMAGE_PUSHED, data=msgspec.to_builtins(push))
    jsonschema.validate(json.loads(event.to_bytes()), schemas()[IMAGE_PUSHED])
    jsonschema.validate(
        json.loads(carrying(AUDIT_RECEIVED, "1", "/audit", b"{}").to_bytes()), schemas()[AUDIT_RECEIVED]
    )


def test_another_type_does_not_fit() -> None:
    event = carrying(AUDIT_RECEIVED, "1", "/audit", b"{}")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(event.to_bytes()), schemas()[IMAGE_PUSHED])
