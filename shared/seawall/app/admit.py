"""Use case: may these images run here? Signed findings and a policy decide; what is known of an image is kept for a while.

A decision from the cache costs microseconds and touches neither registry nor store. What is not cached is looked up once,
whoever asks meanwhile waits for the same look-up, and nobody waits longer than the deployment allows: then the choice for
unknown images decides, and the look-up goes on for the next question.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from seawall.admission.policy import AdmissionPolicy, Evidence, Missing, Mode, Requirement, broken
from seawall.admission.review import Answer, Review
from seawall.app.attest_image import verify_platforms
from seawall.domain.errors import InputError, NotFound, SeawallError, Unauthenticated
from seawall.domain.images import ImageReference
from seawall.formats.attestation import open_findings
from seawall.oci.references import parse_reference
from seawall.ports.clock import Clock
from seawall.ports.registry import Registry

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOKUPS = 16
"""Images that are looked up at the same time."""
CACHED = 20_000
DENIED_S = 10.0
"""How old the list of denied images may be."""
FAILED_S = 5.0
"""How long a look-up that failed is not repeated: a registry that is down is not asked by every pod."""


class Findings(Protocol):
    """Where evidence comes from."""

    def digest_of(self, reference: ImageReference) -> str:
        """Return the digest that a tag stands for now. Raises: NotFound, Denied, Unavailable."""

    def evidence(self, reference: ImageReference) -> Evidence | Missing:
        """Return what is known of an image that is named by digest. Raises: Denied, Unavailable."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Seconds: how long evidence and missing evidence hold, tags stand for a digest, and a question may take."""

    evidence_s: float = 300
    missing_s: float = 30
    tag_s: float = 60
    answer_s: float = 3


