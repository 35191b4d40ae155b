"""Puts a sensor together from a plan, runs it until SIGTERM, and takes it apart again."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.catalog import collect
from seawall.detection.baselines.profiles import HabitSettings
from seawall.detection.declaration import Detection
from seawall.detection.engine import Engine
from seawall.detection.identity import runtime_analytics_id
from seawall.domain.runtime_events import ProcessExit

from seawall_sensor import figures
from seawall_sensor.check import kinds_of
from seawall_sensor.host import Host
from seawall_sensor.inventory import Inventory, root_identity
from seawall_sensor.learning import Learning
from seawall_sensor.limits import Limits, give_way
from seawall_sensor.loader import Options
from seawall_sensor.output import Alerting, Both, JsonLines, Sink
from seawall_sensor.pod_sources import PodSource
from seawall_sensor.pods import PodDirectory
from seawall_sensor.records import Kind
from seawall_sensor.scan import BackgroundScanner
from seawall_sensor.sensor import Sensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall_sensor.deliver import Delivery
    from seawall_sensor.enforcement import Enforcer
    from seawall_sensor.receiving import Receiving

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `seawall-sensor run` was asked for; see its help."""

    receiving: Receiving | None
    lines: bool
    only: tuple[str, ...]
    deliver_all: bool
    detect: bool
    learn_hours: float
    """How long baselines learn a workload; 0 = there are none."""
    learnt_in: Path | None
    """Where what they learnt is kept, None = in memory."""
    check_files: bool
    inventory: bool
    pods: Callable[[PodDirectory, str], PodSource | None]
    """Makes what fills the directory of the pods of a node, None = there is no Kubernetes."""
    all_hooks: bool
    tracepoints: bool
    cluster: str
    node: str
    host_root: str
    status_address: str
    limits: Limits
    policy: Path | None
    fold_s: float
    version: str


def watch(plan: Plan) -> None:
    """Run a sensor until SIGTERM or SIGINT.

    Raises:
        ConfigError: the plan, the kernel or the privileges do not allow it.
    """
    if plan.receiving is not None:
        plan.receiving.check()
    if plan.policy is None:  # what is stopped after it was seen is stopped as soon as can be
        give_way()
    rules = [rule for rule in collect("seawall.detection.rules.runtime", Detection) if rule.enabled]
    learning = _learning(plan, rules)
    wanted = [*rules, *(learning.habits.rules if learning is not None else ())]
    kinds = frozenset(Kind) if plan.all_hooks else kinds_of(wanted) if wanted else frozenset(Kind) - {Kind.FORK}
    host = Host.here(plan.node)
    enforcer = _enforcer(plan.policy, host)
    identity = runtime_analytics_id(rules) if plan.detect else ""
    delivery = plan.receiving.open(host, identity) if plan.receiving is not None else None
    scanner = BackgroundScanner() if plan.check_files else None
    inventory = Inventory(host, own_root=root_identity(f"{host.proc}/1/root")) if plan.inventory else None
    pods = plan.pods(PodDirectory(), host.node)
    later = [part.results for part in (scanner, inventory) if part is not None]
    more: dict[str, Any] = {"later": lambda: [event for results in later for event in results()]}
    if scanner is not None:
        more["on_exec"] = scanner.take
    if inventory is not None:
        more["on_file_used"] = inventory.used
    sensor = Sensor(
        host,
        Options(kinds=kinds, fold_s=plan.fold_s, enforce=enforcer is not None, tracepoints=plan.tracepoints),
        _sink(plan, delivery, rules),
        learning or (Engine(rules) if plan.detect and rules else None),
        cluster=plan.cluster or (plan.receiving.cluster if plan.receiving is not None else ""),
        version=plan.version,
        root=plan.host_root,
        limits=plan.limits,
        enforcer=enforcer,
        unwanted=_unwanted(plan, rules),
        repeats=_everything(plan),
        facts=lambda: {"rules": identity, **figures.facts(delivery), **(learning.facts() if learning else {})},
        on_second=lambda: learning.tick(sensor.status.shed) if learning is not None else None,
        **more,
    )
    signal.signal(signal.SIGTERM, sensor.stop)
    signal.signal(signal.SIGINT, sensor.stop)
    status = None
    try:
        if plan.status_address:
            from seawall_sensor.serving import StatusServer

            status = StatusServer(
                plan.status_address,
                partial(figures.samples, sensor, delivery, pods, learning),
                partial(figures.wrong, sensor),
            )
        if pods is not None:
            pods.start()
            sensor.containers.pods = pods.directory
        if scanner is not None:
            scanner.roots = sensor.containers.folders
        sensor.start()
        if inventory is not None:
            inventory.start(sensor.containers.running)
        gc.freeze()
        sensor.run()
    finally:
        for part in (scanner, inventory, pods):
            if part is not None:
                part.close()
        sensor.close()
        if learning is not None:
            learning.close()
        if delivery is not None:
            delivery.close()
        if status is not None:
            status.close()
        sensor.detach()


def _learning(plan: Plan, rules: list[Detection]) -> Learning | None:
    if not plan.detect or not plan.learn_hours:
        return None
    return Learning(Engine(rules), HabitSettings(hours=plan.learn_hours), plan.learnt_in)


def _everything(plan: Plan) -> bool:
    """Whether somebody prints or delivers all events."""
    printed = plan.lines and "event" in (plan.only or ("event",))
    return printed or (plan.receiving is not None and plan.deliver_all)


def _unwanted(plan: Plan, rules: list[Detection]) -> frozenset[Kind]:
    """Kinds of which no event is wanted: nobody takes all, and no analytic looks at them."""
    if _everything(plan) or any(issubclass(ProcessExit, rule.on) for rule in rules):
        return frozenset()
    return frozenset({Kind.EXIT})


def _enforcer(policy: Path | None, host: Host) -> Enforcer | None:
    if policy is None:
        return None
    from seawall_sensor.enforcement import Enforcer
    from seawall_sensor.policy import read_policies

    return Enforcer(read_policies(policy), host)


def _sink(plan: Plan, delivery: Delivery | None, rules: list[Detection]) -> Sink:
    sinks: list[Sink] = []
    if plan.lines:
        sinks.append(JsonLines(sys.stdout.fileno(), plan.only, {rule.id for rule in rules if rule.threshold}))
    if delivery is not None:
        sinks.append(delivery if plan.deliver_all else Alerting(delivery))
    return sinks[0] if len(sinks) == 1 else Both(*sinks)
