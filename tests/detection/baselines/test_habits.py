"""Workloads of a node are learnt, and what they never did is told: over a simulated week, attacks, restarts, odd orders."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seawall.catalog import collect
from seawall.detection.baselines import habits as habits_module
from seawall.detection.baselines.habits import MAX_FEATURES, MAX_WORKLOADS, Habits
from seawall.detection.baselines.kept import from_bytes, to_bytes
from seawall.detection.baselines.profiles import MAX_VALUES, MEMORY_DAYS, SLOTS, HabitSettings, Profile
from seawall.detection.baselines.runtime_features import Feature, runtime_features, workload_of
from seawall.detection.declaration import Detection
from seawall.domain.errors import InputError
from seawall.domain.runtime_events import ContainerContext, ContainerInUse, ContainerStart, Flow, NodeInventory

from tests.detection.baselines.week import NODE_HOURS, at, container, victim, week
from tests.detection.runtime_events import POD, asked, dialled, event, ran, read

RULES = collect("seawall.detection.rules.baseline.containers", Detection)
TOKEN = "/run/secrets/kubernetes.io/serviceaccount/token"
SHOP = "shop/Deployment/web/app"


def learnt() -> Habits:
    """Return the habits of a node after a week."""
    habits = Habits(RULES)
    habits.restore(from_bytes(after_a_week(), habits.settings))
    return habits


@cache
def after_a_week() -> bytes:
    habits = Habits(RULES)
    for item in week():
        habits.process(item)
    return to_bytes(habits.profiles(), habits.settings)


def told(habits: Habits, *events: Any, hour: float = NODE_HOURS + 0.5) -> list[str]:
    """Return the analytics that alert on the events, which happen at `hour` of the test's time."""
    return [alert.analytic for n, item in enumerate(events) for alert in habits.process(at(hour + n / 3600, item))]


def usual(habits: Habits, *events: Any, hours: int = SLOTS, start: int = 0) -> None:
    """Let the events happen once an hour."""
    for hour in range(start, start + hours):
        for item in events:
            assert not habits.process(at(hour, item))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_week_with_roll_outs_cron_jobs_and_autoscaling_raises_nothing(seed):
    habits = Habits(RULES)
    alerts = Counter(alert.analytic for item in week(seed) for alert in habits.process(item))
    assert not alerts
    assert not habits.stats.errors
    profile = habits.profile(SHOP)
    assert profile is not None
    assert profile.is_learnt()
    assert profile.settled("program")
    assert profile.settled("domain")


