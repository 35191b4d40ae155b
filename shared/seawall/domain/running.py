"""Containers that run now, as sensors and API servers report them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec


class RunningSource(StrEnum):
    """Who says so. A sensor knows what is loaded; the API server knows owners and images as they were written."""

    SENSOR = "sensor"
    CLUSTER = "cluster"


class RunningContainer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container that runs.

    `owner` is `Kind/name` of the top controller (`Deployment/web`), of the pod itself where there is none. `image` is the
    reference as written, `digest` what runs (`sha256:<hex>`), empty when the source cannot tell. `container_id` has no
    runtime prefix (`containerd://`). `in_use` are packages whose files were loaded, `<purl type>/<name>`: `deb/libssl3`,
    `npm/@scope/name`.
    """

    cluster: str
    container_id: str
    seen_at: datetime
    node: str = ""
    namespace: str = ""
    pod: str = ""
    owner: str = ""
    container: str = ""
    image: str = ""
    digest: str = ""
    started_at: datetime | None = None
    in_use: tuple[str, ...] = ()


class RunningSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs in a scope at `taken_at`: what is not in it does not run.

    An empty `node` is the whole cluster. The containers' own cluster and `seen_at` are those of the snapshot.
    """

    source: RunningSource
    cluster: str
    taken_at: datetime
    containers: tuple[RunningContainer, ...]
    node: str = ""


class RunningChange(msgspec.Struct, frozen=True, kw_only=True):
    """One container started, changed what it uses, or (`running` False) ended, at its `seen_at`."""

    source: RunningSource
    container: RunningContainer
    running: bool = True


def bare_container_id(text: str) -> str:
    """Return a container id without the runtime's prefix: `containerd://ab12` and `cri-o://ab12` are `ab12`."""
    return text.rpartition("://")[2]


GRACE = timedelta(minutes=2)
"""How far apart two sources' views of one moment may lie: an API server hears of a start some seconds late."""


class Verdict(StrEnum):
    """What one source says of one container. ABSENT: its snapshot, which would have it, has not."""

    RUNS = "runs"
    ENDED = "ended"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Testimony:
    """A source's newest word on one container; `container` is None when it is ABSENT."""

    source: RunningSource
    verdict: Verdict
    at: datetime
    container: RunningContainer | None = None


def merged(testimonies: Iterable[Testimony]) -> RunningContainer | None:
    """Return the container as all sources together know it, None when it does not run. The order makes no difference.

    The newest word counts. Words within `GRACE` of it are of the same moment: an end that was seen counts before
    presence, and presence before absence.
    """
    words = sorted(testimonies, key=lambda word: (word.at, word.source))
    newest = words[-1].at
    verdicts = {word.verdict for word in words if word.at >= newest - GRACE}
    if Verdict.ENDED in verdicts or Verdict.RUNS not in verdicts:
        return None
    by_source = {word.source: word.container for word in words if word.container is not None}
    known = [by_source[source] for source in (RunningSource.CLUSTER, RunningSource.SENSOR) if source in by_source]
    first, rest = known[0], known[1:]
    if not rest:
        return first
    other = rest[0]
    return RunningContainer(
        cluster=first.cluster,
        container_id=first.container_id,
        seen_at=max(first.seen_at, other.seen_at),
        node=first.node or other.node,
        namespace=first.namespace or other.namespace,
        pod=first.pod or other.pod,
        owner=first.owner or other.owner,
        container=first.container or other.container,
        image=first.image or other.image,
        digest=first.digest or other.digest,
        started_at=first.started_at or other.started_at,
        in_use=tuple(sorted({*first.in_use, *other.in_use})),
    )
