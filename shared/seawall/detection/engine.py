"""Runs analytics over events: each event meets only the analytics that could match it.

Declarations are compiled into one table per type of event. For audit events the key is (verb, resource, sub-resource,
traits), where the traits are what can be told of an event without looking into it: the kind of caller, allowed or
denied, impersonated, where from. Ordinary traffic finds an empty row and costs one look-up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from seawall.detection.accumulate import Accumulator, Place
from seawall.detection.applets import AppletRun, applets_of
from seawall.detection.context import Context, context, use
from seawall.detection.declaration import Detection
from seawall.detection.describe import Description, describe, short
from seawall.detection.folding import MAX_EVIDENCE, event_hash
from seawall.detection.processes import program
from seawall.detection.windows import Observation, Windows
from seawall.domain.alerts import Alert, Evidence, Match
from seawall.domain.audit_events import NO_OBJECT, NO_USER, AuditEvent, CloudActivity, RegistryEvent
from seawall.domain.ids import content_id
from seawall.domain.runtime_events import ProcessExec, RuntimeEvent

log = logging.getLogger(__name__)

_TABLE_LIMIT = 20_000
"""Rows of the dispatch table; verbs and resources come from outside, so it is emptied when it grows over this."""

_QUIET_LIMIT = 8192
"""Process starts that said nothing a moment ago, remembered by their hash."""

EPOCH = datetime.fromtimestamp(0, UTC)

Rules = tuple[Detection, ...]

_WITHOUT_BODIES = {
    "request_raw": msgspec.Raw(b""), "response_raw": msgspec.Raw(b""), "request_cache": None, "response_cache": None,
    "pods_cache": None,
}  # fmt: skip


@dataclass(slots=True)
class EngineStats:
    """What happened, for metrics. `errors` counts predicates that failed on odd data, by analytic."""

    events: int = 0
    matches: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Verdict:
    """What one analytic says of all events with one fingerprint, and the alert that its repeats go to."""

    __slots__ = ("accumulator", "match", "rule")

    def __init__(self, rule: Detection, match: Match | None) -> None:
        self.rule = rule
        self.match = match
        self.accumulator: Accumulator | None = None


class Growing:
    """The alerts of a run while they grow, by id.

    Predicates are functions of the event alone, so equal requests (all but time and audit id) are judged once.
    """

    def __init__(self, max_evidence: int = MAX_EVIDENCE, *, remember: bool = True) -> None:
        self._max_evidence = max_evidence
        self._remember = remember
        self._by_id: dict[str, Accumulator] = {}
        self.verdicts: dict[int, list[Verdict]] = {}
        self._windowed: dict[tuple[Any, ...], Verdict] = {}
        self._told: dict[int, Accumulator] = {}
        self.event: AuditEvent | None = None
        self.time = EPOCH
        self.member = 0
        self.place: Place = (EPOCH, "", "", 0)

    def add(self, alert: Alert) -> Accumulator:
        """Take a single alert."""
        accumulator = self._by_id.get(alert.id)
        if accumulator is None:
            accumulator = self._by_id[alert.id] = Accumulator(alert, self._max_evidence)
        else:
            accumulator.add(alert)
        return accumulator

    def learn(self, fingerprint: int, verdicts: list[Verdict]) -> list[Verdict]:
        """Keep what was said of events with this fingerprint."""
        if self._remember:
            if len(self.verdicts) >= _TABLE_LIMIT:
                self.verdicts.clear()
            self.verdicts[fingerprint] = verdicts
        return verdicts

    def repeat_of(self, rule: Detection, event: AuditEvent, match: Match) -> Verdict:
        """Return what a rule with a window said before of equal requests, in the same words; else a new verdict."""
        features = tuple(sorted(match.features.items()))
        key = (
            rule.id, match.message, match.key, match.severity, match.reasons, match.entities, features,
            _fingerprint(event),
        )  # fmt: skip
        known = self._windowed.get(key)
        if known is None:
            if len(self._windowed) >= _TABLE_LIMIT:
                self._windowed.clear()
            known = self._windowed[key] = Verdict(rule, match)
        return known

    def told(self, key: int) -> Accumulator | None:
        """Return the alert that something with these words, this actor and this object went into before."""
        return self._told.get(key)

    def tell(self, key: int, accumulator: Accumulator) -> None:
        """Remember where it went."""
        if len(self._told) >= _TABLE_LIMIT:
            self._told.clear()
        self._told[key] = accumulator

    def look_at(self, event: AuditEvent, default_time: datetime) -> None:
        """Work out once per event what its matches share."""
        time = event.time
        identifier = event.id
        self.event = event
        self.time = time or default_time
        self.member = event_hash(identifier)
        self.place = (time or EPOCH, event.audit_id or event.event_id or identifier, event.file, event.index)

    def alerts(self) -> list[Alert]:
        """Return the folded alerts, ordered by first_seen and id."""
        return sorted((item.alert() for item in self._by_id.values()), key=lambda alert: (alert.first_seen, alert.id))


def _fingerprint(event: AuditEvent) -> int:
    """Hash of all that predicates and alerts take from an event, beside its time of day, audit id and place.

    Texts hash by SipHash with a key of this process, so nobody outside can make two requests collide.
    """
    ref, user, other = event.object_ref or NO_OBJECT, event.user or NO_USER, event.impersonated or NO_USER
    answer = event.response
    code, message = (answer.code, answer.message) if answer is not None else (None, None)
    return hash(
        (
            event.verb, event.request_uri, event.user_agent, code, message, event.cluster, event.platform, event.stage,
            (event.received or event.timestamp or event.stage_time or "")[:10],
            ref.resource, ref.namespace, ref.name, ref.subresource, ref.api_group,
            user.username, other.username, event.impersonated is None,
            tuple(user.groups or ()), tuple(other.groups or ()), tuple(event.source_ips or ()),
            bytes(user.extra), bytes(event.annotations), bytes(event.enrichment),
            bytes(event.request_raw), bytes(event.response_raw),
        )
    )  # fmt: skip


def _substance(rule: Detection, event: AuditEvent, match: Match) -> int:
    """Hash of all that a match adds to its alert, beside time and evidence: requests that differ in nothing else (in
    their bodies, say, or their paths) count as repeats of one another once the alert holds the evidence it may."""
    ref, user, other = event.object_ref or NO_OBJECT, event.user or NO_USER, event.impersonated or NO_USER
    return hash(
        (
            rule.id, match.message, match.key, match.severity, match.reasons, match.entities, tuple(match.features.items()),
            event.cluster, event.platform, (event.received or event.timestamp or event.stage_time or "")[:10],
            ref.resource, ref.namespace, event.name, ref.subresource, user.username, other.username, event.source_ip,
            bytes(user.extra),
        )
    )  # fmt: skip


class Engine:
    """Compiled analytics. Not thread-safe: one engine per worker.

    `default_time` stands for events that carry no time. `windows` keeps the recent past; give the same one to later
    engines to go on with it.
    """

    def __init__(
        self,
        rules: Iterable[Detection],
        *,
        knowledge: Context | None = None,
        default_time: datetime = EPOCH,
        windows: Windows[Any] | None = None,
    ) -> None:
        self.rules: Rules = tuple(rule for rule in rules if rule.enabled and not rule.features)
        self.stats = EngineStats()
        self._knowledge = knowledge
        self._default_time = default_time
        self._windows: Windows[Any] = windows if windows is not None else Windows()
        self._audit = tuple(rule for rule in self.rules if rule.on is AuditEvent)
        self._table: dict[tuple[str, str, str, int], Rules] = {}
        self._by_type: dict[type[Any], Rules] = {}
        self._by_operation: dict[tuple[type[Any], str], Rules] = {}
        self._quiet: set[int] = set()
        self._windowed: dict[str, Rules] = {}
        self._callers: dict[str, int] = {}
        self._tools: dict[str, int] = {}
        self._origins: dict[str, int] = {}
        self._agents = [rule.agents for rule in self._audit if rule.agents is not None]

    def run(self, events: Iterable[Any], *, max_evidence: int | None = None) -> list[Alert]:
        """Return the folded alerts of a batch, ordered by first_seen and id."""
        growing = Growing(MAX_EVIDENCE if max_evidence is None else max_evidence)
        for event in events:
            self.feed(event, growing)
        return growing.alerts()

    def feed(self, event: Any, growing: Growing) -> None:
        """Judge one event and add what it gives to `growing`: `process` and `fold` in one, cheaper for repeats."""
        if type(event) is ProcessExec:
            for applet in applets_of(event):
                self.feed(applet, growing)
        self.stats.events += 1
        rules = self._rules_for_audit(event) if type(event) is AuditEvent else self.rules_for(event)
        if not rules:
            return
        if self._knowledge is None:
            self._feed(rules, event, growing)
        else:
            with use(self._knowledge):
                self._feed(rules, event, growing)

    def _feed(self, rules: Rules, event: Any, growing: Growing) -> None:
        if type(event) is not AuditEvent:
            for rule in rules:
                for alert in self._judge(rule, event):
                    growing.add(alert)
            return
        fingerprint = _fingerprint(event)
        verdicts = growing.verdicts.get(fingerprint)
        if verdicts is None:
            verdicts = growing.learn(fingerprint, self._verdicts(rules, event))
        for verdict in verdicts:
            rule, match = verdict.rule, verdict.match
            if match is None:
                for current, found in self._after(rule, event):
                    self._grow(growing.repeat_of(rule, current, found), current, growing)
            elif rule.window is None:
                self._grow(verdict, event, growing)
            else:
                for counted, found in self._counted(rule, event, match):
                    growing.add(self._alert(rule, counted, found))

    def _after(self, rule: Detection, event: AuditEvent) -> list[tuple[AuditEvent, Match]]:
        """What a rule says of an event and of the later ones that it matters to."""
        assert rule.window is not None
        time = event.time or self._default_time
        kept = msgspec.structs.replace(event, **_WITHOUT_BODIES)
        observation = Observation(time.timestamp(), event.id, None, kept)
        key, found = _value(event, rule.by), []
        alone = bool(rule.before) and event.resource not in rule.before
        span_s = rule.window.total_seconds()
        for current, before in self._windows.earlier(rule.id, key, observation, span_s=span_s, alone=alone):
            try:
                match = rule.check(current, before)
            except Exception as error:  # noqa: BLE001 - see _judge
                self._failed(rule, error)
                continue
            if match is not None:
                found.append((current, match))
        return found

    def _verdicts(self, rules: Rules, event: AuditEvent) -> list[Verdict]:
        """What the analytics say of an event, as far as it does not depend on others. No match = has to be asked."""
        found = []
        body = _body(event)
        for rule in rules:
            if rule.window is not None and not rule.threshold:
                found.append(Verdict(rule, None))
                continue
            if body and rule.mentions and not _mentions(body, rule.mentions):
                continue
            try:
                match = rule.check(event)
            except Exception as error:  # noqa: BLE001 - see _judge
                self._failed(rule, error)
                continue
            if match is not None:
                found.append(Verdict(rule, match))
        return found

    def _grow(self, verdict: Verdict, event: AuditEvent, growing: Growing) -> None:
        if growing.event is not event:
            growing.look_at(event, self._default_time)
        known = verdict.accumulator
        if known is not None and known.take_repeat(growing.member, growing.time, growing.place):
            self.stats.matches += 1
        else:
            assert verdict.match is not None
            key = _substance(verdict.rule, event, verdict.match)
            told = growing.told(key)
            if told is not None and told.take_repeat(growing.member, growing.time, growing.place):
                self.stats.matches += 1
            else:
                told = growing.add(self._alert(verdict.rule, event, verdict.match))
                growing.tell(key, told)
            verdict.accumulator = told

    def _counted(self, rule: Detection, event: Any, match: Match) -> Iterator[tuple[Any, Match]]:
        """What a threshold rule's window holds once it is reached."""
        assert rule.window is not None
        time = _time(event) or self._default_time
        kept = msgspec.structs.replace(event, **_WITHOUT_BODIES) if type(event) is AuditEvent else event
        observation = Observation(time.timestamp(), str(event.id), _value(event, rule.distinct), (kept, match))
        return self._windows.reached(
            rule.id, _value(event, rule.by), observation, span_s=rule.window.total_seconds(), threshold=rule.threshold
        )

    def process(self, event: Any) -> Sequence[Alert]:
        """Return what one event adds: one alert per match, not yet folded."""
        if type(event) is ProcessExec and (applets := applets_of(event)):
            return [*self._process(event), *(alert for applet in applets for alert in self._process(applet))]
        return self._process(event)

    def _process(self, event: Any) -> Sequence[Alert]:
        self.stats.events += 1
        rules = self.rules_for(event)
        if not rules:
            return ()
        key = 0
        if type(event) is ProcessExec:
            key = _sameness(event)
            if key in self._quiet:
                rules = self._windowed_only(program(event.process), rules)
        if self._knowledge is None:
            found = [alert for rule in rules for alert in self._judge(rule, event)]
        else:
            with use(self._knowledge):
                found = [alert for rule in rules for alert in self._judge(rule, event)]
        if key and not found:
            if len(self._quiet) >= _QUIET_LIMIT:
                self._quiet.clear()
            self._quiet.add(key)
        return found

    def _windowed_only(self, name: str, rules: Rules) -> Rules:
        found = self._windowed.get(name)
        if found is None:
            if len(self._windowed) >= _TABLE_LIMIT:
                self._windowed.clear()
            found = self._windowed[name] = tuple(rule for rule in rules if rule.window is not None)
        return found

    def rules_for(self, event: Any) -> Rules:
        """Return the analytics that could match `event`."""
        kind = type(event)
        if kind is AuditEvent:
            return self._rules_for_audit(event)
        if kind is CloudActivity or kind is RegistryEvent:
            operation = event.operation if kind is CloudActivity else event.action
            key = (kind, operation)
            rules = self._by_operation.get(key)
            if rules is None:
                if len(self._by_operation) >= _TABLE_LIMIT:
                    self._by_operation.clear()
                rules = self._by_operation[key] = tuple(
                    rule for rule in self._typed(kind) if not rule.operations or operation in rule.operations
                )
            if kind is CloudActivity:
                return tuple(rule for rule in rules if event.outcome in rule.outcomes)
            return rules
        if kind is ProcessExec or kind is AppletRun:
            return self._rules_for_program(program(event.process))
        return self._typed(kind)

    def _rules_for_program(self, name: str) -> Rules:
        rules = self._by_operation.get((ProcessExec, name))
        if rules is None:
            if len(self._by_operation) >= _TABLE_LIMIT:
                self._by_operation.clear()
            rules = tuple(rule for rule in self._typed(ProcessExec) if not rule.programs or name in rule.programs)
            self._by_operation[ProcessExec, name] = rules
        return rules

    def _typed(self, kind: type[Any]) -> Rules:
        rules = self._by_type.get(kind)
        if rules is None:
            rules = self._by_type[kind] = tuple(rule for rule in self.rules if issubclass(kind, rule.on))
        return rules

    def _rules_for_audit(self, event: AuditEvent) -> Rules:
        if event.stage == "RequestReceived":
            return ()
        user = event.user
        name = user.username if user is not None else None
        traits = self._callers.get(name or "")
        if traits is None:
            traits = self._caller(name or "")
        response = event.response
        code = response.code if response is not None else None
        if code and code >= 400:
            traits |= 16 if code in (401, 403) else 32
        if event.impersonated is not None:
            traits |= 64
        agent = event.user_agent
        if agent and self._agents:
            tool = self._tools.get(agent)
            if tool is None:
                tool = self._tool(agent)
            traits |= tool
        if event.enrichment:
            traits |= 2048
        addresses = event.source_ips
        if addresses:
            origin = self._origins.get(addresses[0])
            traits |= origin if origin is not None else self._origin(addresses[0])
        ref = event.object_ref
        if ref is None:
            key = (event.verb or "", "", "", traits)
        else:
            key = (event.verb or "", ref.resource or "", ref.subresource or "", traits)
        rules = self._table.get(key)
        if rules is None:
            if len(self._table) >= _TABLE_LIMIT:
                self._table.clear()
            rules = self._table[key] = tuple(rule for rule in self._audit if _could_match(rule, key))
        if rules and event.request_uri and "dryRun=" in event.request_uri:
            return ()
        return rules

    def _origin(self, address: str) -> int:
        if len(self._origins) >= _TABLE_LIMIT:
            self._origins.clear()
        knowledge = self._knowledge or context()
        number = self._origins[address] = _ORIGIN_BITS[knowledge.networks.kind(address)]
        return number

    def _tool(self, agent: str) -> int:
        if len(self._tools) >= _TABLE_LIMIT:
            self._tools.clear()
        found = any(pattern.search(agent[:1024]) for pattern in self._agents)
        number = self._tools[agent] = 4096 if found else 0
        return number

    def _caller(self, name: str) -> int:
        if len(self._callers) >= _TABLE_LIMIT:
            self._callers.clear()
        number = self._callers[name] = CALLERS.index(caller_kind(name))
        return number

    def _judge(self, rule: Detection, event: Any) -> list[Alert]:
        try:
            if rule.mentions and (body := _body(event)) and not _mentions(body, rule.mentions):
                return []
            if rule.window is None:
                match = rule.check(event)
                return [] if match is None else [self._alert(rule, event, match)]
            return self._judge_window(rule, event)
        except Exception as error:  # noqa: BLE001 - one odd record must not cost its batch; it is counted
            self._failed(rule, error)
            return []

    def _failed(self, rule: Detection, error: Exception) -> None:
        self.stats.errors[rule.id] += 1
        log.warning("analytic failed on an event", extra={"analytic": rule.id, "error": repr(error)[:200]})

    def _judge_window(self, rule: Detection, event: Any) -> list[Alert]:
        assert rule.window is not None
        span_s = rule.window.total_seconds()
        if rule.threshold:
            match = rule.check(event)
            if match is None:
                return []
            return [self._alert(rule, counted, found) for counted, found in self._counted(rule, event, match)]
        if rule.concerns is not None and not rule.concerns(event):
            return []
        found = []
        time = _time(event) or self._default_time
        observation = Observation(time.timestamp(), str(event.id), None, event)
        key = _value(event, rule.by)
        alone = bool(rule.before) and event.resource not in rule.before
        for current, before in self._windows.earlier(rule.id, key, observation, span_s=span_s, alone=alone):
            match = rule.check(current, before)
            if match is not None:
                found.append(self._alert(rule, current, match))
        return found

    def _alert(self, rule: Detection, event: Any, match: Match) -> Alert:
        self.stats.matches += 1
        return make_alert(rule, describe(event), match, default_time=self._default_time)