BY = ["sh", "java -jar /app.jar"]
ATTACKS = {
    "reconnaissance": ([ran("bash -c id", by=BY), read(TOKEN, "cat t", by=BY), dialled("10.96.0.1", 443, "curl x", by=BY), ran("nmap -p 443 10.96.0.0/16", by=BY)],
                       {"BL-0101", "BL-0104", "BL-0106"}),
    "lateral movement": ([ran("curl http://169.254.169.254/latest/api/token", by=BY), dialled("169.254.169.254", 80, "curl x", by=BY), dialled("10.96.50.1", 6379, "java")],
                         {"BL-0101", "BL-0105", "BL-0110"}),
    "secrets gathering": ([ran("find / -name .git-credentials", by=BY), read("/root/.git-credentials", "cat c", by=BY), read(TOKEN, "cat t", by=BY)],
                          {"BL-0101", "BL-0106", "BL-0107"}),
    "crypto mining": ([ran("chmod +x /tmp/xmrig", by=BY), ran("/tmp/xmrig", by=BY, drift=True, origin="upper"), dialled("198.51.101.9", 3333, "/tmp/xmrig", drift=True)],
                      {"BL-0101", "BL-0109"}),
    "web shell": ([ran("whoami", by=BY)], {"BL-0101"}),
    "threat-intelligence domain": ([asked("164e9408d12a701d91d206c6ab192994.info", "curl x", by=BY)], {"BL-0108"}),
    "exfiltration": ([event(Flow, "java", address="203.0.114.9", port=443, sent_bytes=900 << 20)], {"BL-0111"}),
    "a person": ([ran("bash", tty="pts0", entered=True, by=["runc exec"])], {"BL-0102"}),
    "the forged request of a server": ([dialled("169.254.169.254", 80, "java")], {"BL-0105"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_the_acceptance_scenarios_after_that_week(name):
    events, wanted = ATTACKS[name]
    habits = learnt()
    pod = victim()
    found = told(habits, *(msgspec.structs.replace(item, container=pod) for item in events))
    assert wanted - set(found) == set()


def test_an_alert_says_what_was_usual_and_for_how_long():
    habits = learnt()
    (alert,) = habits.process(at(NODE_HOURS, ran("nmap -p 443 10.0.0.0/8", by=BY, where=victim())))
    assert alert.features["workload"] == SHOP
    assert "/opt/jdk/bin/java" in alert.features["usual"]
    assert alert.features["learnt"].startswith("169 h of activity since 2026-11-0")
    assert any(reason.startswith("usual: ") for reason in alert.reasons)
    assert alert.context["container"]["id"] == victim().id
    assert "nmap" in alert.message


def test_one_that_idles_has_the_habit_of_running_nothing():
    """A web server that starts no programs: only the inventory says that it runs. Its network stays unlearnt."""
    habits = learnt()
    pod = container("Deployment/static", 1, name="nginx")
    assert told(habits, ran("sh -c id", where=pod)) == ["BL-0101"]
    assert told(habits, asked("example.org", where=pod)) == ["BL-0108"]
    early = Habits(RULES)
    for hour in range(30):
        early.process(at(hour, event(NodeInventory, where=None, containers=(ContainerInUse(pod),))))
    assert told(early, asked("example.org", where=pod), hour=31) == []
    assert told(early, ran("sh -c id", where=pod), hour=31) == ["BL-0101"]


def test_silence_is_not_learning():
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=3)
    assert told(habits, ran("nmap x"), hour=24 * 30) == []


def test_a_job_that_first_comes_late_lengthens_the_learning():
    """New in the 21st hour: judged from the 42nd on; the second night is seen before anything is judged by it."""
    habits = Habits(RULES)
    for hour in range(60):
        usual(habits, ran("app"), *([ran("/usr/sbin/nightly")] if hour % 24 == 20 else []), hours=1, start=hour)
        profile = habits.profile("shop/Deployment/web/web")
        assert profile is not None
        assert profile.settled("program") is (hour >= 41), hour
    assert told(habits, ran("another"), hour=61) == ["BL-0101"]


def test_what_always_brings_something_new_is_not_judged():
    habits = Habits(RULES)
    for hour in range(400):
        assert told(habits, asked(f"x.site{chr(97 + hour % 26)}{chr(97 + hour // 26)}.test"), hour=hour) == []


def test_a_new_image_is_learnt_for_a_while_by_all_replicas():
    habits = Habits(RULES)
    old = [msgspec.structs.replace(POD, id=str(n) * 64, image_digest="sha256:a") for n in range(3)]
    new = msgspec.structs.replace(POD, id="9" * 64, image_digest="sha256:b")
    usual(habits, *(ran("app", where=pod) for pod in old), hours=48)
    assert (
        told(habits, ran("app", where=new), ran("/opt/new", where=new), asked("new.example", where=new), hour=48) == []
    )
    usual(habits, ran("app", where=new), hours=3, start=49)
    assert told(habits, ran("/opt/new", where=new), hour=53) == []
    assert told(habits, ran("/opt/evil", where=new), hour=53) == ["BL-0101"]
    assert told(habits, ran("/opt/evil2", where=old[0]), hour=53) == ["BL-0101"]


def test_a_new_pod_template_of_the_same_image_is_learnt_too():
    habits = Habits(RULES)
    new = msgspec.structs.replace(POD, id="9" * 64, labels={"pod-template-hash": "7f9c"})
    usual(habits, ran("app"), hours=48)
    assert told(habits, ran("app --with-cache", where=new), ran("/usr/bin/cache-probe", where=new), hour=48) == []
    assert told(habits, ran("/usr/bin/cache-probe", where=new), ran("evil", where=new), hour=54) == []
    usual(habits, ran("app", where=new), hours=2, start=55)
    assert told(habits, ran("/usr/bin/cache-probe", where=new), ran("worse", where=new), hour=58) == ["BL-0101"]


def test_the_first_start_that_is_watched_teaches():
    """The sensor came after the pods: their start-up scripts are seen for the first time days later."""
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=48)
    first, second = (msgspec.structs.replace(POD, id=digit * 64) for digit in "12")
    assert told(habits, event(ContainerStart, "sh /entry.sh", where=first), ran("envsubst", where=first), hour=49) == []
    assert told(habits, ran("nmap", where=first), hour=50) == ["BL-0101"]
    assert (
        told(habits, event(ContainerStart, "sh /entry.sh", where=second), ran("envsubst", where=second), hour=60) == []
    )
    assert told(habits, ran("miner", where=second), hour=60.01) == ["BL-0101"]


def test_what_a_rule_alerts_on_does_not_train():
    habits = Habits(RULES)
    for hour in range(SLOTS):
        habits.process(at(hour, ran("app")))
        habits.process(at(hour, ran("nc -e sh")), alerted=True)
    assert told(habits, ran("nc -e sh"), hour=60) == ["BL-0101"]


def test_what_alerts_is_not_learnt_until_it_was_left_for_three_days():
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=48)
    days = []
    for day in range(3, 9):
        usual(habits, ran("app"), hours=2, start=day * 24)
        days.append(told(habits, ran("nmap x"), ran("nmap x"), hour=day * 24 + 3))
    assert days == [["BL-0101"]] * 3 + [[]] * 3
    assert habits.stats.unconfirmed == {"BL-0101": 1}


