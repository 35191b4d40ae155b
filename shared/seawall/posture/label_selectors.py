"""Label selectors that other network plug-ins write: Calico's expressions, and Cilium's keys with a source before them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from seawall.posture.objects import mapping, mappings, text

Labels = Mapping[str, Any]
Match = Callable[[Labels], bool]
MAX_TOKENS: Final = 2_000
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<symbol>==|!=|&&|\|\||[!(){},])|(?P<text>'[^']*'|\"[^\"]*\")|(?P<word>[A-Za-z0-9_./-]+))"
)
_SOURCE: Final = re.compile(r"^(?:k8s|any)[:.]")


def cilium_selector(selector: object) -> object:
    """Return Cilium's endpoint selector in Kubernetes' form: `k8s:` and `any:` before a key name where a label is from.

    Source: Cilium documentation, "Endpoint Lifecycle", label sources.
    """
    if not isinstance(selector, dict):
        return selector
    return {
        "matchLabels": {_SOURCE.sub("", key): value for key, value in mapping(selector.get("matchLabels")).items()},
        "matchExpressions": [
            {**item, "key": _SOURCE.sub("", text(item.get("key")))}
            for item in mappings(selector.get("matchExpressions"))
        ],
    }


def calico_selects(selector: object, labels: Labels) -> bool:
    """Whether a Calico selector matches; an absent or empty one matches all, one that cannot be read nothing.

    Source: Calico documentation, "Network policy", selectors.
    """
    if selector is None:
        return True
    match = _compiled(selector) if isinstance(selector, str) else None
    return match is not None and match(labels)


@lru_cache(maxsize=1024)
def _compiled(selector: str) -> Match | None:
    if not selector.strip():
        return lambda _: True
    try:
        return _Parser(selector).whole()
    except (ValueError, RecursionError):
        return None


class _Parser:
    """`or` binds weaker than `and`, which binds weaker than `!`."""

    def __init__(self, selector: str) -> None:
        self._tokens: list[str] = []
        position, end = 0, len(selector.rstrip())
        while position < end:
            found = _TOKEN.match(selector, position)
            if found is None or len(self._tokens) >= MAX_TOKENS:
                raise ValueError("no selector")
            self._tokens.append(found[0].strip())
            position = found.end()
        self._at = 0

    def whole(self) -> Match:
        match = self._either()
        if self._at != len(self._tokens):
            raise ValueError("more than a selector")
        return match

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self, wanted: str = "") -> str:
        word = self._peek()
        if not word or (wanted and word != wanted):
            raise ValueError(f"{wanted or 'a term'} expected")
        self._at += 1
        return word

    def _either(self) -> Match:
        parts = [self._all_of()]
        while self._peek() == "||":
            self._next()
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda labels: any(part(labels) for part in parts)

    def _all_of(self) -> Match:
        parts = [self._term()]
        while self._peek() == "&&":
            self._next()
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda labels: all(part(labels) for part in parts)

    def _term(self) -> Match:
        word = self._next()
        if word == "!":
            inner = self._term()
            return lambda labels: not inner(labels)
        if word == "(":
            inner = self._either()
            self._next(")")
            return inner
        if word in {"all", "global", "has"} and self._peek() == "(":
            self._next()
            key = self._next() if word == "has" else ""
            self._next(")")
            # A workload is never global: that word selects what stands in no namespace.
            return (lambda labels: key in labels) if word == "has" else (lambda _: word == "all")
        return self._comparison(word)

    def _comparison(self, key: str) -> Match:
        operator = self._next()
        if operator in {"==", "!="}:
            value = self._quoted()
            return lambda labels: (labels.get(key) == value) is (operator == "==")
        if operator == "contains":
            value = self._quoted()
            return lambda labels: value in text(labels.get(key))
        if operator in {"starts", "ends"}:
            self._next("with")
            value = self._quoted()
            if operator == "starts":
                return lambda labels: key in labels and text(labels[key]).startswith(value)
            return lambda labels: key in labels and text(labels[key]).endswith(value)
        if operator == "not":
            self._next("in")
        elif operator != "in":
            raise ValueError(f"no such comparison: {operator}")
        values = self._values()
        return lambda labels: (labels.get(key) in values) is (operator == "in")

    def _values(self) -> frozenset[str]:
        self._next("{")
        values: list[str] = []
        while self._peek() != "}":
            values.append(self._quoted())
            if self._peek() == ",":
                self._next()
        self._next("}")
        return frozenset(values)

    def _quoted(self) -> str:
        word = self._next()
        if word[0] not in "'\"":
            raise ValueError("a quoted value expected")
        return word[1:-1]
