"""All cases, and how a reader is shown them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from seawall.domain.audit_events import AuditEvent
from seawall.domain.runtime_events import RuntimeEvent

from tests.detection.cases import Case, Pairs
from tests.detection.cases.audit import AUDIT
from tests.detection.cases.habits import HABITS
from tests.detection.cases.management import MANAGEMENT
from tests.detection.cases.workloads import WORKLOADS

PAIRS: Pairs = AUDIT | MANAGEMENT | HABITS | WORKLOADS
_RUNTIME = Path(__file__).parents[1] / "rules" / "runtime"
_SHOWN = 2
_UNTOLD = {
    "audit_id",
    "stage",
    "received",
    "event_id",
    "cluster",
    "ts_ns",
    "seq",
    "boot",
    "node",
    "container",
    "process",
}
_AUDIT_UNTOLD = {"kind", "apiVersion", "level", "auditID", "stage", "requestReceivedTimestamp", "stageTimestamp"}
_USUAL = {"sourceIPs": ["10.0.0.7"], "userAgent": "kubectl/v1.34.0 (linux/amd64) kubernetes/abc"}


def document() -> bytes:
    """Return the examples file: for each analytic what raises it and what does not, as indented JSON."""
    found = {rule: {"raises": _shown(fires), "quiet": _shown(quiet)} for rule, (fires, quiet) in PAIRS.items()}
    return json.dumps(dict(sorted((found | _runtime()).items())), indent=1, ensure_ascii=False).encode() + b"\n"


def _shown(case: Case) -> dict[str, Any]:
    shown: dict[str, Any] = {"words": case.words, "events": _events(case.events)}
    if len(case.events) > _SHOWN:
        shown["more"] = len(case.events) - _SHOWN
    if case.usual is not None:
        usual = case.usual(0)
        alike = [event for event in usual if type(event) is type(case.events[0])]
        shown["usual"] = _events(alike or usual)
    return shown


def _runtime() -> dict[str, Any]:
    found = {}
    for path in sorted(_RUNTIME.glob("test_*.py")):
        module = importlib.import_module(f"tests.detection.rules.runtime.{path.stem}")
        for rule, kinds in getattr(module, "CASES", {}).items():
            found[rule] = {
                name: {"words": "", "events": _events(case if isinstance(case, list | tuple) else [case])}
                for name, (case, *_) in zip(("raises", "quiet"), kinds, strict=True)
            }
    return found


def _events(events: Iterable[Any]) -> list[Any]:
    return [_reader_view(event) for event in list(events)[:_SHOWN]]


def _reader_view(event: Any) -> Any:
    """What a reader needs of an event: no ids, no times, nothing that is as always."""
    if isinstance(event, RuntimeEvent):
        process = {"program": event.process.exe, "command": " ".join(event.process.args)}
        if event.process.ancestors:
            process["started by"] = " < ".join(" ".join(item.args) for item in event.process.ancestors)
        place = "the node" if event.container is None else f"{event.container.namespace}/{event.container.pod}"
        rest = {k: v for k, v in json.loads(msgspec.json.encode(event)).items() if k not in _UNTOLD and k != "event"}
        return {"event": type(event).__name__, "in": place, **process, **rest}
    if not isinstance(event, dict):
        if isinstance(event, AuditEvent):
            return _audit_view(_document_of(event))
        plain = json.loads(msgspec.json.encode(event))
        return {key: value for key, value in plain.items() if key not in _UNTOLD | {"time"}}
    if "logEvents" in event:
        return {"logGroup": event["logGroup"], "message": _audit_view(json.loads(event["logEvents"][0]["message"]))}
    return _audit_view(event) if event.get("kind") == "Event" else {k: v for k, v in event.items() if k != "eventID"}


def _document_of(event: AuditEvent) -> dict[str, Any]:
    """Return a decoded audit event as the API server would have written it."""
    ref = event.object_ref
    told = {
        "verb": event.verb,
        "user": {"username": event.actor},
        "impersonatedUser": {"username": event.effective_user} if event.impersonated else None,
        "sourceIPs": event.source_ips,
        "userAgent": event.agent,
        "objectRef": ref and {"resource": ref.resource, "subresource": ref.subresource, "namespace": ref.namespace, "name": ref.name},
        "requestObject": event.request_body,
    }  # fmt: skip
    return {key: value for key, value in told.items() if value}


def _audit_view(event: dict[str, Any]) -> dict[str, Any]:
    shown = {}
    for key, value in event.items():
        if key in _AUDIT_UNTOLD or key.startswith("seawall:") or _USUAL.get(key) == value:
            continue
        if key == "requestURI" and "?" not in value and event.get("objectRef", {}).get("resource"):
            continue
        if key == "responseStatus" and value.get("code", 0) in (200, 201):
            continue
        if key == "user":
            value = {"username": value.get("username", "")}
        if key in ("objectRef", "responseStatus"):
            value = {k: v for k, v in value.items() if v and k not in ("apiVersion", "metadata")}
        shown[key] = value
    return shown
