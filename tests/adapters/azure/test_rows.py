"""Rows stay within the limits of the service, whatever an incident carries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seawall.adapters.azure import tables
from seawall.adapters.azure.logs_ingestion import batches
from seawall.adapters.azure.rows import CUSTOM_DETAILS, cut, evidence_row, incident_row, roll_up_row
from seawall.adapters.azure.tables import EVIDENCE, INCIDENT
from seawall.domain.alerts import Entity, EntityKind

from tests.support.publishing import ALERT, T0, incident
from tests.support.publishing import INCIDENT as AN_INCIDENT

TEXT = st.text(max_size=6000)


@given(title=TEXT, cluster=TEXT, namespace=TEXT, image=TEXT, pod=TEXT, message=TEXT)
def test_limits_hold_for_any_text(title: str, cluster: str, namespace: str, image: str, pod: str, message: str) -> None:
    alert = replace(ALERT, message=message, namespace=namespace, context={"image": image, "command_line": message * 10})
    item = replace(
        AN_INCIDENT,
        title=title,
        clusters=(cluster,),
        entities=(Entity(EntityKind.POD, pod), *[Entity(EntityKind.IP, message)] * 9),
    )
    row = incident_row(item, [alert] * 3, 3, emit=True, now=T0)
    assert len(row["Title"].encode()) <= 256
    assert len(row["Description"].encode()) <= 5 * 1024
    assert len(json.dumps({name: [row[name]] for name in CUSTOM_DETAILS}, ensure_ascii=False).encode()) <= 2048
    assert all(len(value.encode()) <= 32 * 1024 for value in row.values() if isinstance(value, str))
    assert row["IncidentKey"] == item.id
    assert row.keys() <= INCIDENT.column_names
    evidence = evidence_row(alert, item.id)
    assert evidence.keys() <= EVIDENCE.column_names
    assert len(json.dumps(evidence).encode()) < 900_000


def test_a_roll_up_of_thousands_stays_small() -> None:
    row = roll_up_row([incident(n, title="x" * 300) for n in range(3000)], "rollup-1", T0)
    assert len(json.dumps(row).encode()) < 64 * 1024
    assert row["Title"] == "3000 further incidents"


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=400), max_size=4), max_size=60),
    st.integers(40, 2000),
)
def test_batches_keep_the_limit_and_lose_nothing(rows: list[dict[str, str]], limit: int) -> None:
    found = list(batches(rows, limit))
    assert [position for batch in found for position, _ in batch] == list(range(len(rows)))
    for batch in found:
        body = b"[" + b",".join(raw for _, raw in batch) + b"]"
        assert json.loads(body) == [rows[position] for position, _ in batch]
        assert len(body) <= limit or len(batch) == 1


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("abc", 3, "abc", id="fits"),
        pytest.param("abcd", 4, "abcd", id="fits exactly"),
        pytest.param("abcde", 4, "a…", id="cut"),
        pytest.param("äöü", 5, "ä…", id="between characters"),
        pytest.param("a\ud800b", 10, "a?b", id="lone surrogate"),
    ],
)
def test_cut(text: str, limit: int, expected: str) -> None:
    assert cut(text, limit) == expected


def test_infrastructure_reads_the_same_columns() -> None:
    published = Path(__file__).parents[3] / "infra/sentinel/tables.json"
    assert published.read_text() == tables.document(), (
        "python -m seawall.adapters.azure.tables > infra/sentinel/tables.json"
    )
