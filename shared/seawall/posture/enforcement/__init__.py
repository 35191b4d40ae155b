"""Admission policies from the same rows that decide the controls."""

from __future__ import annotations

from seawall.catalog import collect
from seawall.posture.fields import FieldControl

POD_KINDS = ("Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "CronJob", "ReplicationController")


def enforceable() -> dict[str, FieldControl]:
    """Return the field controls of Kubernetes objects that can be decided from the object alone, by id."""
    return {
        row.id: row
        for row in collect("seawall.posture.checks", FieldControl)
        if row.enforce and not any("/" in kind or "::" in kind for kind in row.kinds)
    }


def cloud_rows() -> dict[str, FieldControl]:
    """Return the field controls of Azure resources, by id."""
    return {
        row.id: row
        for row in collect("seawall.posture.checks", FieldControl)
        if any(kind.startswith("Microsoft.") for kind in row.kinds)
    }