def make_alert(rule: Detection, what: Description, match: Match, *, default_time: datetime = EPOCH) -> Alert:
    """Return the alert of one match on one event. Its id is the same for every repeat of the day."""
    time = what.time or default_time
    severity = match.severity if match.severity is not None else rule.severity
    key = match.key or what.key
    day = time.date().isoformat() if what.time is not None else ""
    message = short(match.message, 600)
    return Alert(
        id=content_id("alert", rule.id, what.cluster, severity.label, key, day),
        analytic=rule.id,
        title=rule.title,
        message=message,
        severity=severity,
        attack=rule.attack,
        first_seen=time,
        last_seen=time,
        source=what.source,
        cluster=what.cluster,
        namespace=what.namespace,
        actor=what.actor,
        source_ip=what.source_ip,
        confidence=rule.confidence,
        reasons=match.reasons,
        entities=tuple(dict.fromkeys((*what.entities, *match.entities))),
        evidence=(
            Evidence(
                source=what.source,
                event_id=what.event_id,
                ts=what.time,
                summary=message,
                file=what.file,
                index=what.index,
                raw=what.raw,
            ),
        ),
        features=match.features,
        response=rule.response,
        context=what.context,
        analytic_version=rule.version,
        members=(event_hash(what.id),),
    )


def _sameness(event: ProcessExec) -> int:
    """Hash of all that analytics without a window take from a process start, for five seconds.

    Loops and health checks start the same program the same way again and again: what said nothing says nothing.
    """
    process, container = event.process, event.container
    return hash(
        (
            event.ts_ns // 5_000_000_000, process.exe, process.args, process.cwd, process.uid, process.euid, process.caps,
            process.tty, process.loginuid, process.origin, process.drift, process.deleted, process.exe_mode,
            process.entered, process.user_ns, process.script_drift, event.script, event.script_drift, event.stdio,
            event.peer, event.gained, event.previous_exe, tuple(event.environment.items()),
            container.id if container is not None else "", event.complete,
            tuple([(each.exe, each.args) for each in process.ancestors]),
        )
    )  # fmt: skip