def test_the_same_thing_is_told_once_a_day_and_container():
    habits = Habits(RULES)
    other = msgspec.structs.replace(POD, id="9" * 64)
    usual(habits, ran("app"), ran("app", where=other), hours=30)
    assert told(habits, *[ran("nmap x")] * 20, ran("nmap x", where=other), hour=31) == ["BL-0101"] * 2
    assert told(habits, ran("nmap x"), hour=50) == []
    assert told(habits, ran("nmap x"), hour=55.1) == ["BL-0101"]


def test_a_scan_gives_a_bounded_number_of_alerts():
    habits = Habits(RULES)
    usual(habits, ran("app"), dialled("10.96.3.4", 5432), hours=30)
    assert len(told(habits, *(dialled("10.96.3.4", port) for port in range(1000, 1600)), hour=31)) == 32


def test_below_a_shell_that_somebody_opened_nothing_is_told_again():
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=30)
    shell = ran("bash", tty="pts0", entered=True, by=["conmon"])
    inside = [ran(line, tty="pts0", entered=True, by=["bash"]) for line in ("ls", "ps aux", "curl x")]
    assert told(habits, shell, *inside, hour=31) == ["BL-0102"]
    assert told(habits, ran("curl x", by=["java"]), hour=32) == ["BL-0101"]


def test_nothing_is_learnt_of_a_container_that_nobody_named_yet():
    habits = Habits(RULES)
    usual(habits, msgspec.structs.replace(ran("app"), complete=False), hours=30)
    assert habits.counts() == (0, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(container("Deployment/web", 1), container("Deployment/web", 2), True, id="replicas"),
        pytest.param(container("Deployment/web", 1), container("Deployment/api", 1), False, id="workloads"),
        pytest.param(container("Deployment/web", 1), container("Deployment/web", 1, name="proxy"), False, id="a sidecar"),
        pytest.param(ContainerContext(id="a", name="shop-web-1", image="web:1"), ContainerContext(id="b", name="shop-web-2", image="web:2"), True, id="numbered replicas, another tag"),
        pytest.param(ContainerContext(id="a", name="keen_hopper", image="web"), ContainerContext(id="b", name="happy_curie7", image="web"), True, id="names that the runtime made up"),
        pytest.param(ContainerContext(id="a", name="web", image="x"), ContainerContext(id="b", name="api", image="x"), False, id="one image, two purposes"),
        pytest.param(ContainerContext(id="a", name="p-web-1", image="x", labels={"com.docker.compose.project": "p", "com.docker.compose.service": "web"}),
                     ContainerContext(id="b", name="other", image="y", labels={"com.docker.compose.project": "p", "com.docker.compose.service": "web"}), True, id="a service of Compose"),
    ],
)  # fmt: skip
def test_which_containers_are_one_workload(one, other, same):
    assert (workload_of(one) == workload_of(other)) is same


