"""The jobs of one deployment over its ports: what function apps and `seawall serve` call.

Doors call `accept_…`: check the form, keep the event in the queue, answer. Workers call `handle(event)`. Every job is
idempotent and reaches the outside only through ports. Heavy parts are imported by the job that needs them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from seawall.domain.alerts import Alert, Incident
from seawall.domain.errors import ConfigError, InputError, MalformedEvent, SeawallError
from seawall.domain.ids import content_id
from seawall.formats.cloudevents import AUDIT_RECEIVED, IMAGE_PUSHED, POSTURE_RECEIVED, SENSOR_RECEIVED, CloudEvent, carrying
from seawall.ports.clock import Clock
from seawall.ports.publisher import BatchPublisher
from seawall.ports.queue import JobQueue
from seawall.ports.store import PoisonRecord, ScanState, Store

if TYPE_CHECKING:
    from seawall.app.publishing import PublishReport
    from seawall.domain.images import ImagePushed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door answers: an HTTP status and a JSON body."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job produced."""

    alerts: tuple[Alert, ...] = ()
    incidents: tuple[Incident, ...] = ()
    rejected: int = 0
    details: dict[str, Any] = field(default_factory=dict)
