"""Which actions fit an alert or incident. Derived from what it is about; nothing is ever done by itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Final

from seawall.catalog import collect
from seawall.domain.alerts import Alert, Entity, EntityKind, Incident
from seawall.domain.errors import InputError
from seawall.domain.responses import Offer
from seawall.response.action import Action, is_platform

MAX_OFFERS: Final = 40
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def actions() -> dict[str, Action]:
    """Return every action by id."""
    return {action.id: action for action in collect("seawall.response", Action)}


def action_named(name: str) -> Action:
    """Return an action.

    Raises:
        InputError: there is none of that name.
    """
    known = actions()
    if name not in known:
        raise InputError(f"no such action: {name}", hint=", ".join(known))
    return known[name]


def digest_in(text: str) -> str:
    """Return the digest that an image is named by, empty when it is named by tag alone."""
    found = _DIGEST.search(text)
    return found[0] if found else ""


def targets(subject: Incident | Alert, alerts: Iterable[Alert]) -> tuple[Entity, ...]:
    """Return what can be acted on, in the subject's order: of images their digests, nothing of the platform's."""
    found = list(subject.entities)
    for alert in alerts:
        found += [*alert.entities, Entity(EntityKind.IMAGE, str(alert.context.get("image_digest") or ""))]
    wanted = {action.on for action in actions().values()}
    acted = (
        Entity(entity.kind, digest_in(entity.id)) if entity.kind is EntityKind.IMAGE else entity
        for entity in found
        if entity.kind in wanted
    )
    return tuple(dict.fromkeys(entity for entity in acted if entity.id and not _is_left_alone(entity)))


def offers(subject: Incident | Alert, alerts: Iterable[Alert] = ()) -> tuple[Offer, ...]:
    """Return the actions that fit, the mildest of each target first, at most `MAX_OFFERS`."""
    found = [
        Offer(action.id, action.title, target, action.breaks, action.undoable, _command(subject.id, action, target))
        for target in targets(subject, alerts)
        for action in sorted(actions().values(), key=lambda item: (not item.undoable, item.id))
        if action.on is target.kind
    ]
    return tuple(found[:MAX_OFFERS])


def _command(subject: str, action: Action, target: Entity) -> str:
    return f"seawall respond {shlex.quote(subject)} --action {action.id} --{target.kind.value} {shlex.quote(target.id)}"


def _is_left_alone(entity: Entity) -> bool:
    in_namespace = entity.kind in (EntityKind.POD, EntityKind.WORKLOAD)
    return in_namespace and ("/" not in entity.id or is_platform(entity.id.partition("/")[0]))
