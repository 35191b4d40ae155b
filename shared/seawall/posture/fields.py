"""Field-decided controls: rows of a table, read by one comparator. Enforcement policies are generated from the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from seawall.domain.posture import Status
from seawall.posture.check import Check, Cluster, Finding, Run
from seawall.posture.objects import Obj, mapping, number
from seawall.posture.parts import Part, part_of
from seawall.posture.workloads import Container, Workload, capability


class Op(StrEnum):
    """How a present value is judged."""

    IS = "is"
    """equals the value"""
    IS_NOT = "is_not"
    """differs from the value"""
    IN = "in"
    """is one of the values"""
    NOT_IN = "not_in"
    """is none of the values"""
    EMPTY = "empty"
    """must not be set: null, empty text and empty list count as not set"""
    SET = "set"
    """must be set"""
    HAS = "has"
    """a list that holds every one of the values"""
    HAS_ANY = "has_any"
    """a list that holds at least one of the values"""
    LACKS = "lacks"
    """a list that holds none of the values"""
    WITHIN = "within"
    """a list whose items are all among the values"""
    AT_LEAST = "at_least"
    """a number not smaller than the value"""
    AT_MOST = "at_most"
    """a number not greater than the value"""
    LIKE = "like"
    """a text that equals one of the values, or starts with one that ends in *"""


class On(StrEnum):
    """What a row is read from."""

    POD = "pod"
    """the pod spec"""
    CONTAINER = "container"
    """each container of every list"""
    MAIN = "main"
    """each container but ephemeral ones, whose schema lacks the field"""
    RUNNING = "running"
    """each container that stays: no init container (a sidecar stays), no ephemeral one"""
    OBJECT = "object"
    """the whole object"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement on one field.

    `field` is a dotted path; a part that ends in `[*]` goes through a list, and every item must do. `absent` is the
    verdict when the field (or, with `inherit`, also the pod's field of that name) is not set.
    """

    field: str
    op: Op
    value: Any = None
    absent: Status = Status.PASS
    on: On = On.CONTAINER
    inherit: str = ""
    """Field of the pod spec that counts where the container leaves its own unset."""
    linux_only: bool = False
    """Windows pods are exempt."""
    as_text: Callable[[str], str] | None = None
    """Brings texts into their usual form before they are compared."""


@dataclass(frozen=True, slots=True)
class FieldControl:
    """A control that holds when every rule holds. `kinds` is empty for pod templates, else the kinds of objects."""

    id: str
    rules: tuple[Rule, ...]
    about: str = ""
    kinds: tuple[str, ...] = ()
    not_applicable_when: Callable[[Any], str] | None = None
    """Returns why the control has no meaning for this subject, or nothing."""
    refine: Callable[[Any, Any, list[Finding]], Iterable[Finding]] | None = None
    """Takes subject, world and what the rules found; returns what counts. For defaults that other objects give, and annotations."""
    refine_reads: tuple[Part, ...] = ()
    """Parts of a workload that `refine` reads beside what the rules read; none = any of it."""
    adds: bool = False
    """Whether `refine` may find something where the rules found nothing; else it is asked only about what they found."""
    enforce: bool = True
    """Whether the object alone decides, so that admission can."""
    more_cel: tuple[str, ...] = ()
    """CEL for what `refine` adds to the rules; has to hold too."""
    cel: str = ""
    """CEL that stands for the whole control where the rules cannot be translated one by one (`spec` is the pod spec)."""

    def check(self) -> Check:
        """Return the check that reads these rows."""
        return Check(
            self.id,
            self.kinds or (Workload,),
            _runner(self),
            self.about or describe(self.rules[0]),
            table=self,
            reads=self._reads(),
        )

    def _reads(self) -> frozenset[Part]:
        if self.kinds or (self.refine is not None and not self.refine_reads):
            return frozenset()
        parts = {part_of(rule.field, pod=rule.on is On.POD) for rule in self.rules}
        parts |= {part_of(rule.inherit, pod=True) for rule in self.rules if rule.inherit}
        known = frozenset(part for part in parts if part is not None)
        return known | set(self.refine_reads) if len(known) == len(parts) else frozenset()


MISSING: Final = object()
_WRONG: Final = object()


def describe(rule: Rule) -> str:
    """Return a rule in words."""
    value = (
        ""
        if rule.op in {Op.SET, Op.EMPTY}
        else f" {rule.value if not isinstance(rule.value, frozenset | tuple) else ', '.join(sorted(map(str, rule.value)))}"
    )
    return f"`{rule.field}` {rule.op.value.replace('_', ' ')}{value}"


def holds(rule: Rule, value: object) -> bool | None:
    """Judge a value that is set; None when its type says that it cannot be judged."""
    op, want = rule.op, rule.value
    if op is Op.SET:
        return not is_unset(value)
    if op is Op.EMPTY:
        return value in (None, "") or value == []
    if op is Op.IS or op is Op.IS_NOT:
        if isinstance(want, bool) != isinstance(value, bool) or (isinstance(want, str) and not isinstance(value, str)):
            return None
        if rule.as_text is not None and isinstance(value, str):
            value = rule.as_text(value)
        return (value == want) is (op is Op.IS)
    if op in _LISTS:
        if not isinstance(value, list):
            return None
        items = {
            rule.as_text(item) if rule.as_text is not None and isinstance(item, str) else item
            for item in value
            if not isinstance(item, dict | list)
        }
        if op is Op.HAS:
            return all(item in items for item in want)
        if op is Op.HAS_ANY:
            return any(item in items for item in want)
        return not items & want if op is Op.LACKS else items <= want
    if op is Op.AT_LEAST or op is Op.AT_MOST:
        amount = number(value)
        if amount is None:
            return None
        return bool(amount >= want if op is Op.AT_LEAST else amount <= want)
    if isinstance(value, dict | list):
        return None
    if rule.as_text is not None and isinstance(value, str):
        value = rule.as_text(value)
    if op is Op.LIKE:
        return isinstance(value, str) and like(value, want)
    return (value in want) is (op is Op.IN)


def like(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether `value` equals a pattern or starts with one that ends in a star."""
    return any(value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern for pattern in patterns)


_LISTS: Final = frozenset({Op.HAS, Op.HAS_ANY, Op.LACKS, Op.WITHIN})


def is_unset(value: object) -> bool:
    """Whether the API server would treat the value as not given."""
    return value is None or value is MISSING or value == "" or value == [] or value == {}


def read(body: object, parts: tuple[str, ...], path: str = "", start: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield path and value of every place that a field path means; `MISSING` where a part is not there."""
    for position in range(start, len(parts)):
        part = parts[position]
        if not isinstance(body, dict):
            rest = ".".join(parts[position:])
            yield (f"{path}.{rest}" if path and body is None else path or rest), (MISSING if body is None else _WRONG)
            return
        many = part.endswith("[*]")
        key = part[:-3] if many else part
        body = body.get(key)
        path = f"{path}.{key}" if path else key
        if many:
            if body is None:
                return
            if not isinstance(body, list):
                yield path, _WRONG
                return
            for index, item in enumerate(body):
                yield from read(item, parts, f"{path}[{index}]", position + 1)
            return
    yield path, (MISSING if body is None else body)


def judge(rule: Rule, value: object, path: str, part: str = "") -> Finding | None:
    """Return what is wrong with one value, None when nothing is."""
    if value is MISSING:
        if rule.absent is Status.PASS:
            return None
        return Finding(rule.absent, path, None, wanted(rule), "not set", part)
    verdict = None if value is _WRONG else holds(rule, value)
    if verdict:
        return None
    if verdict is None:
        shown = None if value is _WRONG else value
        return Finding(Status.UNKNOWN, path, shown, wanted(rule), "the value is of the wrong type", part)
    return Finding(Status.FAIL, path, value, wanted(rule), "", part)


_WANTED: Final[dict[int, tuple[Rule, Any]]] = {}


def wanted(rule: Rule) -> Any:
    """Return what a result shows as expected."""
    known = _WANTED.get(id(rule))
    if known is None:
        known = _WANTED[id(rule)] = (rule, _wanted(rule))
    return known[1]


def _wanted(rule: Rule) -> Any:
    value = (
        sorted(rule.value, key=str)
        if isinstance(rule.value, frozenset)
        else list(rule.value)
        if isinstance(rule.value, tuple)
        else rule.value
    )
    match rule.op:
        case Op.IS:
            return value
        case Op.IS_NOT:
            return f"not {str(value).lower() if isinstance(value, bool) else value}"
        case Op.EMPTY:
            return "not set"
        case Op.SET:
            return "set"
        case Op.IN | Op.LIKE:
            return {"one of": value}
        case Op.NOT_IN | Op.LACKS:
            return {"none of": value}
        case Op.HAS:
            return {"contains": value}
        case Op.HAS_ANY:
            return {"contains one of": value}
        case Op.WITHIN:
            return {"only": value}
        case Op.AT_LEAST:
            return f"at least {value}"
        case Op.AT_MOST:
            return f"at most {value}"


def _runner(control: FieldControl) -> Run:
    run, refine = _plain_runner(control), control.refine
    if refine is None:
        return run
    if control.adds:
        return lambda subject, world: refine(subject, world, run(subject, world))

    def filtered(subject: Any, world: Any) -> Iterable[Finding]:
        found = run(subject, world)
        return refine(subject, world, found) if found else found

    return filtered


def _plain_runner(control: FieldControl) -> Callable[[Any, Any], list[Finding]]:
    compiled = [
        (rule, tuple(rule.field.split(".")), tuple(rule.inherit.split(".")) if rule.inherit else ())
        for rule in control.rules
    ]
    if control.kinds:

        def on_object(subject: Obj, _: object) -> list[Finding]:
            if control.not_applicable_when is not None and (why := control.not_applicable_when(subject)):
                return [Finding(Status.NOT_APPLICABLE, reason=why)]
            return [
                found
                for rule, parts, _ in compiled
                for path, value in read(subject.body, parts)
                if (found := judge(rule, value, path))
            ]

        return on_object
    steps = [_Step(rule, parts, inherited) for rule, parts, inherited in compiled]

    def on_workload(subject: Workload, _: object) -> list[Finding]:
        found: list[Finding] = []
        for step in steps:
            if step.linux_only and subject.windows:
                continue
            if step.on_pod:
                # What is not there passes: the common case, told by one look into a mapping.
                if step.passes and step.key not in (subject.sc if step.in_context else subject.spec):
                    continue
                _judge_pod(step, subject, found)
                continue
            stand_in = plain(subject.spec, step.inherited) if step.inherited else MISSING
            for container in subject.containers:
                if step.some and not _concerns(step.rule.on, container):
                    continue
                base = container.sc if step.in_context else container.body
                if step.key not in base:
                    if stand_in is not MISSING:
                        finding = judge(step.rule, stand_in, f"{subject.path}.{step.rule.inherit}")
                        if finding is not None and finding not in found:
                            found.append(finding)
                    elif not step.passes:
                        found.append(step.absent_at(container))
                    continue
                _judge_container(step, subject, container, base, stand_in, found)
        return found

    return on_workload


class _Step:
    """A rule made ready for many subjects."""

    __slots__ = ("absent", "in_context", "inherited", "key", "leaf", "linux_only", "many", "on_pod", "parts", "passes", "rest", "rule", "some")  # fmt: skip

    def __init__(self, rule: Rule, parts: tuple[str, ...], inherited: tuple[str, ...]) -> None:
        self.rule, self.parts, self.inherited = rule, parts, inherited
        self.linux_only, self.on_pod = rule.linux_only, rule.on is On.POD
        self.passes, self.many = rule.absent is Status.PASS, "[*]" in rule.field
        self.some = rule.on in {On.MAIN, On.RUNNING}
        self.in_context = parts[0] == "securityContext" and len(parts) > 1
        self.key = parts[1 if self.in_context else 0].removesuffix("[*]")
        self.rest = parts[1:] if self.in_context else parts
        self.leaf = parts[1] if self.many and len(parts) == 2 and parts[0].endswith("[*]") else ""
        self.absent: dict[tuple[str, str], Finding] = {}

    def absent_at(self, container: Container) -> Finding:
        """The finding that a field is not set: the same for every container of that place and name."""
        key = (container.path, container.name)
        known = self.absent.get(key)
        if known is None:
            if len(self.absent) >= _MOST_SHARED:
                self.absent.clear()
            rule = self.rule
            known = Finding(rule.absent, f"{key[0]}.{rule.field}", None, wanted(rule), "not set", key[1])
            self.absent[key] = known
        return known


_MOST_SHARED: Final = 4096


def _none_has(body: dict[str, Any], step: _Step) -> bool:
    """Whether a list of mappings has no item with the field that is asked for: then nothing is left to judge."""
    items = body.get(step.key)
    if not step.leaf or items.__class__ is not list:
        return False
    return all(item.__class__ is dict and item.get(step.leaf) is None for item in items)


def _judge_pod(step: _Step, subject: Workload, found: list[Finding]) -> None:
    rule = step.rule
    if step.many:
        if step.passes and _none_has(subject.spec, step):
            return
        for path, value in read(subject.spec, step.parts):
            _collect(found, judge(rule, value, f"{subject.path}.{path}"))
        return
    value = plain(subject.spec, step.parts)
    if value is not MISSING or not step.passes:
        _collect(found, judge(rule, value, f"{subject.path}.{rule.field}"))


def _judge_container(
    step: _Step, subject: Workload, container: Container, base: dict[str, Any], stand_in: object, found: list[Finding]
) -> None:
    rule = step.rule
    if step.many:
        if step.passes and _none_has(container.body, step):
            return
        for path, value in read(container.body, step.parts):
            _collect(found, judge(rule, value, f"{container.path}.{path}", container.name))
        return
    value = plain(base, step.rest)
    if value is MISSING:
        if stand_in is not MISSING:
            finding = judge(rule, stand_in, f"{subject.path}.{rule.inherit}")
            if finding is not None and finding not in found:
                found.append(finding)
        elif not step.passes:
            found.append(step.absent_at(container))
        return
    _collect(found, judge(rule, value, f"{container.path}.{rule.field}", container.name))


def _collect(found: list[Finding], finding: Finding | None) -> None:
    if finding is not None:
        found.append(finding)


def plain(body: Any, parts: tuple[str, ...]) -> Any:
    """Return the value at a path without lists; `MISSING` where a part is not there."""
    for part in parts:
        if body.__class__ is not dict:
            return MISSING if body is None else _WRONG
        body = body.get(part)
    return MISSING if body is None else body


def _concerns(on: On, container: Container) -> bool:
    if on is On.CONTAINER:
        return True
    if container.is_ephemeral:
        return False
    return on is On.MAIN or not container.is_init


def capability_name(name: str) -> str:
    """The form in which capabilities are compared."""
    return capability(name)


__all__ = [
    "Cluster",
    "FieldControl",
    "On",
    "Op",
    "Rule",
    "capability_name",
    "describe",
    "holds",
    "judge",
    "mapping",
    "read",
    "wanted",
]
