"""Use case: keep the asset graph up to date from audit events, and judge again what they changed, within a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from threading import Lock
from typing import Any, Final

from seawall.app.judge_posture import PosturePolicy
from seawall.app.publishing import assessment_entries
from seawall.assets.ids import object_id
from seawall.assets.kubernetes import children_kinds, states_of
from seawall.assets.rights import BY_RESOURCE
from seawall.domain.assets import AssetChange, AssetEvent
from seawall.domain.audit_events import AuditEvent, parse_time
from seawall.domain.errors import SeawallError
from seawall.domain.posture import Assessment, ObjectRef
from seawall.ports.inventory_source import ObjectReader
from seawall.ports.publisher import BatchPublisher
from seawall.ports.store import Store
from seawall.posture.loading import prune
from seawall.posture.objects import Obj, mapping, text

log = logging.getLogger(__name__)

FLUSH_AFTER: Final = timedelta(seconds=20)
MAX_READS: Final = 200
"""How many objects of one batch are read again because its events do not carry them; the timer finds the rest."""
MAX_WAITING: Final = 5000
MAX_DEPENDENTS: Final = 500
"""How many objects that depend on changed ones are judged again at once; the timer finds the rest."""
_CHANGING: Final = frozenset({"create", "update", "patch", "delete"})
_SUBRESOURCES: Final = frozenset({"", "scale", "ephemeralcontainers"})


@dataclass(frozen=True, slots=True)
class Mutation:
    """One call that changed one object. `obj` None = the event does not carry it; `gone` = it was deleted."""

    event: AssetEvent
    kind: str
    namespace: str
    name: str
    obj: Obj | None
    gone: bool


def mutations(events: Iterable[Any]) -> list[Mutation]:
    """Return the successful calls that changed objects of kinds that the graph keeps."""
    return [
        found
        for event in events
        if isinstance(event, AuditEvent) and event.verb in _CHANGING and (found := _mutation(event)) is not None
    ]


def _mutation(event: AuditEvent) -> Mutation | None:
    ref = event.object_ref
    if ref is None or event.stage not in {"", "ResponseComplete"} or not (event.code == 0 or 200 <= event.code < 300):
        return None
    known = BY_RESOURCE.get((ref.api_group or "", ref.resource or ""))
    if known is None or (ref.subresource or "") not in _SUBRESOURCES or "dryRun" in event.uri:
        return None
    at = parse_time(event.stage_time or "") or event.time
    name = event.name
    if at is None or not name or not event.cluster:
        return None
    namespace = event.namespace if known.namespaced else ""
    body = _whole(event, known.kind)
    if body is not None:
        name = text(mapping(body.get("metadata")).get("name")) or name
    gone = event.verb == "delete" and (body is None or not mapping(body.get("metadata")).get("deletionTimestamp"))
    identifier = object_id(event.cluster, known.kind, namespace, name)
    return Mutation(
        AssetEvent(
            event.id, identifier, event.cluster, at, event.verb or "", event.effective_user, event.source_ip,
            event.agent[:256], event.resource,
        ),
        known.kind,
        namespace,
        name,
        Obj(prune({**body, "apiVersion": known.api_version(known.versions[0]), "kind": known.kind}))
        if body is not None and not gone
        else None,
        gone,
    )  # fmt: skip


def _whole(event: AuditEvent, kind: str) -> dict[str, object] | None:
    """The object that an event carries: the answer, or what a create or update sent; a patch is no object."""
    if (event.object_ref and event.object_ref.subresource) == "scale":
        return None
    bodies = [event.response_body]
    if event.verb in {"create", "update"}:
        bodies.append(event.request_body)
    for body in bodies:
        if isinstance(body, dict) and isinstance(body.get("metadata"), dict) and body.get("kind") in {kind, None}:
            named = body["metadata"].get("name") or event.name
            # Metadata alone ("PartialObjectMetadata") or an audit level that cuts the body off says nothing of the content.
            if len(body) > 1 + ("apiVersion" in body) + ("kind" in body) or kind in {"ServiceAccount", "Namespace"}:
                return {**body, "metadata": {**body["metadata"], "name": named, **_place(event)}}
    return None


def _place(event: AuditEvent) -> dict[str, str]:
    return {"namespace": event.namespace} if event.namespace else {}


class AssetFollower:
    """Takes batches of audit events. What is to be judged again waits in memory for at most `FLUSH_AFTER` with traffic, or
    until `flush`: a crash loses nothing but time, because the timer's full listing judges everything.

    Objects as events carry them are judged, and never stored with their values.
    """

    def __init__(
        self,
        store: Store,
        *,
        publishers: Callable[[], Sequence[BatchPublisher]],
        policy: Callable[[], PosturePolicy],
        reader: Callable[[str], ObjectReader | None],
    ) -> None:
        self._store, self._publishers, self._policy, self._reader = store, publishers, policy, reader
        self._waiting: dict[str, dict[str, Mutation]] = {}
        self._since: datetime | None = None
        self._lock = Lock()
        """A worker takes while a timer flushes."""

    def take(self, events: Iterable[Any], now: datetime) -> int:
        """Bring the graph up to date; return how many assets changed. A repeat of a batch changes nothing."""
        calls = mutations(events)
        if not calls:
            return self._flush_when_due(now)
        self._store.assets.note([item.event for item in calls])
        found = [self._filled(item) for item in _read_first(calls)]
        changes = [change for item in found for change in [*_changes(item), *self._children_gone(item)]]
        applied = self._store.assets.change(changes)
        touched = {*applied.added, *applied.changed, *applied.removed}
        with self._lock:
            for item in found:
                if item.event.asset in touched and _is_judged(item):
                    waiting = self._waiting.setdefault(item.event.scope, {})
                    earlier = waiting.get(item.event.asset)
                    if len(waiting) < MAX_WAITING and (earlier is None or earlier.event.at <= item.event.at):
                        waiting[item.event.asset] = item
            if self._waiting and self._since is None:
                self._since = now
        self._flush_when_due(now)
        return applied.total

    def _children_gone(self, item: Mutation) -> list[AssetChange]:
        """A pod's containers end with it."""
        event = item.event
        pod = self._store.assets.get(event.asset) if item.gone and item.kind == "Pod" else None
        if pod is None:
            return []
        containers = [
            state for state in states_of([Obj(dict(pod.body))], event.scope) if state.asset.kind == "Container"
        ]
        return [AssetChange(state.asset.id, event.scope, "Container", event.at, None) for state in containers]

    def _flush_when_due(self, now: datetime) -> int:
        since = self._since
        if since is not None and now - since >= FLUSH_AFTER:
            self.flush(now)
        return 0

    def _filled(self, item: Mutation) -> Mutation:
        """The mutation with its object, read again where the event has none and we may."""
        if item.obj is not None or item.gone:
            return item
        reader = self._reader(item.event.scope)
        if reader is None:
            return item
        try:
            obj = reader.read(item.kind, item.namespace, item.name)
        except SeawallError as error:
            log.warning("an object was not read again", extra={"kind": item.kind, "error": error.message})
            return item
        return Mutation(item.event, item.kind, item.namespace, item.name, obj, gone=obj is None)

    def flush(self, now: datetime) -> int:
        """Judge what waits; return how many results changed."""
        with self._lock:
            waiting, self._waiting, self._since = self._waiting, {}, None
        return sum(self._judge(scope, items, now) for scope, items in waiting.items())

    def _judge(self, scope: str, items: Mapping[str, Mutation], now: datetime) -> int:
        from seawall.posture.dependents import dependents
        from seawall.posture.world import World

        if not self._store.assessments.counts(scope):
            return 0  # never judged as a whole: single results would look like all there is
        policy = self._policy()
        fresh = {key: item.obj for key, item in items.items() if item.obj is not None}
        around = [Obj(dict(state.body)) for state in self._store.assets.objects(scope) if state.asset.id not in items]
        world = World([*around, *fresh.values()], today=now.date(), parameters=policy.parameters)
        wanted = {obj.ref: obj for obj in fresh.values()}
        for item in items.values():
            for obj in islice(dependents(world, item.kind, item.namespace, item.name), MAX_DEPENDENTS):
                if len(wanted) < len(fresh) + MAX_DEPENDENTS:
                    wanted.setdefault(obj.ref, obj)
        changed = 0
        results: list[Assessment] = []
        gone = [ObjectRef(item.kind, item.name, item.namespace) for key, item in items.items() if key not in fresh]
        nothing: list[Assessment] = []
        judged = ((ref, self._results(world, obj, scope, policy, now)) for ref, obj in wanted.items())
        for ref, found in chain(((ref, nothing) for ref in gone), judged):
            if count := self._store.assessments.replace_object(scope, ref, found, now):
                changed += count
                results += found
        if results:
            self._store.outbox.add(assessment_entries(self._publishers(), results, now))
        return changed

    def _results(self, world: Any, obj: Obj, scope: str, policy: PosturePolicy, now: datetime) -> list[Assessment]:
        from seawall.posture.engine import reassess
        from seawall.posture.exceptions import apply_exceptions

        report = reassess(world, obj, cluster=scope)
        # Paths are searched over whole clusters: until the next listing, what is known of a failure stays.
        known = self._store.assessments.find(scope=scope, ref=obj.ref)
        report.priorities = {found.id: found.priority for found in known if found.priority is not None}
        apply_exceptions(report, policy.exceptions, now.date())
        return [found for found in report.assessments() if _same(found.object, obj)]