@pytest.mark.parametrize(
    ("item", "value"),
    [
        pytest.param(ran("ls", exe="/bin/busybox"), "/bin/busybox ls", id="applet"),
        pytest.param(ran("sh -c 'nc 1.2.3.4 80'", exe="/bin/busybox"), "/bin/busybox nc", id="applet inside a shell"),
        pytest.param(ran("busybox ip addr", exe="/bin/busybox", script="//addr"), "/bin/busybox ip", id="applet's argument"),
        pytest.param(ran("python3.11 /app/x.py", script="/app/x.py"), "/usr/bin/python3.11 /app/x.py", id="script"),
        pytest.param(ran("bash -c id"), "/usr/bin/bash -c", id="inline"),
        pytest.param(ran("/tmp/x", drift=True), "/tmp/x (not from the image)", id="drift"),
        pytest.param(ran("sh /jobs/8f3e9a01c/step.sh", script="/jobs/8f3e9a01c/step.sh"), "/usr/bin/sh /jobs/#/step.sh", id="an id in the path"),
        pytest.param(read("/run/secrets/eks.amazonaws.com/serviceaccount/..2026/token", "cat x"), "cat", id="token"),
        pytest.param(read("/proc/4711/environ", "cat x", target_pid=4711), "cat /proc/#/environ", id="another process"),
        pytest.param(dialled("10.1.2.3", 40000), "10.1.0.0/16:high", id="a port given out"),
        pytest.param(dialled("10.1.2.3", 80, host="kafka-2.kafka.data.svc.cluster.local"), "kafka.data.svc:80", id="a pod of a StatefulSet"),
        pytest.param(dialled("10.1.2.3", 80, host="node17.corp.example"), "node#.corp.example:80", id="a numbered machine"),
        pytest.param(dialled("2001:4860:4860::8888", 443), "2001:4860::/32:443", id="IPv6"),
        pytest.param(asked("a.b.shop.example.co.uk"), "example.co.uk", id="registered domain"),
        pytest.param(asked("loot.s3.amazonaws.com"), "loot.s3.amazonaws.com", id="a domain that many share"),
    ],
)  # fmt: skip
def test_what_is_remembered_of_an_event(item, value):
    assert value in [feature.value for feature in runtime_features(item)]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(dialled("127.0.0.1", 80), id="loopback"),
        pytest.param(dialled("10.96.0.10", 53), id="DNS server"),
        pytest.param(dialled("203.0.114.9", 443, host="api.example"), id="a name that the question told"),
        pytest.param(dialled("@x", 0, family="unix"), id="unix socket"),
        pytest.param(asked("4.3.2.1.in-addr.arpa"), id="reverse name"),
        pytest.param(asked("db.shop.svc.cluster.local"), id="a service, told by its connection"),
        pytest.param(ran("ls", where=None), id="the node itself"),
    ],
)
def test_what_teaches_nothing(item):
    assert runtime_features(item) == ()


# What holds whatever happens


LINES = [ran(line) for line in ("app", "sh -c x", "ls", "nmap y", "curl z")]
NAMES = [asked(f"x.{name}.example") for name in ("a", "b", "c")]
PEERS = [dialled("10.1.2.3", port) for port in (80, 81, 5432)] + [dialled("198.51.101.7", 443)]
FLOWS = [event(Flow, address="203.0.114.9", port=443, sent_bytes=1 << bits) for bits in (10, 20, 27, 31)]
PODS = [msgspec.structs.replace(POD, id=digit * 64, image_digest=f"sha256:{int(digit) // 3}") for digit in "1234"]
STEPS = st.lists(
    st.tuples(st.sampled_from([*LINES, *NAMES, *PEERS, *FLOWS]), st.sampled_from(PODS), st.floats(0, 6), st.booleans()),
    min_size=1, max_size=120,
)  # fmt: skip
FAST = HabitSettings(hours=6)


def history(steps: list[Any]) -> list[tuple[Any, bool]]:
    hour, found = 0.0, []
    for item, pod, wait, bad in steps:
        hour += wait
        found.append((at(hour, msgspec.structs.replace(item, container=pod)), bad and wait > 5))
    return found


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 120))
def test_a_restart_changes_nothing(steps, when):
    events = history(steps)
    straight, broken = Habits(RULES, FAST), Habits(RULES, FAST)
    one, other = [], []
    for number, (item, bad) in enumerate(events):
        one.append([alert.id for alert in straight.process(item, alerted=bad)])
        if number == when:
            kept = to_bytes(broken.profiles(), FAST)
            broken = Habits(RULES, FAST)
            broken.restore(from_bytes(kept, FAST))
        other.append([alert.id for alert in broken.process(item, alerted=bad)])
    # What was told within the last minutes is not kept: a restarted sensor says it once more.
    assert [set(found) - set(again) for found, again in zip(one, other, strict=True)] == [set()] * len(one)
    assert [p.name for p in straight.profiles()] == [p.name for p in broken.profiles()]
    for a, b in zip(straight.profiles(), broken.profiles(), strict=True):
        assert a.families == b.families
        assert (a.slots, a.network_slots, a.versions) == (b.slots, b.network_slots, b.versions)
    assert straight.features() == broken.features()


