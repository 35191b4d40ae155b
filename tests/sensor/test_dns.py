from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall_sensor.dns import parse

QUERY = bytes.fromhex("123401000001000000000000") + b"\x03WWW\x07example\x03org\x00" + bytes.fromhex("00010001")
ANSWER = (
    bytes.fromhex("123481800001000200000000") + b"\x03www\x07example\x03org\x00" + bytes.fromhex("00010001")
    + bytes.fromhex("c00c000500010000003c0006") + b"\x03cdn\xc0\x10" + bytes.fromhex("c00c00010001000000050004c0000201")
)  # fmt: skip


def test_question():
    message = parse(QUERY)
    assert (message.name, message.type, message.answer, message.malformed) == ("www.example.org", "A", False, "")


def test_answers_with_compressed_names():
    message = parse(ANSWER)
    assert message.answers == (("CNAME", "cdn.example.org"), ("A", "192.0.2.1"))
    assert (message.ttl_s, message.rcode) == (5, 0)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "shorter than a header", id="empty"),
        pytest.param(QUERY[:20], "label runs over the end", id="cut"),
        pytest.param(QUERY[:12] + b"\xc0\x0c\x00\x01\x00\x01", "pointer does not point back", id="pointer to itself"),
        pytest.param(QUERY[:12] + b"\x80a", "label type", id="reserved label"),
        pytest.param(b"\x00\x00\x28" + QUERY[3:], "operation 5", id="update is known"),
    ],
)
def test_malformed(raw, reason):
    found = parse(raw).malformed
    assert found == (reason if reason != "operation 5" else "")


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes_give_a_message(raw, tcp):
    assert len(parse(raw, tcp=tcp).answers) <= 32