def _read_first(items: Sequence[Mutation]) -> list[Mutation]:
    """Of several mutations of one object only the newest needs its object read; at most `MAX_READS` do."""
    newest: dict[str, Mutation] = {}
    for item in items:
        known = newest.get(item.event.asset)
        if known is None or known.event.at <= item.event.at:
            newest[item.event.asset] = item
    kept, reads = [], 0
    for item in items:
        if item.obj is None and not item.gone:
            if newest[item.event.asset] is not item or reads >= MAX_READS:
                continue
            reads += 1
        kept.append(item)
    return kept


def _changes(item: Mutation) -> list[AssetChange]:
    event = item.event
    if item.gone:
        return [AssetChange(event.asset, event.scope, item.kind, event.at, None)]
    if item.obj is None:
        return []
    states = [state for state in states_of([item.obj], event.scope) if state.asset.kind in children_kinds(item.kind)]
    return [AssetChange(state.asset.id, event.scope, state.asset.kind, event.at, state) for state in states]


def _is_judged(item: Mutation) -> bool:
    """Pods and replica sets under a controller are judged as that controller, which has events of its own."""
    if item.kind in {"Pod", "ReplicaSet", "Job"} and item.obj is not None:
        return not item.obj.meta.get("ownerReferences")
    return True


def _same(ref: ObjectRef, obj: Obj) -> bool:
    return (ref.kind, ref.namespace, ref.name) == (obj.kind, obj.namespace, obj.name)
