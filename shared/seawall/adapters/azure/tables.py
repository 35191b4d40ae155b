"""The custom tables in Log Analytics: one source of their columns for rows, Bicep and Terraform.

`python -m seawall.adapters.azure.tables` writes `infra/sentinel/tables.json`, which both read. A published column never
changes its meaning or type; new ones are added at the end and `SCHEMA_VERSION` counts up.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum

SCHEMA_VERSION = 1


class Type(StrEnum):
    """Column types of Log Analytics, as the tables API spells them."""

    DATETIME = "datetime"
    STRING = "string"
    INT = "int"
    REAL = "real"
    BOOL = "boolean"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table and of its stream."""

    name: str
    type: Type
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """A custom table; rows arrive through the stream `Custom-<name>` of the data collection rule."""

    name: str
    description: str
    columns: tuple[Column, ...]
    plan: str = "Analytics"
    """Rules do not run on Basic or Auxiliary tables."""

    @property
    def stream(self) -> str:
        """The stream's name in the data collection rule."""
        return f"Custom-{self.name}"

    @property
    def column_names(self) -> frozenset[str]:
        """What a row may carry."""
        return frozenset(column.name for column in self.columns)


def _columns(*rows: tuple[str, Type, str]) -> tuple[Column, ...]:
    return (
        Column("TimeGenerated", Type.DATETIME, "When this state came about, UTC"),
        *(Column(*row) for row in rows),
        Column("SchemaVersion", Type.INT, "Version of this row's columns"),
    )


_WHERE = (
    ("Cluster", Type.STRING, "Name of the cluster"),
    ("ClusterResourceId", Type.STRING, "Azure resource id, ARN or Google resource name of the cluster"),
    ("Namespace", Type.STRING, "Kubernetes namespace"),
    ("Pod", Type.STRING, "Pod"),
    ("Image", Type.STRING, "Image reference"),
    ("Digest", Type.STRING, "Image digest, sha256:<hex>"),
    ("Node", Type.STRING, "Node"),
    ("Principal", Type.STRING, "User, service account or cloud identity"),
    ("SourceIp", Type.STRING, "Address that the action came from"),
    ("Process", Type.STRING, "Command line of the process"),
    ("Url", Type.STRING, "Domain or address on the other side"),
)

INCIDENT = Table(
    "SeawallIncident_CL",
    "One row per state change of an incident; the analytics rules read rows with EmitAlert",
    _columns(
        ("IncidentKey", Type.STRING, "Stable id of the incident"),
        ("Seq", Type.INT, "Number of the state change; (IncidentKey, Seq) tells repeats apart"),
        ("Title", Type.STRING, "Alert name with the short key, at most 256 bytes"),
        ("Description", Type.STRING, "What happened and what to do, at most 5 KB"),
        ("Severity", Type.STRING, "High, Medium, Low or Informational"),
        ("Status", Type.STRING, "New, Active or Closed"),
        ("Tactics", Type.STRING, "ATT&CK tactics, comma separated, as Sentinel spells them"),
        ("Techniques", Type.STRING, "ATT&CK technique ids, comma separated"),
        ("SubTechniques", Type.STRING, "ATT&CK sub-technique ids, comma separated"),
        *_WHERE,
        ("Entities", Type.DYNAMIC, "Every entity: kind, id, scope"),
        ("EvidenceCount", Type.INT, "Alerts behind it, rows in SeawallEvidence_CL"),
        ("FirstSeen", Type.DATETIME, "Time of the first event"),
        ("LastSeen", Type.DATETIME, "Time of the last event"),
        ("EmitAlert", Type.BOOL, "This row raises an alert"),
        ("MergedInto", Type.STRING, "Key of the incident that took this one over"),
        ("RolledUp", Type.DYNAMIC, "Keys of the incidents that a roll-up row stands for"),
    ),
)

