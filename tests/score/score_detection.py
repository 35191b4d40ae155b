"""Recall and false alerts on audit events that other projects published (`../shared/data/audit`).

Strong rows need an alert of medium or higher, weak rows any alert; a false alert is one of medium or higher on a benign
row. Exit code 1 when a required figure is missed.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from seawall.app.detect_logs import detect_logs
from seawall.domain.severity import Severity

DATA = Path(__file__).parents[3] / "shared" / "data" / "audit"
REQUIRED = {"strong": 0.97, "weak": 0.90}
MOST_FALSE_PER_1000 = 1.0


def main() -> int:
    """Print the scores; return the exit code."""
    if not (DATA / "labels.tsv").is_file():
        print("skipped: needs ../shared")
        return 0
    rows = defaultdict(dict)
    with (DATA / "labels.tsv").open(newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            rows[row["file"]][int(row["index"])] = row
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    false_alerts = defaultdict(set)
    benign = defaultdict(int)
    unread, missed = 0, []
    for file, labels in sorted(rows.items()):
        with (DATA / file).open("rb") as stream:
            found = detect_logs([(file, stream)])
        unread += max(len(labels) - found.events, 0)
        best: dict[int, Severity] = defaultdict(lambda: Severity.UNKNOWN)
        for alert in found.alerts:
            for evidence in alert.evidence:
                best[evidence.index] = max(best[evidence.index], alert.severity)
                row = labels.get(evidence.index)
                if row and row["expected"] == "benign" and alert.severity >= Severity.MEDIUM:
                    false_alerts[file.split("/")[0]].add((file, evidence.index, alert.analytic, alert.id))
        for index, row in labels.items():
            source = file.split("/")[0]
            if row["expected"].startswith("malicious"):
                needed = Severity.MEDIUM if row["strength"] == "strong" else Severity.INFORMATIONAL
                hit = best[index] >= needed
                totals[source, row["strength"]][0] += hit
                totals[source, row["strength"]][1] += 1
                if not hit:
                    missed.append((file, index, row["strength"], row["expected"], row["note"]))
            elif row["expected"] == "benign":
                benign[source] += 1
    print(f"{'source':<28}{'strong':>12}{'weak':>12}{'benign':>9}{'false':>7}{'per 1000':>10}")
    for source in sorted({name for name, _ in totals} | benign.keys()):
        cells = [_share(totals[source, strength]) for strength in ("strong", "weak")]
        alerts = len({entry[3] for entry in false_alerts[source]})
        rate = 1000 * alerts / benign[source] if benign[source] else 0
        print(f"{source:<28}{cells[0]:>12}{cells[1]:>12}{benign[source]:>9}{alerts:>7}{rate:>10.2f}")
    good = unread == 0
    for strength, least in REQUIRED.items():
        hits = sum(totals[key][0] for key in list(totals) if key[1] == strength)
        every = sum(totals[key][1] for key in list(totals) if key[1] == strength)
        good &= hits / every >= least
        print(f"recall {strength}: {hits}/{every} = {hits / every:.1%} (required {least:.0%})")
    count = len({entry[3] for found in false_alerts.values() for entry in found})
    rate = 1000 * count / sum(benign.values())
    good &= rate < MOST_FALSE_PER_1000
    print(
        f"false alerts: {count} on {sum(benign.values())} benign events = {rate:.2f} per 1,000 (required under {MOST_FALSE_PER_1000:g})"
    )
    print(f"rows that did not parse: {unread}")
    for entry in missed:
        print("missed:", *entry)
    for source in sorted(false_alerts):
        for entry in sorted(false_alerts[source]):
            print("false:", *entry[:3])
    return 0 if good else 1


def _share(pair: list[int]) -> str:
    return f"{pair[0]}/{pair[1]}" if pair[1] else "-"


if __name__ == "__main__":
    sys.exit(main())
