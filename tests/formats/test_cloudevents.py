"""CloudEvents in JSON."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.domain.errors import MalformedEvent
from seawall.formats.cloudevents import AUDIT_RECEIVED, carrying, parse


@given(st.binary(max_size=2000), st.text(max_size=50))
def test_raw_bytes_travel_unchanged(body, subject) -> None:
    event = parse(carrying(AUDIT_RECEIVED, "id-1", "/audit", body, subject=subject).to_bytes())
    assert (event.body, event.subject, event.type) == (body, subject, AUDIT_RECEIVED)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"specversion":"0.3","id":"1","source":"/","type":"t"}',
        b'{"specversion":"1.0","source":"/","type":"t"}',
        b"\xff",
    ],
)
def test_anything_else_is_malformed(raw) -> None:
    with pytest.raises(MalformedEvent):
        parse(raw)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise_anything_else(raw) -> None:
    with suppress(MalformedEvent):
        parse(raw)
