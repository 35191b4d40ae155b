"""Use cases over the asset graph: one asset with its neighbours and findings, and what changed between two times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from seawall.assets.ids import described
from seawall.assets.kubernetes import selectors
from seawall.domain.assets import AssetDifference, AssetState, AssetVersion, Relation, differences
from seawall.domain.errors import NotFound
from seawall.domain.posture import ObjectRef, Status
from seawall.ports.store import Store
from seawall.posture.objects import Obj, mapping, selects
from seawall.posture.workloads import template_of

MAX_SELECTED: Final = 5000
_WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet", "Pod")
_SELECTING: Final = ("Service", "NetworkPolicy", "PodDisruptionBudget")


def show_asset(store: Store, identifier: str, at: datetime | None = None) -> dict[str, Any]:
    """Return one asset: itself, its relations both ways, its failed controls, its image's findings, who changed it last.

    An asset that only others point at (an image, a registry, a user) is described by its id. With `at` it is shown as it was,
    without present relations and findings.

    Raises:
        NotFound: nobody reported it, and nothing points at it.
    """
    state = store.assets.get(identifier, at)
    outgoing, incoming = (
        store.assets.relations(identifier) if at is None else (list(state.relations) if state else [], [])
    )
    if state is None and not incoming:
        raise NotFound(
            f"there is no asset {identifier}" + (f" at {at.isoformat()}" if at else ""),
            hint="`seawall assets list` names them",
        )
    kind, name = (state.asset.kind, state.asset.name) if state is not None else described(identifier)
    shown: dict[str, Any] = {
        "id": identifier,
        "kind": kind,
        "name": name,
        "namespace": state.namespace if state is not None else "",
        "scope": state.scope if state is not None else "",
        "parent": state.asset.parent if state is not None else "",
        "properties": state.asset.properties if state is not None else {},
        "relations": [{"kind": item.kind, "target": item.target} for item in outgoing],
        "related": [{"kind": item.kind, "source": item.source} for item in incoming],
        "body": dict(state.body) if state is not None else {},
    }
    if at is None and state is not None:
        selected = _selected(store, state)
        shown["relations"] += [
            {"kind": item.kind, "target": item.target} for item in selected if item.source == identifier
        ]
        shown["related"] += [
            {"kind": item.kind, "source": item.source} for item in selected if item.target == identifier
        ]
        shown["failures"] = [
            {
                "id": item.id,
                "control": item.control,
                "title": item.title,
                "severity": item.severity.label,
                "path": item.path,
                "excepted": item.excepted,
            }
            for item in store.assessments.find(
                scope=state.scope, status=Status.FAIL, ref=ObjectRef(kind.partition(".")[0], name, state.namespace)
            )
        ]
        shown["events"] = store.assets.events(identifier, 10)
    if kind == "Image" and name.startswith("sha256:"):
        report = store.images.report(name)
        shown["image"] = (
            {"name": report.name, "findings": len(report.findings), "packages": len(report.packages)}
            if report
            else None
        )
        shown["running"] = len(store.running.of_digests([name]))
    return shown


def _selected(store: Store, state: AssetState) -> list[Relation]:
    """Relations by label selector: they need both sides, so they are computed when asked, within the namespace."""
    kind, place = state.asset.kind, state.namespace
    if not place:
        return []
    if kind in _SELECTING:
        chosen = selectors(Obj(dict(state.body)))
        return [
            Relation(state.asset.id, "selects", other.asset.id)
            for other in _in_namespace(store, state, _WORKLOADS)
            if any(selects(selector, _labels(other)) for selector in chosen) and not _is_owned(other)
        ]
    if kind in _WORKLOADS:
        labels = _labels(state)
        return [
            Relation(other.asset.id, "selects", state.asset.id)
            for other in _in_namespace(store, state, _SELECTING)
            if any(selects(selector, labels) for selector in selectors(Obj(dict(other.body))))
        ]
    return []


def _in_namespace(store: Store, state: AssetState, kinds: Iterable[str]) -> Iterable[AssetState]:
    for kind in kinds:
        yield from store.assets.find(scope=state.scope, kind=kind, namespace=state.namespace, limit=MAX_SELECTED)


def _labels(state: AssetState) -> dict[str, Any]:
    found = template_of(Obj(dict(state.body)))
    return mapping(mapping(found[0].get("metadata")).get("labels")) if found else {}


def _is_owned(state: AssetState) -> bool:
    return any(relation.kind == "owned-by" for relation in state.relations)


def asset_history(store: Store, identifier: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return the versions of an asset, newest first, each with what differs from the one before and who can have done it.

    Raises:
        NotFound: there is none.
    """
    versions = store.assets.history(identifier, limit + 1)
    if not versions:
        raise NotFound(f"there is no asset {identifier}", hint="`seawall assets list` names them")
    rows: list[dict[str, Any]] = []
    for index, version in enumerate(versions[:limit]):
        before = versions[index + 1] if index + 1 < len(versions) else None
        rows.append(
            {
                "from": version.valid_from,
                "to": version.valid_to,
                "change": _change(before, version),
                "fields": _fields(before, version),
                "events": version.events,
            }
        )
    return rows


def _change(before: AssetVersion | None, version: AssetVersion) -> str:
    if version.state is None:
        return "removed"
    return "added" if before is None or before.state is None else "changed"


def _fields(before: AssetVersion | None, version: AssetVersion) -> list[Any]:
    if before is None or before.state is None or version.state is None:
        return []
    return list(_differences(before.state, version.state))


def _differences(before: AssetState, after: AssetState) -> tuple[Any, ...]:
    if before.body or after.body:
        return differences(before.body, after.body)
    return differences(before.asset.properties, after.asset.properties)


def asset_diff(
    store: Store, start: datetime, end: datetime, scope: str = "", limit: int = 1000
) -> list[AssetDifference]:
    """Return what is other at `end` than it was at `start`, with who can have done it; changes that were undone in between do not count."""
    versions = store.assets.between(start, end, scope, limit=limit * 10)
    touched: dict[str, list[AssetVersion]] = {}
    for version in versions:
        touched.setdefault(version.id, []).append(version)
    found: list[AssetDifference] = []
    for identifier in sorted(touched):
        if len(found) >= limit:
            break
        before, after = store.assets.get(identifier, start), touched[identifier][-1].state
        events = tuple(event for version in reversed(touched[identifier]) for event in version.events)
        if before is None and after is not None:
            found.append(AssetDifference(after.asset, "added", (), events))
        elif before is not None and after is None:
            found.append(AssetDifference(before.asset, "removed", (), events))
        elif before is not None and after is not None and (fields := _differences(before, after)):
            found.append(AssetDifference(after.asset, "changed", fields, events))
    return found
