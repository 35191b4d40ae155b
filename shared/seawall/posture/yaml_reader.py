"""YAML as Kubernetes reads it, with the harm taken out: bounded aliases, no tags that build objects, duplicate keys told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from seawall.domain.errors import InputError

MAX_DOCUMENT_BYTES: Final = 32 << 20
MAX_EXPANDED_NODES: Final = 2_000_000
"""Nodes of one document after aliases are written out. A billion-laughs document passes it with ten lines."""
MAX_DEPTH: Final = 200

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SPLIT: Final = re.compile(rb"^---(?=[\s#]|$)[^\n]*\n?", re.MULTILINE)
_HELM: Final = re.compile(rb"\{\{-?\s*[\w.$\"(/]")
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_OCTAL: Final = re.compile(r"([-+]?)0o?([0-7_]+)$")
_HEX: Final = re.compile(r"[-+]?0x[0-9a-fA-F_]+$")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a stream: `value`, or `error` when it could not be read. `line` is where it starts, from 1."""

    line: int
    value: Any = None
    error: str = ""
    duplicates: tuple[str, ...] = ()


def documents(data: bytes) -> Iterator[Document]:
    """Yield every document of a YAML stream; one that cannot be read costs only itself.

    Aliases may not expand to more than `MAX_EXPANDED_NODES` nodes, nor refer to themselves. Of duplicate keys the last
    counts, as in the API server's lenient mode, and the document says which they were.
    """
    start, line = 0, 1
    edges = [(match.start(), match.end()) for match in _SPLIT.finditer(data)]
    for begin, end in [*edges, (len(data), len(data))]:
        chunk = data[start:begin]
        if chunk.strip():
            yield _one(chunk, line)
        line += data.count(b"\n", start, end)
        start = end


def _one(chunk: bytes, line: int) -> Document:
    if len(chunk) > MAX_DOCUMENT_BYTES:
        return Document(line, error=f"the document is larger than {MAX_DOCUMENT_BYTES >> 20} MiB")
    try:
        if chunk.count(b"[") + chunk.count(b"{") + chunk.count(b"- -") + chunk.count(b"? ?") > MAX_DEPTH:
            _refuse_deep(chunk)
        reader = _LOADER(chunk)
        try:
            node = reader.get_single_node()
        finally:
            reader.dispose()
        if node is None:
            return Document(line)
        builder = _Builder()
        return Document(line, builder.build(node, 0)[0], duplicates=tuple(builder.duplicates))
    except (yaml.YAMLError, InputError, ValueError, RecursionError, UnicodeError) as error:
        if _HELM.search(chunk):
            return Document(line, error="looks like a Helm template that was not rendered: run `helm template` first")
        mark = getattr(error, "problem_mark", None)
        where = f" at line {line + mark.line}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "message", None) or type(error).__name__
        return Document(line, error=f"not valid YAML{where}: {problem}")


def _refuse_deep(chunk: bytes) -> None:
    """Raise `InputError` for a nesting that would exhaust the composer's stack: it recurses in C, unguarded."""
    depth = 0
    for event in yaml.parse(chunk, _LOADER):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


class _Builder:
    """Builds plain values from a node graph and counts what aliases would expand to."""

    def __init__(self) -> None:
        self.duplicates: list[str] = []
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, depth: int) -> tuple[Any, int]:
        if isinstance(node, yaml.ScalarNode):
            return scalar(node), 1
        key = id(node)
        if (done := self._done.get(key)) is not None:
            return done
        if key in self._open:
            raise InputError("an alias refers to a node that contains it")
        if depth > MAX_DEPTH:
            raise InputError(f"nested deeper than {MAX_DEPTH} levels")
        self._open.add(key)
        value, size = self._sequence(node, depth) if isinstance(node, yaml.SequenceNode) else self._map(node, depth)
        self._open.discard(key)
        if size > MAX_EXPANDED_NODES:
            raise InputError(f"aliases expand to more than {MAX_EXPANDED_NODES:,} nodes")
        if node.tag.startswith("!"):
            # CloudFormation's short intrinsics (!Ref, !Sub): a computed value, kept as what it is.
            value = {f"Fn::{node.tag[1:]}": value}
        self._done[key] = (value, size)
        return value, size

    def _sequence(self, node: yaml.SequenceNode, depth: int) -> tuple[list[Any], int]:
        items, size = [], 1
        for child in node.value:
            value, cost = self.build(child, depth + 1)
            items.append(value)
            size += cost
        return items, size

    def _map(self, node: yaml.Node, depth: int) -> tuple[dict[str, Any], int]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        size = 1
        for key_node, value_node in node.value:
            value, cost = self.build(value_node, depth + 1)
            size += cost + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, dict):
                        merged = part | merged
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError("a key is not a text")
            key = str(key_node.value)
            if key in result:
                self.duplicates.append(f"{key} (line {key_node.start_mark.line + 1} of the document)")
            result[key] = value
        return ({**merged, **result} if merged else result), size


def scalar(node: yaml.ScalarNode) -> Any:
    """Return the value of a scalar by the core rules that Go's YAML reader uses: no dates, no base-60 numbers."""
    tag, raw = node.tag, str(node.value)
    if tag == "tag:yaml.org,2002:str":
        return raw
    if tag == "tag:yaml.org,2002:null":
        return None
    if tag == "tag:yaml.org,2002:bool":
        return raw.lower() in {"true", "yes", "on", "y"}
    if tag == "tag:yaml.org,2002:int":
        if _INT.match(raw):
            return int(raw.replace("_", "")) if len(raw) < 400 else raw
        if octal := _OCTAL.match(raw):
            return int(octal[1] + octal[2].replace("_", ""), 8)
        return int(raw.replace("_", ""), 16) if _HEX.match(raw) else raw
    if tag == "tag:yaml.org,2002:float":
        try:
            return float(raw.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return raw
    if tag.startswith("!") and len(tag) > 1:
        return {"Ref" if tag == "!Ref" else f"Fn::{tag[1:]}": raw}
    return raw