CALLERS = ("user", "anonymous", "node", "service_account", "system")
"""Kinds of caller; the position is the low three bits of an event's traits."""
_ORIGIN_BITS = {"none": 0, "private": 128, "public": 256, "cloud": 512, "listed": 1024}


def caller_kind(name: str) -> str:
    """Return the kind of a user name, as the API server's own prefixes say it."""
    if not name.startswith("system:"):
        return "user"
    if name in ("system:anonymous", "system:unauthenticated"):
        return "anonymous"
    if name.startswith("system:serviceaccount:"):
        return "service_account"
    return "node" if name.startswith("system:node:") else "system"


def _could_match(rule: Detection, key: tuple[str, str, str, int]) -> bool:
    verb, resource, subresource, traits = key
    if rule.verbs and verb not in rule.verbs and "*" not in rule.verbs:
        return False
    full = f"{resource}/{subresource}" if subresource else resource
    if rule.resources and not any(_names(pattern, resource, full) for pattern in rule.resources):
        return False
    if rule.actors and CALLERS[traits & 7] not in rule.actors:
        return False
    outcome = "denied" if traits & 16 else "failed" if traits & 32 else "allowed"
    if outcome not in rule.outcomes:
        return False
    if rule.impersonated is not None and rule.impersonated is not bool(traits & 64):
        return False
    if rule.agents is not None and not traits & 4096:
        return False
    if rule.enriched and not traits & 2048:
        return False
    return not rule.origins or any(traits & _ORIGIN_BITS[origin] for origin in rule.origins)


def _body(event: AuditEvent) -> bytes:
    """What was logged of the object: the request's body and the answer, each where there is one."""
    return bytes(event.request_raw) + bytes(event.response_raw)


def _mentions(body: bytes, words: tuple[bytes, ...]) -> bool:
    return any(word in body for word in words)


def _names(pattern: str, resource: str, full: str) -> bool:
    if pattern.endswith("*"):
        return resource == pattern[:-2] if pattern.endswith("/*") else resource.startswith(pattern[:-1])
    return pattern == full


def _value(event: Any, names: str) -> str:
    return "|".join(str(getattr(event, name)) for name in names.split("+")) if names else ""


def _time(event: Any) -> datetime | None:
    if isinstance(event, RuntimeEvent):
        return event.ts
    time = getattr(event, "time", None)
    return time if isinstance(time, datetime) else None
