"""Decisions: cached, in time, and as the deployment wants them when nothing is known."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from seawall.admission.policy import AdmissionPolicy, Evidence, Missing, Mode, Requirement
from seawall.admission.review import Review
from seawall.app.admit import DENIED_S, FAILED_S, Admission, AdmissionLimits
from seawall.domain.errors import NotFound, Unavailable
from seawall.domain.images import ImageReference

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
GOOD = Evidence(DIGEST, NOW)
POLICY = AdmissionPolicy((Requirement("signed"),), exempt_namespaces=("kube-system",))


class Registry:
    """Fulfils `Findings`; counts what it is asked."""

    def __init__(self, known: object = GOOD, digest: object = DIGEST) -> None:
        self.known, self.digest, self.asked = known, digest, Counter[str]()
        self.gate = threading.Event()
        self.gate.set()

    def digest_of(self, reference: ImageReference) -> str:
        return str(self._answer(str(reference), self.digest))

    def evidence(self, reference: ImageReference) -> Evidence | Missing:
        return self._answer(str(reference), self.known)  # type: ignore[return-value]

    def _answer(self, key: str, value: object) -> object:
        self.asked[key] += 1
        assert self.gate.wait(60)
        if isinstance(value, Exception):
            raise value
        return value


class Seconds:
    """A monotonic clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def admission(registry: Registry, seconds: Callable[[], float] | None = None, **more: object) -> Iterator[Admission]:
    made = Admission(
        lambda: POLICY,
        registry,
        clock=lambda: NOW,
        **({"monotonic": seconds} if seconds else {}),
        **more,  # type: ignore[arg-type]
    )
    yield made
    made.close()


def asking(*images: str, namespace: str = "shop") -> Review:
    return Review("u-1", namespace, "alice", "Pod x", images)


def settled(made: Admission, review: Review) -> None:
    while pending := made.waiting(review):
        for future in pending:
            future.exception(10)


def test_what_is_known_is_not_asked_again() -> None:
    registry = Registry()
    with admission(registry) as made:
        assert all(made.decide_in_time(asking("r.example/a:1", f"r.example/a@{DIGEST}")).allowed for _ in range(50))
    assert registry.asked == {"r.example/a:1": 1, f"r.example/a@{DIGEST}": 1}


