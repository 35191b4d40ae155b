"""Use case: judge collected objects by the posture controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from seawall.posture.engine import Report, evaluate
from seawall.posture.exceptions import PostureException, apply_exceptions
from seawall.posture.objects import Note, Obj
from seawall.posture.world import World


def assess(
    objects: Iterable[Obj],
    *,
    today: date,
    notes: Iterable[Note] = (),
    controls: Iterable[str] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    cluster: str = "",
    minor: int | None = None,
    exceptions: Iterable[PostureException] = (),
    unread: Iterable[str] = (),
) -> Report:
    """Judge `objects` and return the report.

    Args:
        today: decides about support windows and expiries of exceptions.
        notes: what the caller could not read; it becomes the report's `partial`.
        controls: ids of the controls to run, all when None.
        parameters: settings of controls by control id.
        cluster: name of the cluster, part of every finding's id.
        exceptions: accepted failures; they are marked and counted apart.
        minor: the Kubernetes minor version, when the caller knows it better than the objects say.
        unread: kinds that could not be listed: what is not seen of them is not known to be absent.
    """
    world = World(objects, notes=notes, parameters=parameters, today=today, minor=minor, unread_kinds=unread)
    report = evaluate(world, controls, cluster=cluster)
    apply_exceptions(report, exceptions, today)
    return report


def assess_documents(
    documents: Iterable[Mapping[str, Any]], *, today: date, cluster: str = "", **options: Any
) -> Report:
    """Judge decoded documents (API objects, lists, cloud answers), as a server or a function holds them."""
    from seawall.posture.loading import Loaded

    loaded = Loaded()
    for document in documents:
        loaded.add(dict(document), cluster or "input")
    return assess(loaded.objects, today=today, notes=loaded.notes, cluster=cluster, **options)
