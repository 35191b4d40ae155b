"""Rules, hunting queries and the workbook, parsed and bound by Microsoft's Kusto language library with our tables."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from seawall.adapters.azure.rows import CUSTOM_DETAILS
from seawall.adapters.azure.tables import TABLES

ROOT = Path(__file__).parents[2]
SENTINEL = ROOT / "infra/sentinel"
NPM = ROOT / "tests/support/npm/node_modules"
# The columns that we use of tables that Azure makes (Azure Monitor Logs reference).
AZURE_TABLES = {
    "SecurityAlert": {"TimeGenerated": "datetime", "ExtendedProperties": "string", "AlertName": "string"},
    "requests": {"timestamp": "datetime", "success": "bool", "name": "string"},
    "traces": {"timestamp": "datetime", "message": "string"},
}
KINDS = {"boolean": "bool"}
RULE: dict[str, Any] = json.loads((SENTINEL / "rule.json").read_text())
RULES = ("incident.kql", "incident_catch_up.kql")


def queries() -> dict[str, str]:
    """Every query that is deployed, by where it is; parameters of the workbook get the values that the portal puts in."""
    found = {name: (SENTINEL / name).read_text() for name in RULES}
    found |= {f"hunting {item['id']}": item["query"] for item in json.loads((SENTINEL / "hunting.json").read_text())}
    for item in json.loads((SENTINEL / "workbook.json").read_text())["items"]:
        content = item["content"]
        texts = [content] if item["type"] == 3 else content.get("parameters", ())
        for text in (entry for entry in texts if entry.get("query")):
            name = text.get("name", item["name"])
            found[f"workbook {name}"] = text["query"].replace("{Clusters}", "'prod','test'")
    bicep = (ROOT / "infra/bicep/modules/alerts.bicep").read_text()
    terraform = (ROOT / "infra/terraform/azure/alerts.tf").read_text()
    alerts = (
        re.findall(r"query: '(.+)'", bicep),
        [json.loads(text) for text in re.findall(r'query +=\s(".+")', terraform)],
    )
    assert alerts[0] == alerts[1]
    return found | {f"alert {number}": text for number, text in enumerate(alerts[0])}


def bound(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Errors and result columns of each query."""
    tables = {
        table.name: {column.name: KINDS.get(column.type, column.type) for column in table.columns} for table in TABLES
    }
    done = subprocess.run(
        ["node", ROOT / "tests/support/kql.js"],
        input=json.dumps({"tables": tables | AZURE_TABLES, "queries": texts}),
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_PATH": str(NPM)},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return result


MISTAKES = {
    "column": ("SeawallIncident_CL | where Emit", "Emit"),
    "table": ("SeawallIncidents_CL | take 1", "SeawallIncidents_CL"),
    "type": ("SeawallFinding_CL | where InKev startswith 'y'", "operand types"),
    "operator": ("SeawallPosture_CL | sumarize count() by Control", "Query operator expected"),
    "function": ("SeawallEvidence_CL | extend x = substr(Digest, 1)", "substr"),
}


@pytest.fixture(scope="module")
def all_bound() -> dict[str, dict[str, Any]]:
    return bound(queries() | {f"mistake {name}": text for name, (text, _) in MISTAKES.items()})


@pytest.mark.real("kusto")
def test_every_query_binds(all_bound: dict[str, dict[str, Any]]) -> None:
    found = queries()
    assert len(found) >= 16
    for name, text in found.items():
        assert not re.search(r"{\w+}", text), f"{name} has a parameter that is not put in"
        assert all_bound[name]["errors"] == [], name


@pytest.mark.real("kusto")
@pytest.mark.parametrize("file", RULES)
def test_rule_maps_columns_that_its_query_returns_as_text(file: str, all_bound: dict[str, dict[str, Any]]) -> None:
    columns = all_bound[file]["columns"]
    mapped = {field["columnName"] for item in RULE["entityMappings"] for field in item["fieldMappings"]}
    named = {RULE["severityColumn"], RULE["tacticsColumn"], RULE["techniquesColumn"]}
    named |= set(re.findall(r"{{(\w+)}}", RULE["alertName"] + RULE["alertDescription"]))
    for column in mapped | named:
        assert columns[column] == "string", column
    assert set(RULE["customDetails"].values()) <= set(columns)
    assert "TimeGenerated" in columns


def test_custom_details_are_those_that_rows_keep_within_the_limit() -> None:
    """`rows.py` cuts these columns to 2 KB together; IncidentSeq is Seq as text."""
    assert {column.replace("IncidentSeq", "Seq") for column in RULE["customDetails"].values()} == set(CUSTOM_DETAILS)
    assert len(RULE["customDetails"]) <= 20
    assert len(RULE["entityMappings"]) <= 10
    assert all(len(item["fieldMappings"]) <= 3 for item in RULE["entityMappings"])


@pytest.mark.real("kusto")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name: str, all_bound: dict[str, dict[str, Any]]) -> None:
    assert MISTAKES[name][1] in " ".join(all_bound[f"mistake {name}"]["errors"])
