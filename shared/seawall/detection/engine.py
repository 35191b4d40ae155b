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
from datetime import datetime
from typing import Any

import msgspec

from seawall.detection.applets import AppletRun, applets_of
from seawall.detection.context import Context, context, use
from seawall.detection.declaration import Detection
from seawall.detection.describe import Description, describe
from seawall.detection.dispatch import CALLERS, ORIGIN_BITS, body_of, caller_kind, could_match, mentions_any
from seawall.detection.folding import MAX_EVIDENCE
from seawall.detection.growing import EPOCH, TABLE_LIMIT, Growing, Verdict, fingerprint_of, make_alert, substance_of
from seawall.detection.processes import program
from seawall.detection.windows import Observation, Windows
from seawall.domain.alerts import Alert, Match
from seawall.domain.audit_events import AuditEvent, CloudActivity, RegistryEvent
from seawall.domain.runtime_events import ProcessExec, RuntimeEvent

log = logging.getLogger(__name__)

_QUIET_LIMIT = 8192
"""Process starts that said nothing a moment ago, remembered by their hash."""

Rules = tuple[Detection, ...]

_WITHOUT_BODIES = {
    "request_raw": msgspec.Raw(b""), "response_raw": msgspec.Raw(b""), "request_cache": None, "response_cache": None,
    "views_cache": None,
}  # fmt: skip


@dataclass(slots=True)
class EngineStats:
    """What happened, for metrics. `kept`: events that a window took in. `errors` counts predicates that failed on odd data, by
    analytic."""

    events: int = 0
    matches: int = 0
    kept: int = 0
    errors: Counter[str] = field(default_factory=Counter)


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
        self._described: tuple[Any, Description] = None, describe(None)
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
        fingerprint = fingerprint_of(event)
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
        body = body_of(event)
        for rule in rules:
            if rule.window is not None and not rule.threshold:
                found.append(Verdict(rule, None))
                continue
            if body and rule.mentions and not mentions_any(body, rule.mentions):
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
            key = substance_of(verdict.rule, event, verdict.match)
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

    @property
    def heard(self) -> int:
        """A number that grows with every event that matched something or that a window keeps: if it did not, the event said
        nothing, and one that is equal in all but its time would say nothing either."""
        return self.stats.matches + self.stats.kept

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
            found = self._judge_all(rules, event)
        else:
            with use(self._knowledge):
                found = self._judge_all(rules, event)
        if key and not found:
            if len(self._quiet) >= _QUIET_LIMIT:
                self._quiet.clear()
            self._quiet.add(key)
        return found

    def _windowed_only(self, name: str, rules: Rules) -> Rules:
        found = self._windowed.get(name)
        if found is None:
            if len(self._windowed) >= TABLE_LIMIT:
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
                if len(self._by_operation) >= TABLE_LIMIT:
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
            if len(self._by_operation) >= TABLE_LIMIT:
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
            if len(self._table) >= TABLE_LIMIT:
                self._table.clear()
            rules = self._table[key] = tuple(rule for rule in self._audit if could_match(rule, key))
        if rules and event.request_uri and "dryRun=" in event.request_uri:
            return ()
        return rules

    def _origin(self, address: str) -> int:
        if len(self._origins) >= TABLE_LIMIT:
            self._origins.clear()
        knowledge = self._knowledge or context()
        number = self._origins[address] = ORIGIN_BITS[knowledge.networks.kind(address)]
        return number

    def _tool(self, agent: str) -> int:
        if len(self._tools) >= TABLE_LIMIT:
            self._tools.clear()
        found = any(pattern.search(agent[:1024]) for pattern in self._agents)
        number = self._tools[agent] = 4096 if found else 0
        return number

    def _caller(self, name: str) -> int:
        if len(self._callers) >= TABLE_LIMIT:
            self._callers.clear()
        number = self._callers[name] = CALLERS.index(caller_kind(name))
        return number

    def _judge_all(self, rules: Rules, event: Any) -> list[Alert]:
        """What several analytics say of an event. Most look at the event alone and say nothing: they are asked right here."""
        found: list[Alert] = []
        for rule in rules:
            if rule.window is not None or rule.mentions:
                found += self._judge(rule, event)
                continue
            try:
                match = rule.check(event)
                if match is not None:
                    found.append(self._alert(rule, event, match))
            except Exception as error:  # noqa: BLE001 - see _judge
                self._failed(rule, error)
        return found

    def _judge(self, rule: Detection, event: Any) -> list[Alert]:
        try:
            if rule.mentions and (body := body_of(event)) and not mentions_any(body, rule.mentions):
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
            self.stats.kept += 1
            return [self._alert(rule, counted, found) for counted, found in self._counted(rule, event, match)]
        if rule.concerns is not None and not rule.concerns(event):
            return []
        found = []
        self.stats.kept += 1
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
        if self._described[0] is not event:
            self._described = event, describe(event)
        return make_alert(rule, self._described[1], match, default_time=self._default_time)


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
            tuple([(each.exe, each.args, each.listens) for each in process.ancestors]),
        )
    )  # fmt: skip


def _value(event: Any, names: str) -> str:
    return "|".join(str(getattr(event, name)) for name in names.split("+")) if names else ""


def _time(event: Any) -> datetime | None:
    if isinstance(event, RuntimeEvent):
        return event.ts
    time = getattr(event, "time", None)
    return time if isinstance(time, datetime) else None
