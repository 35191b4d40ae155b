"""Exceptions: failures that somebody has accepted, for a reason and until a day."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from seawall.domain.errors import InputError
from seawall.domain.posture import Status
from seawall.posture.catalogue import controls
from seawall.posture.engine import Report
from seawall.posture.objects import Note, mapping, selects, text
from seawall.posture.yaml_reader import documents

_KEYS = frozenset({"control", "kind", "namespace", "name", "labels", "cluster", "path", "expires", "reason", "owner"})


@dataclass(frozen=True, slots=True)
class PostureException:
    """Covers failures of `control` (an id, or a prefix with *) on the objects that every given selector matches.

    `kind`, `namespace`, `name` and `cluster` are shell patterns; `labels` is a label selector of Kubernetes; `path` is a
    pattern of the JSON path in which positions count for nothing, so that a moved container stays covered. It ends
    after the day `expires`.
    """

    control: str
    reason: str
    expires: date | None = None
    owner: str = ""
    kind: str = "*"
    namespace: str = "*"
    name: str = "*"
    cluster: str = "*"
    path: str = "*"
    labels: Mapping[str, Any] = field(default_factory=dict)


def read_exceptions(data: bytes, where: str) -> list[PostureException]:
    """Read a YAML list of exceptions, or a mapping with the list under `exceptions`.

    Raises:
        InputError: an entry lacks a reason, names no control that there is, or has an unknown key or date.
    """
    found: list[PostureException] = []
    for document in documents(data):
        if document.error:
            raise InputError(f"{where}: {document.error}", where=f"line {document.line}")
        value = document.value
        items = mapping(value).get("exceptions") if isinstance(value, dict) else value
        if not isinstance(items, list):
            raise InputError(
                f"{where}: expected a list of exceptions",
                hint="- control: WL-001\n  reason: ...\n  expires: 2027-01-31",
            )
        found += [_entry(item, f"{where}: entry {number}") for number, item in enumerate(items, 1)]
    return found


def _entry(item: object, where: str) -> PostureException:
    if not isinstance(item, dict):
        raise InputError(f"{where} is not a mapping")
    if unknown := set(item) - _KEYS:
        raise InputError(
            f"{where}: unknown key {', '.join(sorted(unknown))}", hint=f"known: {', '.join(sorted(_KEYS))}"
        )
    control, reason = text(item.get("control")).upper(), text(item.get("reason")).strip()
    if not any(fnmatchcase(name, control) for name in controls()):
        raise InputError(f"{where}: no such control: {control or 'none given'}")
    if not reason:
        raise InputError(f"{where}: an exception needs a reason")
    expires = item.get("expires")
    try:
        until = date.fromisoformat(str(expires)) if expires is not None else None
    except ValueError as error:
        raise InputError(f"{where}: expires {expires} is no date", hint="YYYY-MM-DD") from error
    labels = item.get("labels")
    selector = (
        labels
        if isinstance(labels, dict) and ("matchLabels" in labels or "matchExpressions" in labels)
        else {"matchLabels": mapping(labels)}
        if labels
        else {}
    )
    return PostureException(
        control, reason, until, text(item.get("owner")), labels=selector,
        **{name: str(item[name]) for name in ("kind", "namespace", "name", "cluster", "path") if item.get(name) is not None},
    )  # fmt: skip


_POSITION = re.compile(r"\[(?:\d+|\*)\]")


def apply_exceptions(report: Report, exceptions: Iterable[PostureException], today: date) -> None:
    """Mark the failures that an exception covers; tell of exceptions that have expired or cover nothing."""
    live = []
    for exception in exceptions:
        if exception.expires is not None and exception.expires < today:
            report.partial.append(
                Note(f"exception for {exception.control}", f"expired on {exception.expires}: its failures count again")
            )
        else:
            live.append(exception)
    used: set[int] = set()
    if not live:
        return
    for number, target, finding in report.found:
        if finding.status is not Status.FAIL:
            continue
        control = report.controls[number]
        for index, exception in enumerate(live):
            if not fnmatchcase(control.id, exception.control):
                continue
            ref = report.ref(target)
            labels = report.object(target).labels if target >= 0 else {}
            if (
                fnmatchcase(ref.kind, exception.kind)
                and fnmatchcase(ref.namespace, exception.namespace)
                and fnmatchcase(ref.name, exception.name)
                and fnmatchcase(ref.cluster, exception.cluster)
                and fnmatchcase(_POSITION.sub("", finding.path), _POSITION.sub("", exception.path))
                and (not exception.labels or selects(exception.labels, labels))
            ):
                report.excepted[report.id_of(control, ref, finding)] = exception.reason
                used.add(index)
                break
    for index, exception in enumerate(live):
        if index not in used:
            report.partial.append(Note(f"exception for {exception.control}", "covers no failure"))
