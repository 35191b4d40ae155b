"""Carries a change over to the text as its author laid it out: lists at any indent, blank lines, folded lines."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final

_MOST_LINES: Final = 20_000
"""Above it lines are not compared: their number counts squared."""


def carry_over(source: str, before: str, after: str) -> str | None:
    """Return `source` with the lines changed that differ between `before` and `after`; None when they cannot be placed.

    `before` is `source` in the writer's own layout, `after` the same with the repair: only indents and line breaks of
    `source` and `before` differ. The caller compares what the result means with what `after` means.
    """
    lines, old, new = (text.splitlines(keepends=True) for text in (source, before, after))
    if max(len(lines), len(old), len(new)) > _MOST_LINES:
        return None
    place = _places(old, lines)
    drop: set[int] = set()
    add: dict[int, list[str]] = {}
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for number in range(i1, i2):
            if number not in place:
                return None
            if not _is_comment(
                old[number]
            ):  # a comment goes with the line above it when that is removed; people want it kept
                drop.add(place[number])
        if j1 < j2:
            if i1 < i2:
                position = place[i1]
            elif i1 == 0:
                position = 0
            elif i1 - 1 in place:
                position = place[i1 - 1] + 1
            else:
                return None
            add.setdefault(position, []).extend(
                _indented([line for line in new[j1:j2] if not _is_comment(line)], old, i1, lines, place)
            )
    out: list[str] = []
    for number in range(len(lines) + 1):
        out += add.get(number, [])
        if number < len(lines) and number not in drop:
            line = lines[number]
            out.append(line if line.endswith("\n") or not add.get(number + 1) else f"{line}\n")
    return "".join(out)


def _places(old: list[str], lines: list[str]) -> dict[int, int]:
    """Return for each line of the writer's layout the line of the author's that says the same."""
    theirs = [number for number, line in enumerate(lines) if line.strip()]
    ours = [number for number, line in enumerate(old) if line.strip()]
    if [_said(old[number]) for number in ours] == [_said(lines[number]) for number in theirs]:
        return dict(zip(ours, theirs, strict=True))
    found: dict[int, int] = {}
    matcher = SequenceMatcher(None, [_said(line) for line in old], [_said(line) for line in lines], autojunk=False)
    for block in matcher.get_matching_blocks():
        found.update({block.a + offset: block.b + offset for offset in range(block.size)})
    return found


def _said(line: str) -> str:
    """A line without its spacing: the writer moves comments to columns of its own."""
    return " ".join(line.split())


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _indented(added: list[str], old: list[str], start: int, lines: list[str], place: dict[int, int]) -> list[str]:
    """Shift each added line as far as the author shifted the line that it is a sibling or child of."""
    done: list[tuple[str, int]] = []
    out = []
    for line in added:
        own, shift = _indent(line), 0
        for before, moved in [*reversed(done), *_shifts(old, start, lines, place)]:
            if _holds(before, line, own):
                shift = moved
                break
        if line.strip():
            done.append((line, shift))
            line = " " * max(0, own + shift) + line.lstrip(" ")
        out.append(line)
    return out


def _shifts(old: list[str], start: int, lines: list[str], place: dict[int, int]) -> Iterator[tuple[str, int]]:
    """Yield the lines before `start`, the nearest first, with the shift that the author gave them."""
    for number in range(start - 1, -1, -1):
        line = old[number]
        if number in place and line.strip() and not _is_comment(line):
            yield line, _indent(lines[place[number]]) - _indent(line)


def _holds(before: str, line: str, own: int) -> bool:
    """Whether the line before is the elder sibling or the parent of a line with this indent.

    The writer puts the dashes of a list below its key, so that at the same indent a dash is no sibling of a key.
    """
    indent = _indent(before)
    if indent < own:
        return True
    return indent == own and (not before.lstrip().startswith("- ") or line.lstrip().startswith("- "))