@settings(max_examples=40, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_what_is_learnt_does_not_depend_on_the_order_within_an_hour(steps, dice):
    """Two rings, late metadata: events of one moment come in any order."""
    still = [pair for pair in history(steps) if type(pair[0]) is not Flow]
    events = [(at(number // 10, item), bad) for number, (item, bad) in enumerate(still)]
    hours = [events[start : start + 10] for start in range(0, len(events), 10)]
    mixed = [pair for hour in hours for pair in dice.sample(hour, len(hour))]
    one, other = Habits(RULES), Habits(RULES)
    for habits, chosen in ((one, events), (other, mixed)):
        for item, bad in chosen:
            habits.process(item, alerted=bad)
    for a, b in zip(one.profiles(), other.profiles(), strict=True):
        assert {name: set(f.values) for name, f in a.families.items()} == {
            name: set(f.values) for name, f in b.families.items()
        }
        assert (a.slots, a.network_slots) == (b.slots, b.network_slots)


def test_memory_is_bounded_and_what_is_known_stays_longest(monkeypatch):
    habits = Habits(RULES)
    usual(habits, ran("app"), ran("sh -c x"), hours=30)
    for number in range(MAX_WORKLOADS + 100):
        pod = msgspec.structs.replace(POD, id=f"{number:064}", owner=f"Job/one-{number}")
        habits.process(at(31, ran("work", where=pod)))
    assert sum(habits.counts()) == MAX_WORKLOADS
    assert habits.profile("shop/Deployment/web/web") is not None
    assert habits.stats.evicted == 101
    monkeypatch.setattr(habits_module, "MAX_FEATURES", 1000)
    for number in range(60):
        pod = msgspec.structs.replace(POD, id=f"x{number:063}", owner=f"Deployment/wide-{number}")
        for value in range(100):
            habits.process(at(32, ran(f"/bin/{chr(97 + value // 26)}{chr(97 + value % 26)}", where=pod)))
    assert habits.features() <= 1000
    assert habits.features() == sum(profile.size() for profile in habits.profiles())
    assert MAX_FEATURES == 50_000


def test_a_family_with_too_many_values_is_no_habit():
    habits = Habits(RULES)
    for value in range(MAX_VALUES + 1):
        habits.process(at(0.001 * value, ran(f"/bin/{chr(97 + value // 26)}{chr(97 + value % 26)}")))
    profile = habits.profile("shop/Deployment/web/web")
    assert profile is not None
    assert profile.families["program"].wide
    assert profile.size() == habits.features() == 0
    usual(habits, ran("app"), hours=100, start=1)
    assert told(habits, ran("nmap"), hour=200) == []


def test_a_value_that_does_not_come_again_is_forgotten_after_a_month_of_activity():
    profile = Profile("x")
    profile.mark(0, 0, network=False)
    profile.learn(Feature("program", "old"))
    for day in range(1, MEMORY_DAYS + 2):
        profile.mark(day * 24, day, network=False)
        profile.learn(Feature("program", "new"))
        profile.knows(Feature("program", "new"))
    assert profile.forget() == 1
    assert profile.usual("program") == ["new"]


def test_a_clock_that_jumps_neither_forgets_nor_stops_learning():
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=10)
    assert told(habits, ran("app"), hour=24 * 3650) == []
    usual(habits, ran("app"), hours=20, start=11)
    assert told(habits, ran("nmap x"), hour=40) == ["BL-0101"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:-1], id="cut off"),
        pytest.param(lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], id="one bit"),
        pytest.param(lambda data: b"SWH9" + data[4:], id="another version"),
        pytest.param(lambda data: b"x" * 100, id="something else"),
    ],
)
def test_damaged_bytes_are_refused(change):
    good = to_bytes(learnt().profiles(), HabitSettings())
    with pytest.raises(InputError):
        from_bytes(change(good), HabitSettings())


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(InputError):
        from_bytes(data, HabitSettings())


def test_another_learning_time_counts_the_hours_that_were_learnt():
    habits = Habits(RULES)
    usual(habits, ran("app"), hours=24)
    (profile,) = from_bytes(to_bytes(habits.profiles(), habits.settings), HabitSettings(hours=240))
    assert profile.slots == 2
    (profile,) = from_bytes(to_bytes(habits.profiles(), HabitSettings()), HabitSettings(hours=12))
    assert profile.slots == 48
