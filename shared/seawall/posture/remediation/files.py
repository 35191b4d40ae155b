"""Repairs manifests in their files and keeps comments, order and quoting."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seawall.domain.errors import InputError
from seawall.domain.posture import Assessment, Status
from seawall.posture.engine import evaluate
from seawall.posture.loading import Loaded, load_bytes
from seawall.posture.objects import Note
from seawall.posture.remediation.layout import carry_over
from seawall.posture.remediation.patches import edit, operations, repairable
from seawall.posture.world import World

_DEPTH = 6


@dataclass(slots=True)
class Repair:
    """One file after its repair: `text` is the new content, `fixed` what was repaired, `left` what was not."""

    path: Path
    before: str
    text: str
    fixed: list[Assessment] = field(default_factory=list)
    left: list[Assessment] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.text != self.before


def repair_text(
    source: str, name: str, *, today: date, grades: Sequence[str] = ("A",), wanted: Sequence[str] | None = None
) -> tuple[str, list[Assessment], list[Assessment], list[Note]]:
    """Return a manifest stream with every failure repaired whose control has one of the grades.

    Returns:
        The new text, what was repaired, what was left, and notes on what could not be read. A stream that cannot be
        read comes back unchanged.
    """
    reader = YAML(typ="rt")
    reader.preserve_quotes = True
    reader.width = 4096
    reader.indent(mapping=2, sequence=_sequence_indent(source), offset=_sequence_indent(source) - 2)
    try:
        parsed = list(reader.load_all(source))
        before = _dump(reader, parsed)
    except (YAMLError, ValueError, RecursionError) as error:
        why = (
            "a Helm template: change the chart's values, or repair what `helm template` renders"
            if "{{" in source
            else str(error).splitlines()[0]
        )
        return source, [], [], [Note(name, f"left as it is: {why}")]
    fixed: list[Assessment] = []
    left: list[Assessment] = []
    seen: set[str] = set()
    objects = _objects(parsed)
    # A repair can bring a finding to light that it hid (a dropped annotation shows the missing field), hence the rounds.
    for _ in range(_DEPTH):
        loaded = Loaded()
        load_bytes(_dump(reader, parsed).encode(), loaded, name)
        report = evaluate(World(loaded.objects, today=today), wanted)
        left, progress = [], False
        for number, target, finding in report.found:
            if finding.status is not Status.FAIL or target < 0 or target >= len(objects):
                continue
            item = report.assessment(number, target, finding)
            if not _is_of(objects[target], item):
                left.append(item)
                continue
            edits = [edit(objects[target], change) for change in operations(item)] if repairable(item, grades) else []
            if edits:
                # Another repair of this round may have done it already.
                progress = progress or any(edits)
                if item.id not in seen:
                    seen.add(item.id)
                    fixed.append(item)
            else:
                left.append(item)
        if not progress:
            break
    return (_laid_out(source, before, _dump(reader, parsed)) if fixed else source), fixed, left, loaded.notes


def _is_of(body: Any, item: Assessment) -> bool:
    """Whether a document is the object that a result names, as far as it names one."""
    meta = body.get("metadata") if isinstance(body, dict) else None
    name = meta.get("name") or meta.get("generateName") if isinstance(meta, dict) else None
    return str(body.get("kind")) == item.object.kind and str(name or "") == item.object.name


def _laid_out(source: str, before: str, after: str) -> str:
    """Return the repaired text in its author's layout where that means the same, else in the writer's."""
    found = carry_over(source, before, after)
    if found is None:
        return after
    plain = YAML(typ="safe", pure=True)
    plain.allow_duplicate_keys = True
    try:
        same = list(plain.load_all(found)) == list(plain.load_all(after))
    except (YAMLError, ValueError, RecursionError):
        same = False
    return found if same else after


def _objects(parsed: list[Any]) -> list[Any]:
    """Return the objects of a stream in the order in which they are loaded; lists are opened."""
    found: list[Any] = []
    for document in parsed:
        if (
            isinstance(document, dict)
            and str(document.get("kind", "")).endswith("List")
            and isinstance(document.get("items"), list)
        ):
            found += [item for item in document["items"] if isinstance(item, dict)]
        elif isinstance(document, dict) and document.get("kind"):
            found.append(document)
    return found


def _sequence_indent(source: str) -> int:
    """Most manifests do not indent the dashes of a list below its key; keep what the file does."""
    lines = source.splitlines()
    tally: dict[int, int] = defaultdict(int)
    for line, following in pairwise(lines):
        stripped = following.lstrip()
        if line.rstrip().endswith(":") and stripped.startswith("- ") and not line.lstrip().startswith("#"):
            start = line.lstrip()
            own = len(line) - len(start) + (2 if start.startswith("- ") else 0)
            tally[len(following) - len(stripped) - own] += 1
    return 4 if tally[2] > tally[0] else 2


def _dump(reader: YAML, parsed: list[Any]) -> str:
    out = io.StringIO()
    reader.dump_all(parsed, out)
    return out.getvalue()


def repair_file(
    path: Path, *, today: date, grades: Sequence[str] = ("A",), wanted: Sequence[str] | None = None
) -> Repair:
    """Return the repair of one file, which is not written.

    Raises:
        InputError: the file cannot be read or is no text.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"cannot read {path}: {why}") from error
    text, fixed, left, notes = repair_text(source, str(path), today=today, grades=grades, wanted=wanted)
    return Repair(path, source, text, fixed, left, notes)
