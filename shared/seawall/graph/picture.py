"""Paths as a picture: Graphviz DOT for all of them, SVG for the best one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from seawall.graph.build import MEMBER
from seawall.graph.model import Vertex
from seawall.graph.paths import Path

_ROW, _WIDTH = 84, 640


def to_dot(paths: Sequence[Path]) -> str:
    """Return a Graphviz graph of the union of paths."""
    lines = ["digraph attack {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    seen: dict[tuple[str, str, str], None] = {}
    for path in paths:
        for source, target, link in zip(path.vertices, path.vertices[1:], path.links, strict=False):
            seen[str(source), str(target), link.edge] = None
    for one, other, edge in seen:
        label = f" [label={_quoted(edge)}]" if edge != MEMBER else " [style=dashed]"
        lines.append(f"  {_quoted(one)} -> {_quoted(other)}{label};")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def to_svg(path: Path) -> str:
    """Return an SVG document of one path, from top to bottom."""
    height = _ROW * len(path.vertices)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">'
    ]
    for row, vertex in enumerate(path.vertices):
        top = row * _ROW + 10
        parts.append(
            f'<rect x="10" y="{top}" width="{_WIDTH - 20}" height="38" rx="6" fill="#eef3fb" stroke="#35588c"/>'
            f'<text x="22" y="{top + 24}">{escape(_label(vertex))}</text>'
        )
        if row < len(path.links):
            link = path.links[row]
            parts.append(
                f'<path d="M40 {top + 38} V{top + 78} m-5 -8 l5 8 l5 -8" fill="none" stroke="#35588c"/>'
                f'<text x="54" y="{top + 63}" fill="#555" font-size="11">{escape((link.edge + "  " + link.cause).strip()[:95])}</text>'
            )
    return "".join([*parts, "</svg>\n"])


def _label(vertex: Vertex) -> str:
    text = str(vertex)
    return text if len(text) <= 88 else text[:87] + "…"
