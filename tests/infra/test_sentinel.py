"""Rules, hunting queries and the workbook name only columns that are there, within the limits of the service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from seawall.adapters.azure.rows import CUSTOM_DETAILS
from seawall.adapters.azure.tables import INCIDENT, TABLES

HERE = Path(__file__).parents[2] / "infra/sentinel"
RULES = sorted((HERE / "rules").glob("*.json"))
ENTITIES = {
    "Account", "Host", "IP", "Malware", "File", "Process", "CloudApplication", "DNS", "AzureResource", "FileHash",
    "RegistryKey", "RegistryValue", "SecurityGroup", "URL", "Mailbox", "MailCluster", "MailMessage", "SubmissionMail",
}  # fmt: skip
WORDS = re.compile(r"\b[A-Z][A-Za-z0-9]*\b")
BUILT_IN = {
    "SecurityAlert",
    "AlertName",
    "DisplayName",
    "ExtendedProperties",
    "Details",
    "Custom",
    "TimeGenerated",
    "SHA256",
}


def queries() -> Iterator[tuple[str, str]]:
    for path in sorted(HERE.rglob("*.kql")):
        yield path.stem, path.read_text()
    for item in json.loads((HERE / "workbook.json").read_text())["items"]:
        if item["type"] == 3:
            yield item["name"], item["content"]["query"]


@pytest.mark.parametrize(("name", "query"), [pytest.param(*item, id=item[0]) for item in queries()])
def test_queries_read_columns_that_exist(name: str, query: str) -> None:
    text = re.sub(r'"[^"]*"|//[^\n]*', "", query)
    read = set(re.findall(r"Seawall\w+_CL", text))
    assert read <= {table.name for table in TABLES}
    assert read
    known = {column for table in TABLES if table.name in read for column in table.column_names}
    made = set(re.findall(r"\b([A-Z]\w*)\s*=(?!=)", text)) | set(re.findall(r"mv-expand (\w+)", text))
    assert {word for word in WORDS.findall(text) if not word.endswith("_CL")} <= known | made | BUILT_IN
    assert text.count("(") == text.count(")")


@pytest.mark.parametrize("path", RULES, ids=[path.stem for path in RULES])
def test_rules_keep_the_limits(path: Path) -> None:
    rule = json.loads(path.read_text())
    properties, query = rule["properties"], (path.parent / rule["queryFile"]).read_text()
    assert properties["incidentConfiguration"]["createIncident"], (
        "an alert without an incident is not seen in the portal"
    )
    assert properties["eventGroupingSettings"]["aggregationKind"] == "AlertPerResult"
    assert "by IncidentKey, Seq" in query
    assert set(properties["customDetails"]) == set(CUSTOM_DETAILS)
    assert len(properties["customDetails"]) <= 20
    assert len(properties["entityMappings"]) <= 10
    made = set(re.findall(r"(\w+) = ", query))
    for mapping in properties["entityMappings"]:
        assert mapping["entityType"] in ENTITIES
        for field in mapping["fieldMappings"]:
            assert field["columnName"] in INCIDENT.column_names | made
    assert rule["kind"] in ("NRT", "Scheduled")
    assert rule["apiVersion"].endswith("-preview") == (rule["kind"] == "NRT")