EVIDENCE = Table(
    "SeawallEvidence_CL",
    "One row per alert and growth of it: what incidents are made of",
    _columns(
        ("AlertId", Type.STRING, "Stable id of the alert"),
        ("IncidentKey", Type.STRING, "Incident that it belongs to"),
        ("Count", Type.INT, "Events folded into it; (AlertId, Count) tells repeats apart"),
        ("Analytic", Type.STRING, "Id of the analytic"),
        ("Title", Type.STRING, "Title of the analytic"),
        ("Message", Type.STRING, "What happened, in one sentence"),
        ("Severity", Type.STRING, "High, Medium, Low or Informational"),
        ("Confidence", Type.STRING, "high, medium or low"),
        ("Source", Type.STRING, "audit, runtime, cloud, registry or inventory"),
        ("Techniques", Type.STRING, "ATT&CK technique ids, comma separated"),
        *_WHERE,
        ("FirstSeen", Type.DATETIME, "Time of the first event"),
        ("LastSeen", Type.DATETIME, "Time of the last event"),
        ("Response", Type.STRING, "What an analyst does next"),
        ("Reasons", Type.DYNAMIC, "Why the severity is what it is"),
        ("Context", Type.DYNAMIC, "Further fields by source"),
        ("Evidence", Type.DYNAMIC, "The events: source, id, time, summary"),
    ),
)

FINDING = Table(
    "SeawallFinding_CL",
    "One row per vulnerability of a package in a scanned image",
    _columns(
        ("Digest", Type.STRING, "Image digest, sha256:<hex>"),
        ("Image", Type.STRING, "Image reference"),
        ("Platform", Type.STRING, "os/architecture[/variant]"),
        ("Vulnerability", Type.STRING, "CVE, or the advisory's own id"),
        ("Package", Type.STRING, "Name of the package"),
        ("Purl", Type.STRING, "Package URL"),
        ("InstalledVersion", Type.STRING, "Version in the image"),
        ("FixedVersion", Type.STRING, "Lowest version that ends it, empty = none"),
        ("Severity", Type.STRING, "Critical, High, Medium, Low, Informational or Unknown"),
        ("Cvss", Type.REAL, "Base score 0 to 10"),
        ("Epss", Type.REAL, "Probability of exploitation within 30 days, 0 to 1"),
        ("InKev", Type.BOOL, "In CISA's catalogue of exploited vulnerabilities"),
        ("Status", Type.STRING, "open, suppressed, wont_fix or not_affected"),
        ("StatusReason", Type.STRING, "Why it is not open"),
        ("Path", Type.STRING, "Where the package was found"),
        ("Layer", Type.STRING, "Digest of the layer that brought it"),
        ("Database", Type.STRING, "Id of the advisory file; (Digest, Database, Vulnerability, Purl, Path) is the key"),
    ),
)

INVENTORY = Table(
    "SeawallInventory_CL",
    "One row per asset and day, and one per scanned image",
    _columns(
        ("AssetId", Type.STRING, "Globally unique id"),
        ("Kind", Type.STRING, "cluster, node, workload, image, identity, ..."),
        ("Name", Type.STRING, "Name"),
        ("Parent", Type.STRING, "AssetId of what contains it"),
        ("Properties", Type.DYNAMIC, "Further properties"),
    ),
)

POSTURE = Table(
    "SeawallPosture_CL",
    "One row per control, object and day",
    _columns(
        ("AssessmentId", Type.STRING, "Stable over rescans"),
        ("Control", Type.STRING, "Id of the control"),
        ("Title", Type.STRING, "What the control asks"),
        ("Status", Type.STRING, "pass, fail, manual, not_applicable or unknown"),
        ("Severity", Type.STRING, "High, Medium, Low or Informational"),
        ("Cluster", Type.STRING, "Name of the cluster"),
        ("Namespace", Type.STRING, "Kubernetes namespace"),
        ("ObjectKind", Type.STRING, "Kind of the object, or its cloud type"),
        ("ObjectName", Type.STRING, "Name of the object"),
        ("Path", Type.STRING, "Place in the object"),
        ("Actual", Type.DYNAMIC, "What is there"),
        ("Expected", Type.DYNAMIC, "What should be there"),
        ("Fix", Type.STRING, "How to fix it"),
        ("Reason", Type.STRING, "Why the status is unknown or not applicable"),
        ("Excepted", Type.STRING, "Reason of the exception that covers it"),
    ),
)

TABLES = (INCIDENT, EVIDENCE, FINDING, INVENTORY, POSTURE)


def document() -> str:
    """Return the tables as the JSON that infrastructure code reads."""
    tables = [asdict(table) | {"stream": table.stream} for table in TABLES]
    return json.dumps({"schemaVersion": SCHEMA_VERSION, "tables": tables}, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
