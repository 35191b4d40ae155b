"""The entities of an incident as a picture: columns by role, from where the attack came to what it reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seawall.domain.alerts import Entity, EntityKind, EntityLink

_COLUMNS: tuple[tuple[EntityKind, ...], ...] = (
    (EntityKind.IP, EntityKind.DOMAIN),
    (EntityKind.USER, EntityKind.SERVICE_ACCOUNT, EntityKind.CLOUD_IDENTITY, EntityKind.CREDENTIAL),
    (EntityKind.WORKLOAD, EntityKind.POD, EntityKind.CONTAINER, EntityKind.NAMESPACE, EntityKind.PROCESS),
    (EntityKind.NODE, EntityKind.IMAGE, EntityKind.FILE, EntityKind.RESOURCE, EntityKind.REGISTRY, EntityKind.CLUSTER),
)
"""Kinds by column, left to right: sources, identities, what ran, what it reached."""

BOX_WIDTH, BOX_HEIGHT = 220, 42
_COLUMN_STEP, _ROW_STEP, _MARGIN = 320, 64, 12
_LABEL_LETTERS = 25
_LONGEST_COLUMN = 12


@dataclass(frozen=True, slots=True)
class Box:
    """An entity at its place; `label` is cut to fit, `title` is whole. Pixels, origin top left."""

    entity: Entity
    x: int
    y: int
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """One or more links between the same two boxes; `title` says all of them, `label` the first and how many more."""

    path: str
    """SVG path data."""
    label_x: int
    label_y: int
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What the template draws. `left_out` entities had no room; the table below the picture lists them."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    left_out: int


def draw(links: Sequence[EntityLink]) -> Picture | None:
    """Return the picture of `links`, the same for the same links; None when there is nothing to connect."""
    entities = sorted(
        {entity for link in links for entity in (link.source, link.target)},
        key=lambda entity: (_column(entity), -_degree(entity, links), entity.kind.value, entity.id, entity.scope),
    )
    boxes: dict[Entity, Box] = {}
    rows = [0] * len(_COLUMNS)
    left_out = 0
    used = sorted({_column(entity) for entity in entities})
    for entity in entities:
        column = _column(entity)
        if rows[column] == _LONGEST_COLUMN:
            left_out += 1
            continue
        x, y = _MARGIN + used.index(column) * _COLUMN_STEP, _MARGIN + rows[column] * _ROW_STEP
        title = f"{entity.kind.value.replace('_', ' ')} {entity.id}" + (f" in {entity.scope}" if entity.scope else "")
        boxes[entity] = Box(entity, x, y, _short(entity.id), title)
        rows[column] += 1
    if not boxes:
        return None
    return Picture(
        width=2 * _MARGIN + (len(used) - 1) * _COLUMN_STEP + BOX_WIDTH,
        height=2 * _MARGIN + (max(rows) - 1) * _ROW_STEP + BOX_HEIGHT,
        boxes=tuple(boxes.values()),
        lines=tuple(_lines(links, boxes)),
        left_out=left_out,
    )


def _lines(links: Sequence[EntityLink], boxes: dict[Entity, Box]) -> Iterable[Line]:
    between: dict[tuple[Entity, Entity], list[str]] = {}
    for link in links:
        if link.source in boxes and link.target in boxes:
            between.setdefault((link.source, link.target), []).append(link.kind)
    for (source, target), kinds in between.items():
        start, end = boxes[source], boxes[target]
        y1, y2 = start.y + BOX_HEIGHT // 2, end.y + BOX_HEIGHT // 2
        if start.x == end.x:  # within a column the line bends out to the right
            x = start.x + BOX_WIDTH
            bend = x + 46
            path, middle = f"M{x} {y1} C{bend} {y1} {bend} {y2} {x} {y2}", (x + 38, (y1 + y2) // 2)
        else:
            x1, x2 = (start.x + BOX_WIDTH, end.x) if start.x < end.x else (start.x, end.x + BOX_WIDTH)
            half = (x1 + x2) // 2
            path, middle = f"M{x1} {y1} C{half} {y1} {half} {y2} {x2} {y2}", (half, (y1 + y2) // 2)
        more = f" +{len(kinds) - 1}" if len(kinds) > 1 else ""
        yield Line(path, *middle, kinds[0] + more, f"{start.title}: {'; '.join(kinds)}: {end.title}")


def _column(entity: Entity) -> int:
    return next(index for index, kinds in enumerate(_COLUMNS) if entity.kind in kinds)


def _degree(entity: Entity, links: Sequence[EntityLink]) -> int:
    return sum(entity in (link.source, link.target) for link in links)


def _short(text: str) -> str:
    """The end of a name tells more than its start: `arn:aws:iam::…:user/ci` is known by its user."""
    return text if len(text) <= _LABEL_LETTERS else f"…{text[-(_LABEL_LETTERS - 1) :]}"
