"""Admission policies from the same rows that decide the controls."""

from __future__ import annotations

from seawall.catalog import collect
from seawall.posture.enforcement.expressions import EXPRESSIONS, Expression
from seawall.posture.fields import FieldControl

POD_KINDS = ("Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "CronJob", "ReplicationController")


def enforceable() -> dict[str, FieldControl | Expression]:
    """Return what decides controls of Kubernetes objects from the object alone, by id."""
    rows: dict[str, FieldControl | Expression] = {
        row.id: row
        for row in collect("seawall.posture.checks", FieldControl)
        if row.enforce and not any("/" in kind or "::" in kind for kind in row.kinds)
    }
    rows.update({row.id: row for row in EXPRESSIONS})
    return dict(sorted(rows.items()))


def cloud_rows() -> dict[str, FieldControl]:
    """Return the field controls of Azure resources, by id."""
    return {
        row.id: row
        for row in collect("seawall.posture.checks", FieldControl)
        if any(kind.startswith("Microsoft.") for kind in row.kinds)
    }
