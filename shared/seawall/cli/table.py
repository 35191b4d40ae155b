"""One look for the tables of the command line. Imports rich: commands import it where they print."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table

from seawall.domain.severity import Severity

SEVERITY_STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFORMATIONAL: "dim",
    Severity.UNKNOWN: "dim",
}


def listing(
    *headings: str, right: Collection[str] = (), whole: Collection[str] = (), widest: str = "", title: str = ""
) -> Table:
    """Return an empty table without lines: its cells break over several lines rather than lose a letter.

    Args:
        headings: The names of the columns.
        right: Columns of numbers.
        whole: Columns that are never broken: ids, severities.
        widest: The column that gets the room that is left.
        title: What stands above it.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    if title:
        table.title, table.title_justify, table.title_style = title, "left", "bold"
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=heading in whole,
            overflow="fold",
            ratio=1 if heading == widest else None,
        )
    return table
