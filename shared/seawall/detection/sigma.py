"""Sigma rules for Kubernetes audit logs, unmodified: pySigma parses, this evaluates.

Field names are those of the audit event's JSON (`objectRef.resource`, `requestObject.spec.hostNetwork`). Short names
that rules use (`namespace`, `resource`, `hostPath`, `capabilities`) are looked up in the object reference and then
anywhere in the request body. Text compares without case unless `|cased`; a list matches when one of its items does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seawall.detection.declaration import Detection
from seawall.domain.alerts import Match
from seawall.domain.attack import technique
from seawall.domain.audit_events import AuditEvent
from seawall.domain.errors import ConfigError, MissingExtra
from seawall.domain.severity import Severity

MAX_TEXT = 20_000
"""Characters of a value that patterns look at."""
MAX_NODES = 20_000
"""Values of a request body that a search by short name or by keyword visits."""
MAX_FILE_BYTES = 1024 * 1024

Test = Callable[[Any], bool]
_REFERENCE = frozenset({"resource", "subresource", "namespace", "name", "apiGroup", "apiVersion"})
_TOP = frozenset(
    {
        "verb", "user", "impersonatedUser", "sourceIPs", "userAgent", "objectRef", "responseStatus", "requestURI", "level",
        "stage", "auditID", "annotations", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp",
    }
)  # fmt: skip


def load_sigma(paths: Iterable[Path]) -> list[Detection]:
    """Return the analytics of Sigma files and of folders of them (`*.yml`, `*.yaml`), by id.

    Raises:
        ConfigError: a file cannot be read, is no Sigma rule, or asks for what cannot be evaluated; the message names it.
        MissingExtra: pySigma is not installed.
    """
    found: dict[str, Detection] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there are no Sigma rules at {path}")
        files = (
            sorted(item for item in path.rglob("*") if item.suffix in (".yml", ".yaml")) if path.is_dir() else [path]
        )
        for file in files:
            if file.stat().st_size > MAX_FILE_BYTES:
                raise ConfigError(f"{file} is too large for a Sigma rule")
            for rule in parse_sigma(file.read_text("utf-8", "replace"), origin=file.name):
                if found.setdefault(rule.id, rule) is not rule:
                    raise ConfigError(f"{file}: the Sigma id {rule.id} is used twice")
    return [found[key] for key in sorted(found)]


def parse_sigma(text: str, *, origin: str = "rule") -> list[Detection]:
    """Return the analytics of one Sigma document (several rules when it holds several YAML documents).

    Raises:
        ConfigError: see `load_sigma`. A rule for another log source is refused too: it could never fire.
    """
    try:
        from sigma.collection import SigmaCollection
        from sigma.exceptions import SigmaError
        from sigma.rule import SigmaRule
        from yaml import YAMLError
    except ImportError as error:
        raise MissingExtra("sigma", "reading Sigma rules") from error
    try:
        rules = SigmaCollection.from_yaml(text).rules
        found = []
        for rule in rules:
            if not isinstance(rule, SigmaRule):
                raise ConfigError(f"{origin}: Sigma correlation and filter documents are not evaluated")
            found.append(_detection(rule, origin))
    except SigmaError as error:
        raise ConfigError(f"{origin}: {error}") from error
    except (YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{origin} is not a Sigma rule: {' '.join(str(error).split())}") from error
    if not found:
        raise ConfigError(f"{origin} holds no Sigma rule")
    return found


def as_document(event: AuditEvent) -> dict[str, Any]:
    """Return the event under the names of its JSON."""
    ref, status = event.object_ref, event.response
    return {
        "verb": event.verb,
        "user": _user(event.user, event.extra),
        "impersonatedUser": _user(event.impersonated, {}),
        "sourceIPs": event.source_ips,
        "userAgent": event.user_agent,
        "objectRef": ref
        and {
            "resource": ref.resource, "subresource": ref.subresource, "namespace": ref.namespace, "name": ref.name,
            "apiGroup": ref.api_group, "apiVersion": ref.api_version, "uid": ref.uid,
        },
        "responseStatus": status and {"code": status.code, "reason": status.reason, "status": status.status},
        "requestURI": event.request_uri,
        "level": event.level,
        "stage": event.stage,
        "auditID": event.audit_id,
        "annotations": event.notes,
        "requestObject": event.request_body,
        "responseObject": event.response_body,
        "requestReceivedTimestamp": event.received,
        "stageTimestamp": event.stage_time,
    }  # fmt: skip


def values_of(document: Mapping[str, Any], field: str) -> Iterator[Any]:
    """Yield the values of a field, items of lists one by one; nothing when it is absent."""
    if field.partition(".")[0] in _TOP:
        yield from _walk(document, field)
        return
    if field in _REFERENCE:
        yield from _walk(document, f"objectRef.{field}")
    yield from _named(document.get("requestObject"), field)


def _user(user: Any, extra: dict[str, Any]) -> dict[str, Any] | None:
    return user and {"username": user.username, "groups": user.groups, "uid": user.uid, "extra": extra}


def _walk(value: Any, path: str) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value[:1000]:
            yield from _walk(item, path)
    elif not path:
        if value is not None and value != "":
            yield value
    elif isinstance(value, Mapping):
        if path in value:  # keys of annotations and labels hold dots
            yield from _walk(value[path], "")
            return
        head, _, rest = path.partition(".")
        if head in value:
            yield from _walk(value[head], rest)
        elif rest:
            for key in (key for key in value if path.startswith(f"{key}.")):
                yield from _walk(value[key], path[len(key) + 1 :])


def _named(body: Any, path: str) -> Iterator[Any]:
    """Values at `path` wherever it begins in the body; breadth first, bounded."""
    head = path.partition(".")[0]
    queue, seen = [body], 0
    while queue and seen < MAX_NODES:
        value = queue.pop(0)
        seen += 1
        if isinstance(value, Mapping):
            if head in value:
                yield from _walk(value, path)
            queue.extend(item for item in value.values() if isinstance(item, Mapping | list))
        elif isinstance(value, list):
            queue.extend(item for item in value[:1000] if isinstance(item, Mapping | list))


def _texts(value: Any) -> Iterator[str]:
    """Every text in the document, for keywords."""
    queue, seen = [value], 0
    while queue and seen < MAX_NODES:
        item = queue.pop()
        seen += 1
        if isinstance(item, Mapping):
            queue.extend(item.values())
        elif isinstance(item, list):
            queue.extend(item[:1000])
        elif isinstance(item, str | int | float) and not isinstance(item, bool):
            yield str(item)[:MAX_TEXT]


_LEVELS = {"informational": Severity.INFORMATIONAL, "low": Severity.LOW, "medium": Severity.MEDIUM}
_LEVELS |= {"high": Severity.HIGH, "critical": Severity.CRITICAL}


def _detection(rule: Any, origin: str) -> Detection:
    source = rule.logsource
    if (source.product or "").lower() != "kubernetes" or (source.service or source.category or "audit") != "audit":
        raise ConfigError(
            f"{origin}: the rule is for {source.product or 'any'}/{source.service or source.category or 'any'}",
            hint="only logsource product kubernetes, service audit is evaluated",
        )
    if rule.id is None:
        raise ConfigError(f"{origin}: the rule has no id")
    trees = [condition.parsed for condition in rule.detection.parsed_condition]
    tests = [_compiled(tree, origin) for tree in trees]
    title = str(rule.title)
    ids = [str(tag.name).upper() for tag in rule.tags or () if str(tag.namespace) == "attack"]

    def check(event: AuditEvent) -> Match | None:
        document = as_document(event)
        if not any(test(document) for test in tests):
            return None
        return Match(f"{event.actor or 'somebody'} did {event.verb} {event.resource}: {title}")

    return Detection(
        id=f"SIGMA-{rule.id}",
        title=title,
        severity=_LEVELS.get(str(rule.level).lower().rpartition(".")[2] if rule.level else "", Severity.MEDIUM),
        attack=tuple(id_ for id_ in ids if technique(id_)),
        on=AuditEvent,
        response="Follow the rule's references.",
        check=check,
        doc=str(rule.description or title),
        outcomes=("allowed", "denied", "failed"),
        verbs=_exact(trees, "verb"),
        catalogue=(f"Sigma: {title}",),
        benign=tuple(map(str, rule.falsepositives or ())),
        investigate=tuple(map(str, rule.references or ())),
    )


def _exact(trees: list[Any], field: str) -> tuple[str, ...]:
    """The values that `field` must have for the rule to match, for the dispatch; empty = any."""
    if len(trees) != 1:
        return ()
    from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionOR

    tree = trees[0]
    for node in [*tree.args, tree] if isinstance(tree, ConditionAND) else [tree]:
        leaves = node.args if isinstance(node, ConditionOR) else [node]
        if not all(isinstance(leaf, ConditionFieldEqualsValueExpression) and leaf.field == field for leaf in leaves):
            continue
        values = [str(getattr(leaf, "value", "")) for leaf in leaves]
        if all(value.isalpha() for value in values):
            return tuple(value.lower() for value in values)
    return ()


def _compiled(node: Any, origin: str) -> Test:
    from sigma import conditions as c

    if isinstance(node, c.ConditionAND):
        tests = [_compiled(item, origin) for item in node.args]
        return lambda document: all(test(document) for test in tests)
    if isinstance(node, c.ConditionOR):
        tests = [_compiled(item, origin) for item in node.args]
        return lambda document: any(test(document) for test in tests)
    if isinstance(node, c.ConditionNOT):
        (test,) = [_compiled(item, origin) for item in node.args]
        return lambda document: not test(document)
    if isinstance(node, c.ConditionFieldEqualsValueExpression):
        return _field_test(str(node.field), node.value, origin)
    if isinstance(node, c.ConditionValueExpression):
        keyword = _value_test(node.value, origin, contains=True)
        return lambda document: any(keyword(text) for text in _texts(document))
    raise ConfigError(f"{origin}: cannot evaluate {type(node).__name__}")


def _field_test(field: str, value: Any, origin: str) -> Test:
    from sigma import types as t

    if isinstance(value, t.SigmaNull):
        return lambda document: next(values_of(document, field), None) is None
    if isinstance(value, t.SigmaExists):
        wanted = bool(value.exists)
        return lambda document: (next(values_of(document, field), None) is not None) is wanted
    if isinstance(value, t.SigmaFieldReference):
        other = str(value.field)
        return lambda document: any(
            str(one) == str(two) for one in values_of(document, field) for two in values_of(document, other)
        )
    if isinstance(value, t.SigmaString) and str(value) == "*":
        return lambda document: next(values_of(document, field), None) is not None
    if isinstance(value, t.SigmaString) and not str(value):
        return lambda document: next(values_of(document, field), None) is None
    test = _value_test(value, origin)
    return lambda document: any(test(item) for item in values_of(document, field))


def _value_test(value: Any, origin: str, *, contains: bool = False) -> Test:
    from sigma import types as t

    if isinstance(value, t.SigmaString):
        cased = isinstance(value, t.SigmaCasedString)
        pattern = "".join(_piece(piece) for piece in value.s)
        compiled = re.compile(pattern, re.DOTALL if cased else re.DOTALL | re.IGNORECASE)
        find = compiled.search if contains else compiled.fullmatch
        return lambda item: find(_text(item)) is not None
    if isinstance(value, t.SigmaRegularExpression):
        search = _regex(str(value.regexp), {flag.name for flag in value.flags}, origin)
        return lambda item: bool(search(_text(item)))
    if isinstance(value, t.SigmaBool):
        wanted = bool(value.boolean)
        return lambda item: (item is wanted) or _text(item).lower() == str(wanted).lower()
    if isinstance(value, t.SigmaNumber):
        return lambda item: _number(item) == value.number
    if isinstance(value, t.SigmaCompareExpression):
        return _comparison(value, origin)
    if isinstance(value, t.SigmaCIDRExpression):
        network = ipaddress.ip_network(str(value.cidr), strict=False)
        return lambda item: _inside(item, network)
    raise ConfigError(f"{origin}: values of type {type(value).__name__} cannot be evaluated")


def _piece(piece: Any) -> str:
    from sigma.types import SpecialChars

    if piece is SpecialChars.WILDCARD_MULTI:
        return ".*?"
    if piece is SpecialChars.WILDCARD_SINGLE:
        return "."
    if isinstance(piece, str):
        return re.escape(piece)
    raise ConfigError("placeholders in Sigma values need a processing pipeline, which is not supported")


def _regex(pattern: str, flags: set[str], origin: str) -> Callable[[str], Any]:
    """Linear-time RE2 (pySigma brings it), so that hostile events cannot make a rule slow."""
    short = "".join(
        letter for name, letter in (("IGNORECASE", "i"), ("MULTILINE", "m"), ("DOTALL", "s")) if name in flags
    )
    full = f"(?{short}){pattern}" if short else pattern
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(full, options=options).search  # type: ignore[no-any-return]
    except re2.error as error:
        raise ConfigError(f"{origin}: the pattern {pattern[:80]!r} cannot be run in linear time: {error}") from error


def _comparison(value: Any, origin: str) -> Test:
    bound, name = value.number.number, value.op.name
    tests: dict[str, Callable[[float], bool]] = {
        "LT": lambda number: number < bound,
        "LTE": lambda number: number <= bound,
        "GT": lambda number: number > bound,
        "GTE": lambda number: number >= bound,
        "NEQ": lambda number: number != bound,
    }
    if name not in tests:
        raise ConfigError(f"{origin}: the comparison {name} cannot be evaluated")
    compare = tests[name]
    return lambda item: (number := _number(item)) is not None and compare(number)


def _text(item: Any) -> str:
    if isinstance(item, bool):
        return str(item).lower()
    return item[:MAX_TEXT] if isinstance(item, str) else str(item)[:MAX_TEXT] if isinstance(item, int | float) else ""


def _number(item: Any) -> float | None:
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    try:
        return float(item)
    except (ValueError, OverflowError):
        return None


def _inside(item: Any, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return isinstance(item, str) and ipaddress.ip_address(item) in network
    except ValueError:
        return False