def test_whoever_asks_meanwhile_waits_for_the_same_look_up() -> None:
    registry, answers = Registry(), []
    registry.gate.clear()
    with admission(registry) as made:
        threads = [
            threading.Thread(target=lambda: answers.append(made.decide_in_time(asking("r.example/a:1")).allowed))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        registry.gate.set()
        for thread in threads:
            thread.join(10)
    assert answers == [True] * 20
    assert max(registry.asked.values()) == 1


@pytest.mark.parametrize("trouble", [Unavailable("registry is down"), ValueError("a mistake of ours")])
@pytest.mark.parametrize(("unknown", "allowed"), [("open", True), ("closed", False)])
def test_the_deployment_says_what_happens_to_images_that_cannot_be_judged(
    trouble: Exception, unknown: str, allowed: bool
) -> None:
    with admission(Registry(known=trouble), unknown=unknown) as made:
        answer = made.decide_in_time(asking("r.example/a:1"))
    assert (answer.allowed, answer.unknown) == (allowed, True)
    assert "could not be judged" in (answer.reasons or answer.warnings)[0]


@pytest.mark.parametrize("unknown", ["open", "closed"])
def test_nothing_signed_is_a_fact_and_refused_either_way(unknown: str) -> None:
    for registry in (Registry(known=Missing("no signed findings")), Registry(digest=NotFound("no such tag"))):
        with admission(registry, unknown=unknown) as made:
            answer = made.decide_in_time(asking("r.example/a:1"))
        assert (answer.allowed, answer.unknown) == (False, False), answer


@pytest.mark.parametrize("image", ["r.example/a:1", f"r.example/a@{DIGEST}"])
@pytest.mark.parametrize("rules", [(Requirement("signed"),), ()], ids=["signed", "no rule"])
def test_a_denied_image_is_refused_by_tag_and_by_digest(image: str, rules: tuple[Requirement, ...]) -> None:
    denied = frozenset({DIGEST})
    made = Admission(lambda: AdmissionPolicy(rules), Registry(), clock=lambda: NOW, denied=lambda: denied)
    answer = made.decide_in_time(asking(image))
    other = made.decide_in_time(asking(f"r.example/a@sha256:{'2' * 64}"))
    made.close()
    assert (answer.allowed, other.allowed) == (False, True)
    assert answer.reasons == (f"{image} is denied in response to an incident",)


def test_a_list_of_denials_is_read_again_after_seconds() -> None:
    seconds, denied = Seconds(), [frozenset[str]()]
    with admission(Registry(), seconds, denied=lambda: denied[0]) as made:
        assert made.decide_in_time(asking(f"r.example/a@{DIGEST}")).allowed
        denied[0] = frozenset({DIGEST})
        assert made.decide_in_time(asking(f"r.example/a@{DIGEST}")).allowed
        seconds.now += DENIED_S
        assert not made.decide_in_time(asking(f"r.example/a@{DIGEST}")).allowed


@pytest.mark.parametrize(("unknown", "allowed"), [("open", True), ("closed", False)])
def test_a_store_that_does_not_answer_makes_images_unknown(unknown: str, allowed: bool) -> None:
    def down() -> frozenset[str]:
        raise Unavailable("the store is down")

    with admission(Registry(), denied=down, unknown=unknown) as made:
        answer = made.decide_in_time(asking(f"r.example/a@{DIGEST}"))
    assert (answer.allowed, answer.unknown) == (allowed, True)


def test_the_list_before_stands_while_the_store_does_not_answer() -> None:
    seconds, answers = Seconds(), iter([frozenset({DIGEST})])
    with admission(Registry(), seconds, denied=lambda: next(answers), unknown="closed") as made:
        for _ in range(3):
            answer = made.decide_in_time(asking(f"r.example/a@{DIGEST}"))
            assert (answer.allowed, answer.unknown) == (False, False)
            seconds.now += DENIED_S


def test_a_tag_that_is_not_there_is_not_denied() -> None:
    registry = Registry(digest=NotFound("no such tag"))
    made = Admission(lambda: AdmissionPolicy(), registry, denied=lambda: frozenset({DIGEST}))
    assert made.decide_in_time(asking("r.example/a:1")).allowed
    made.close()


def test_a_slow_registry_is_not_waited_for_and_known_the_next_time() -> None:
    registry = Registry()
    registry.gate.clear()
    with admission(registry, limits=AdmissionLimits(answer_s=0.05)) as made:
        answer = made.decide_in_time(asking(f"r.example/a@{DIGEST}"))
        assert (answer.allowed, answer.unknown) == (True, True)
        assert "in time" in answer.warnings[0]
        registry.gate.set()
        settled(made, asking(f"r.example/a@{DIGEST}"))
        assert made.decide(asking(f"r.example/a@{DIGEST}")).unknown is False
    assert registry.asked[f"r.example/a@{DIGEST}"] == 1


def test_evidence_is_renewed_before_it_ends_and_nobody_waits() -> None:
    registry, seconds = Registry(), Seconds()
    review = asking(f"r.example/a@{DIGEST}")
    with admission(registry, seconds, limits=AdmissionLimits(evidence_s=100)) as made:
        settled(made, review)
        seconds.now = 79
        assert made.waiting(review) == []
        assert registry.asked.total() == 1
        registry.known = Missing("withdrawn")
        seconds.now = 81
        assert made.decide(review).allowed, "the old evidence answers while the new one is looked up"
        while made.decide(review).allowed:
            threading.Event().wait(0.01)
    assert registry.asked.total() == 2


def test_a_renewal_that_fails_leaves_the_evidence_until_its_end() -> None:
    registry, seconds = Registry(), Seconds()
    review = asking(f"r.example/a@{DIGEST}")
    with admission(registry, seconds, limits=AdmissionLimits(evidence_s=100)) as made:
        settled(made, review)
        registry.known = Unavailable("down")
        seconds.now = 90
        assert made.decide(review).unknown is False
        while registry.asked.total() < 2:
            threading.Event().wait(0.01)
        assert made.decide(review).unknown is False
        seconds.now = 101
        settled(made, review)
        assert made.decide(review).unknown is True
        registry.known = GOOD
        assert made.decide(review).unknown is True, "a registry that is down is not asked by every pod"
        seconds.now = 101 + FAILED_S
        settled(made, review)
        assert made.decide(review).unknown is False


def test_what_is_exempt_or_has_no_rule_is_not_looked_at() -> None:
    registry = Registry(known=Missing("nothing"))
    with admission(registry) as made:
        assert made.decide_in_time(asking("r.example/a:1", namespace="kube-system")).allowed
        assert made.decide_in_time(asking()).allowed
    assert registry.asked.total() == 0


def test_a_rule_that_warns_lets_in_and_says_so() -> None:
    warning = AdmissionPolicy((Requirement("signed", Mode.WARN),))
    made = Admission(lambda: warning, Registry(known=Missing("no signed findings")), unknown="closed")
    answer = made.decide_in_time(asking("r.example/a:1"))
    assert answer.allowed
    assert answer.warnings == ("r.example/a:1 (signed): no signed findings",)
    made.close()


def test_text_that_is_no_reference_is_refused() -> None:
    with admission(Registry()) as made:
        answer = made.decide_in_time(asking("UPPER CASE"))
    assert not answer.allowed