class Admission:
    """Decides reviews; safe between threads.

    `unknown` is what happens to images that could not be judged: "open" lets them in with a warning, "closed" refuses.
    `denied` returns the digests that a response refuses, whatever the policy says of them.
    """

    def __init__(
        self,
        policy: Callable[[], AdmissionPolicy],
        findings: Findings,
        *,
        unknown: Literal["open", "closed"] = "open",
        limits: AdmissionLimits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        denied: Callable[[], frozenset[str]] | None = None,
    ) -> None:
        self._denied = denied
        self._last_denied: frozenset[str] | None = None
        self._policy, self._findings, self._closed = policy, findings, unknown == "closed"
        self.limits = limits or AdmissionLimits()
        self._clock = clock
        self._workers = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="admission")
        self._tags = _Kept[str](self._workers, monotonic)
        self._known = _Kept[Evidence | Missing](self._workers, monotonic)
        self._denials = _Kept[frozenset[str]](self._workers, monotonic)
        self._monotonic = monotonic

    def waiting(self, review: Review) -> list[Future[Any]]:
        """Begin to look up what the decision needs and is not known; return what to wait for. Never blocks."""
        policy = self._policy()
        if policy.exempts(review.namespace, review.user):
            return []
        found: list[Future[Any]] = [] if self._denied is None else [self._denials_now()]
        for reference, rules in _covered(policy, review):
            if any(rule.needs_evidence for rule in rules):
                found.append(self._known_of(reference))
            elif self._denied is not None and not reference.digest:
                found.append(self._tag_of(reference))
        return [item for item in found if not item.done()]

    def decide(self, review: Review) -> Answer:
        """Return the decision with what is known now; an image whose look-up is not finished counts as unknown."""
        policy, now = self._policy(), self._clock()
        if policy.exempts(review.namespace, review.user):
            return Answer(True)
        reasons: list[str] = []
        warnings: list[str] = []
        unknown = False
        try:
            covered = list(_covered(policy, review))
        except InputError as error:
            return Answer(False, (error.message,))
        for reference, rules in covered:
            try:
                if self._is_denied(reference):
                    reasons.append(f"{reference} is denied in response to an incident")
                needed = any(rule.needs_evidence for rule in rules)
                evidence = self._evidence_of(reference) if needed else None
            except Exception as error:  # noqa: BLE001 - whatever it is, the deployment's choice decides
                evidence, unknown = None, True
                why = _explained(error)
                log.warning("image not judged", extra={"image": str(reference), "reason": why})
                enforced = any(rule.mode is Mode.ENFORCE and rule.needs_evidence for rule in rules)
                text = f"{reference} could not be judged: {why}"
                (reasons if self._closed and enforced else warnings).append(text)
            for rule in rules:
                for reason in broken(rule, reference, evidence, now):
                    text = f"{reference} ({rule.name}): {reason}"
                    (reasons if rule.mode is Mode.ENFORCE else warnings).append(text)
        return Answer(not reasons, tuple(reasons), tuple(warnings), unknown)

    def decide_in_time(self, review: Review) -> Answer:
        """Return the decision after waiting at most `answer_s` for what has to be looked up."""
        until = self._monotonic() + self.limits.answer_s
        with suppress(InputError):
            while (left := until - self._monotonic()) > 0 and (pending := self.waiting(review)):
                wait(pending, timeout=left)
        return self.decide(review)

    def close(self) -> None:
        """Stop looking up."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _known_of(self, reference: ImageReference) -> Future[Any]:
        """The look-up that is next for an image: of its tag, or of its digest."""
        if reference.digest:
            return self._by_digest(reference, reference.digest)
        tag = self._tag_of(reference)
        if not tag.done() or tag.exception() is not None:
            return tag
        return self._by_digest(reference, tag.result())

    def _tag_of(self, reference: ImageReference) -> Future[str]:
        return self._tags.get(str(reference), lambda: self._findings.digest_of(reference), lambda _: self.limits.tag_s)

    def _denials_now(self) -> Future[frozenset[str]]:
        return self._denials.get("", self._read_denials, lambda _: DENIED_S)

    def _read_denials(self) -> frozenset[str]:
        """The list as it is now; while the store does not answer the one before stands."""
        assert self._denied is not None
        try:
            self._last_denied = self._denied()
        except Exception as error:
            if self._last_denied is None:
                raise
            log.warning("denied images not read, the list before stays", extra={"reason": _explained(error)})
        return self._last_denied

    def _is_denied(self, reference: ImageReference) -> bool:
        """Whether a response refuses the image; of a tag, what it stands for now."""
        if self._denied is None or not (denied := self._denials_now().result(0)):
            return False
        try:
            return (reference.digest or self._tag_of(reference).result(0)) in denied
        except NotFound:
            return False  # there is nothing that could run

    def _by_digest(self, reference: ImageReference, digest: str) -> Future[Evidence | Missing]:
        named = ImageReference(reference.registry, reference.repository, "", digest)
        return self._known.get(
            str(named),
            lambda: self._findings.evidence(named),
            lambda found: self.limits.missing_s if isinstance(found, Missing) else self.limits.evidence_s,
        )

    def _evidence_of(self, reference: ImageReference) -> Evidence | Missing:
        try:
            found = self._known_of(reference).result(0)
        except NotFound as error:
            return Missing(error.message)
        if isinstance(found, str):
            raise TimeoutError
        assert isinstance(found, Evidence | Missing)
        return found


def _covered(policy: AdmissionPolicy, review: Review) -> Iterator[tuple[ImageReference, list[Requirement]]]:
    for written in review.images:
        reference = parse_reference(written)
        yield reference, [rule for rule in policy.rules if rule.covers(review.namespace, reference)]


def _explained(error: Exception) -> str:
    if isinstance(error, SeawallError):
        return error.message
    return "its findings did not come in time" if isinstance(error, TimeoutError) else type(error).__name__


@dataclass(slots=True)
class _Item(Generic[T]):
    """A value that is there or being made. `ends` and `renews` are infinite until it is known how long it holds."""

    future: Future[T]
    ends: float = float("inf")
    renews: float = float("inf")


class _Kept(Generic[T]):
    """Values by key for a time. Whoever asks while a value is being made waits for the same one.

    In the last fifth of its life a value is made anew while the old one still answers, so that nobody waits for what is in use.
    """

    def __init__(self, workers: ThreadPoolExecutor, monotonic: Callable[[], float]) -> None:
        self._workers, self._monotonic = workers, monotonic
        self._lock = threading.Lock()
        self._items: OrderedDict[str, _Item[T]] = OrderedDict()

    def get(self, key: str, make: Callable[[], T], lifetime_s: Callable[[T], float]) -> Future[T]:
        """Return the value, made in a worker when it is not there or too old."""
        now = self._monotonic()
        with self._lock:
            held = self._items.get(key)
            if held is not None and now < held.ends:
                self._items.move_to_end(key)
                if now >= held.renews:
                    held.renews = float("inf")
                    self._workers.submit(self._renew, key, make, lifetime_s)
                return held.future
            item = _Item[T](Future())
            self._items[key] = item
            while len(self._items) > CACHED:
                self._items.popitem(last=False)
        self._workers.submit(self._make, item, make, lifetime_s)
        return item.future

    def _make(self, item: _Item[T], make: Callable[[], T], lifetime_s: Callable[[T], float]) -> None:
        try:
            value = make()
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            item.ends = self._monotonic() + FAILED_S
            item.future.set_exception(error)
            return
        life = lifetime_s(value)
        now = self._monotonic()
        item.ends, item.renews = now + life, now + life * 0.8
        item.future.set_result(value)

    def _renew(self, key: str, make: Callable[[], T], lifetime_s: Callable[[T], float]) -> None:
        item = _Item[T](Future())
        self._make(item, make, lifetime_s)
        if item.future.exception() is None:  # a renewal that fails leaves the old value until its end
            with self._lock:
                self._items[key] = item


class SignedFindings:
    """Evidence out of the registry: statements that `public_key_pem()` signed, about every platform of the image."""

    def __init__(self, registry: Registry, public_key_pem: Callable[[], str], clock: Clock) -> None:
        self._registry, self._key, self._clock = registry, public_key_pem, clock

    def digest_of(self, reference: ImageReference) -> str:
        """See `Findings`."""
        return str(self._registry.resolve(reference)[1])

    def evidence(self, reference: ImageReference) -> Evidence | Missing:
        """See `Findings`."""
        try:
            statements = verify_platforms(
                reference, registry=self._registry, public_key_pem=self._key(), clock=self._clock
            )
            findings = tuple(finding for item in statements for finding in open_findings(item.attested))
        except (NotFound, Unauthenticated, InputError) as error:
            return Missing(error.message)
        return Evidence(reference.digest, min(item.attested.created_at for item in statements), findings)
