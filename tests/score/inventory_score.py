"""Recall of the inventory against what two scanners read out of the same folders (`fixtures/vuln/peer-inventory.tsv`).

Where both peers name a package and version, we should too. `run` is called by `score_vulnerabilities.py`.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from seawall.adapters.images.sources import Sources
from seawall.app.inventory_image import inventory_image
from seawall.packages.purls import pypi_name

REQUIRED = 0.98
EXPLAINED = {
    ("lang/nodejs/yarn", "foo-debug"): "an alias of debug: both peers report the alias, which no advisory names",
    ("lang/nodejs/yarn", "foo-json"): "an alias of @types/jsonstream",
    ("lang/nodejs/yarn", "foo-ms"): "an alias of ms",
    ("lang/nodejs/yarn", "foo-uuid"): "an alias of @types/uuid",
    ("lang/java/pom", "example-api"): "a placeholder (@example.version@) that a build has to fill in, not a version",
}
"""Misses that are right, by folder and name; they still count against the figure."""

Row = tuple[str, float, float, list[str]]
"""(what was measured, figure, required figure, misses)."""


def _key(kind: str, name: str, version: str) -> tuple[str, str]:
    name = name.rpartition(":")[2] if ":" in name else name
    if kind in ("python", "python-pkg", "pip", "poetry", "pypi"):
        name = pypi_name(name)
    version = version.removeprefix("go") if name == "stdlib" else version
    head, colon, rest = version.partition(":")
    if colon and head.isdigit():
        version = rest  # an epoch, which one peer writes and the other does not
    return name.lower(), version.removeprefix("v")


def run(data: Path) -> list[Row]:
    """Return the recall over packages that Syft and Trivy both report, and over all that any two of the three runs report."""
    root = data / "fixtures/vuln"
    tools: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    with (root / "peer-inventory.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["name"] and row["version"]:
                tools[row["folder"]][_key(row["type"], row["name"], row["version"])].add(row["tool"])
    peers_found = peers_total = runs_found = runs_total = 0
    peer_misses: list[str] = []
    run_misses: list[str] = []
    for folder in sorted(tools):
        inventory = inventory_image(f"dir:{root / folder}", sources=Sources(_no_registry))
        ours = {
            _key(package.purl.partition("/")[0].removeprefix("pkg:"), package.name, package.version)
            for package in inventory.packages
        }
        for key, seen in sorted(tools[folder].items()):
            both = "syft" in seen and len(seen) > 1
            if len(seen) < 2:
                continue
            found = key in ours
            runs_total += 1
            runs_found += found
            peers_total += both
            peers_found += both and found
            if not found:
                reason = EXPLAINED.get((folder, key[0]), "")
                text = f"{folder}: {key[0]} {key[1]}" + (f" ({reason})" if reason else "")
                run_misses.append(text)
                if both:
                    peer_misses.append(text)
    return [
        (f"inventory recall, Syft and Trivy agree ({peers_total})", peers_found / peers_total, REQUIRED, peer_misses),
        (f"inventory recall, any two runs agree ({runs_total})", runs_found / runs_total, REQUIRED, run_misses),
    ]


def _no_registry() -> None:
    raise AssertionError("folders need no registry")


if __name__ == "__main__":
    for name, figure, required, misses in run(Path(__file__).parents[3] / "shared/data"):
        print(f"{name}: {figure:.2%} (required {required:.0%})")
        for miss in misses:
            print(f"  missed {miss}")
