"""Use case: carry out a response a person decided on, with evidence first and a record that says how to take it back."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from seawall.domain.alerts import Entity, EntityKind, Incident
from seawall.domain.errors import ConfigError, InputError, NotFound, RemoteError, SeawallError, Unavailable
from seawall.domain.ids import content_id
from seawall.domain.responses import DENY_IMAGE, Change, Current, Plan, Request, Response, ResponseEvent, ResponseState
from seawall.ports.responses import ChangeableCluster, EvidenceRoom, ResponseStore
from seawall.ports.store import Store
from seawall.posture.objects import mapping, mappings, text
from seawall.response.action import Action, controller_of, named, plan, require_fit
from seawall.response.offers import action_named, digest_in

log = logging.getLogger(__name__)

MAX_TARGETS: Final = 5
MAX_EVIDENCE_BYTES: Final = 4 << 20
_KINDS: Final = {
    EntityKind.POD: ("Pod",),
    EntityKind.NODE: ("Node",),
    EntityKind.WORKLOAD: (
        "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "ReplicationController",
    ),
}  # fmt: skip


_NAME: Final = r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?"
_FORMS: Final = {
    EntityKind.POD: (re.compile(f"{_NAME}/{_NAME}"), "NAMESPACE/NAME"),
    EntityKind.NODE: (re.compile(_NAME), "NAME"),
    EntityKind.WORKLOAD: (re.compile(f"(?:[A-Za-z]+/)?{_NAME}/{_NAME}"), "NAMESPACE/NAME or KIND/NAMESPACE/NAME"),
}
"""Names come from events, and become URL paths. Source: RFC 1123 subdomains, as the API server asks of names."""


def responses_about(store: Store, incident: Incident) -> list[Response]:
    """Return what was done about an incident, its alerts, and the incidents that were merged into it; oldest first."""
    held = {item.id for item in store.incidents.holding(incident.alert_ids)}
    return store.responses.of({incident.id, *incident.alert_ids, *held})


class Responder:
    """Plans, applies and undoes on one cluster. `cluster` None serves what needs none: the admission gate's list."""

    def __init__(
        self,
        responses: ResponseStore,
        evidence: Callable[[], EvidenceRoom],
        now: Callable[[], datetime],
        *,
        cluster: ChangeableCluster | None = None,
        operator: str = "",
    ) -> None:
        self._responses, self._evidence, self._now = responses, evidence, now
        self._optional, self._operator = cluster, operator

    def plan(self, action: Action, target: Entity, seen_at: datetime | None = None) -> Plan:
        """Return what the action comes to now; nothing is changed.

        Raises:
            NotFound: the target is not there. InputError: it is not named well, or it cannot be done.
        """
        return plan(action, self._current(action, target, seen_at))

    def apply(self, plans: Sequence[Plan], *, subject: str = "", force: str = "") -> Iterator[Response]:
        """Carry out what the plans say, all of them asked of the server first; yield each when it is done and recorded.

        `force` is the reason for which refusals are overridden.

        Raises:
            InputError: a plan has refusals, or there are more than `MAX_TARGETS`, and no reason is given.
            Denied, InputError: the server does not take a change; what this plan had changed is taken back.
            Unavailable: it does not answer; what this plan had changed stays, and can be undone.
        """
        if not force:
            refused = [f"{named(item.target)}: {why}" for item in plans for why in item.refusals]
            if len(plans) > MAX_TARGETS:
                refused.append(f"{len(plans)} targets at once are more than {MAX_TARGETS}")
            if refused:
                raise InputError(
                    "; ".join(refused), hint='--force "REASON" does it all the same, and records the reason'
                )
        plans = [item for item in plans if not item.done]
        for item in plans:
            for change in item.changes:
                self._send(change.do, dry_run=True)
        for item in plans:
            yield self._apply(item, subject, force)

    def undo(self, id: str, *, apply: bool) -> Response:  # noqa: A002 - the domain's word
        """Return the response `id`, taken back with `apply`.

        Raises:
            NotFound: there is no such response.
            InputError: nothing takes it back, it is taken back already, or its target has changed since.
        """
        response = self._responses.get(id)
        if response is None:
            raise NotFound(f"there is no response {id}")
        if response.state not in (ResponseState.APPLIED, ResponseState.STARTED):
            raise InputError(f"response {id} is {response.state.value}: nothing is left to take back")
        if not all(change.undo for change in response.changes):
            raise InputError(f"{response.action} cannot be undone", hint="its evidence has the pod's manifest")
        if self._optional is not None and self._optional.server != response.server:
            raise InputError(
                f"response {id} was made at {response.server}, this is {self._optional.server}",
                hint="name that cluster with --context or --kubeconfig",
            )
        # Of a response that broke off nobody knows which changes were made: those that were not cannot be taken back.
        broken_off = response.state is ResponseState.STARTED
        self._take_back(response.changes, dry_run=True, tolerant=broken_off)
        if not apply:
            return response
        self._take_back(response.changes, dry_run=False, tolerant=broken_off)
        return self._note(response, ResponseState.UNDONE)

    def _apply(self, item: Plan, subject: str, force: str) -> Response:
        started = ResponseEvent(ResponseState.STARTED, self._now(), self._whoami())
        target = item.target
        parts = (item.action, target.scope, target.kind.value, target.id, item.uid, started.at.isoformat())
        response = Response(
            content_id("response", *parts),
            item.action,
            target,
            subject,
            item.uid,
            self._optional.server if self._optional else "",
            force,
            changes=item.changes,
            history=(started,),
        )
        if action_named(item.action).keeps_evidence:
            response = replace(response, evidence=f"responses/{response.id}.json")
            self._evidence().put(response.evidence, self._collected(item))
        self._responses.begin(response)
        made: list[Change] = []
        try:
            for change in item.changes:
                self._send(change.do, dry_run=False)
                made.append(change)
        except Unavailable as error:
            # Whether the last change was made nobody knows: the record stays begun, and undoing it takes back what was.
            raise Unavailable(
                f"{error.message}; response {response.id} broke off",
                hint=f"do it again, or `seawall respond --undo {response.id} --apply`",
            ) from error
        except SeawallError as error:
            log.warning("response failed", extra={"response": response.id, "reason": error.message})
            try:
                self._take_back(made, dry_run=False)
            except SeawallError as left:
                raise RemoteError(
                    f"{error.message}; what was changed before could not be taken back: {left.message}",
                    hint=f"`seawall respond --undo {response.id} --apply` when it can be",
                ) from error
            self._note(response, ResponseState.FAILED, error.message)
            raise
        return self._note(response, ResponseState.APPLIED)

    def _take_back(self, changes: Sequence[Change], *, dry_run: bool, tolerant: bool = False) -> None:
        """Send the inverses, last first. What is not there any more needs none."""
        for change in reversed(changes):
            if change.undo is not None:
                with suppress(NotFound, *((InputError,) if tolerant else ())):
                    self._send(change.undo, dry_run=dry_run)

    def _note(self, response: Response, state: ResponseState, note: str = "") -> Response:
        event = ResponseEvent(state, self._now(), self._whoami(), note)
        self._responses.note(response.id, event)
        return replace(response, history=(*response.history, event))

    def _send(self, request: Request, *, dry_run: bool) -> None:
        if request.method not in ("DENY", "ALLOW"):  # those are carried out by the record itself
            self._cluster.send(request, dry_run=dry_run)

    @property
    def _cluster(self) -> ChangeableCluster:
        if self._optional is None:
            raise ConfigError("this needs a cluster", hint="name one with --context or --kubeconfig")
        return self._optional

    def _whoami(self) -> str:
        return self._optional.whoami() if self._optional else self._operator

    def _current(self, action: Action, target: Entity, seen_at: datetime | None) -> Current:
        require_fit(action, target)
        if action.id == DENY_IMAGE:
            digest = digest_in(target.id)
            if not digest:
                raise InputError(f"image {target.id} is not named by digest", hint="sha256: and 64 hexadecimal digits")
            return Current(replace(target, id=digest), denied=self._responses.denied())
        kind, path, body = self._found(target)
        namespace = text(mapping(body.get("metadata")).get("namespace"))
        policies = self._cluster.list("NetworkPolicy", namespace) if action.reads_policies else []
        return Current(target, path, kind, body, tuple(policies), seen_at=seen_at)

    def _found(self, target: Entity) -> tuple[str, str, dict[str, Any]]:
        """Return kind, path and object of the target.

        Raises:
            NotFound: it is not there.
            InputError: its name is none, or several things', or a controller would bring the workload back.
        """
        form, hint = _FORMS[target.kind]
        if not form.fullmatch(target.id):
            raise InputError(f"{target.id!r} does not name a {target.kind.value}", hint=hint)
        *before, name = target.id.split("/")
        kinds, namespace = _KINDS[target.kind], before[-1] if before else ""
        if len(before) == 2:
            kinds = tuple(kind for kind in kinds if kind.lower() == before[0].lower())
        found = []
        for kind in kinds:
            try:
                found.append((kind, *self._cluster.find(kind, namespace, name)))
            except NotFound:
                continue
        if not found:
            raise NotFound(f"there is no {named(target)} in {self._cluster.server}")
        if len(found) > 1:
            words = " or ".join(f"{kind.lower()}/{target.id}" for kind, _, _ in found)
            raise InputError(f"{named(target)} is not one thing", hint=f"say {words}")
        kind, path, body = found[0]
        owner = controller_of(body)
        if target.kind is EntityKind.WORKLOAD and owner.get("kind") in _KINDS[EntityKind.WORKLOAD]:
            above = f"{owner['kind']}/{namespace}/{owner.get('name')}"
            raise InputError(f"{kind} {target.id} belongs to {above}, which makes it again", hint=f"--workload {above}")
        return kind, path, body

    def _collected(self, item: Plan) -> bytes:
        """Return manifest, events and last log lines as JSON. What may not be read is listed under `missing`."""
        _, path, body = self._found(item.target)
        missing: list[str] = []

        def kept(what: str, read: Callable[[], Any]) -> Any:
            try:
                return read()
            except (RemoteError, InputError) as error:
                missing.append(f"{what}: {error.message}")
                return None

        namespace = text(mapping(body.get("metadata")).get("namespace"))
        document = {
            "pod": body,
            "events": kept("events", lambda: self._cluster.events(namespace, item.uid)),
            "logs": {name: kept(f"log of {name}", lambda name=name: self._cluster.log(path, name)) for name in _containers(body)},  # type: ignore[misc]
            "missing": missing,
        }  # fmt: skip
        content = json.dumps(document).encode()
        if len(content) > MAX_EVIDENCE_BYTES:
            missing.append(f"logs: more than {MAX_EVIDENCE_BYTES >> 20} MiB")
            content = json.dumps(document | {"logs": {}}).encode()
        return content


def _containers(pod: dict[str, Any]) -> Iterator[str]:
    spec = mapping(pod.get("spec"))
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from (text(item.get("name")) for item in mappings(spec.get(field)))
