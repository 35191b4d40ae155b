"""The controls: title, severity, what to do, and what they answer in other catalogues. Data in `catalogue.tsv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from seawall.domain.severity import Severity

LISTS: Final = (
    "cis_kubernetes_1.12", "cis_aks_1.8", "cis_eks_1.8", "cis_gke_1.9", "pod_security_standards", "nsa_cisa",
    "nist_800_190", "nist_800_53_r5", "pci_dss_4.0.1", "iso_27001_2022", "soc_2", "hipaa", "mcsb", "kubescape", "trivy",
    "checkov", "polaris", "kube_linter", "kyverno", "prowler", "gatekeeper", "azure_policy", "azure_policy_ids",
)  # fmt: skip
"""Columns with lists of foreign ids, separated by "; "."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control. `grade` says how far it can be repaired: A by a patch without knowing the program, S suggested, M by a person."""

    id: str
    group: str
    title: str
    severity: Severity
    scope: str
    remedy: str
    grade: str
    theme: str
    mappings: dict[str, tuple[str, ...]]

    def maps_to(self, framework: str) -> tuple[str, ...]:
        """Return the requirements of a framework (a column of the catalogue) that this control is evidence for."""
        return self.mappings.get(framework, ())


@cache
def controls() -> dict[str, Control]:
    """Return every control by id, in the order of the catalogue."""
    found: dict[str, Control] = {}
    with files("seawall.posture").joinpath("catalogue.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            found[row["id"]] = Control(
                id=row["id"],
                group=row["group"],
                title=row["title"],
                severity=Severity.parse(row["severity"]),
                scope=row["scope"],
                remedy=row["remedy"],
                grade=row["grade"],
                theme=row["theme"],
                mappings={name: tuple(row[name].split("; ")) for name in LISTS if row[name]},
            )
    return found
