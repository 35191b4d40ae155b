"""Peers, names, ports and volumes that a workload never had."""

from __future__ import annotations

from seawall.detection.baselines.habit import Habit, amount
from seawall.detection.declaration import Logic, detection
from seawall.detection.processes import domain_entity, ip_entity, program
from seawall.detection.rules.baseline.containers import LEARNT, PEERS
from seawall.domain.alerts import Match
from seawall.domain.runtime_events import Connect, DnsQuery, Flow, Listen
from seawall.domain.severity import Severity

_NAMES = "names that pods resolved"


@detection(
    id="BL-0104",
    title="Kubernetes API called by a program that never did",
    severity=Severity.MEDIUM,
    attack=("T1552.007", "T1613"),
    on=Connect,
    logic=Logic.BASELINE,
    features=("api",),
    catalogue=("K8S.NODE_KubernetesAPI",),
    needs=(LEARNT, PEERS),
    response="Look in the audit log for what this service account did from this pod; take its rights away until that is known.",
    action="called the Kubernetes API, which it never did",
    benign=("A feature is switched on that needs the API (leader election, discovery).",),
    investigate=("Which verbs and resources (audit log)?", "Was the token read (BL-0106, RT-0601)?"),
)
def new_api_client(event: Connect, habit: Habit) -> Match | None:
    """A program of a workload connects to the API server and never did.

    The API server is known by its name, by port 6443, and as the first address of a private range on port 443.
    """
    where = event.host or event.address
    return habit.match(
        f"{event.process} of {habit.workload} connects to the Kubernetes API ({where}:{event.port}) for the first time",
        entities=(ip_entity(event.address),),
    )


@detection(
    id="BL-0105",
    title="Metadata service asked by a program that never did",
    severity=Severity.MEDIUM,
    attack=("T1552.005",),
    on=Connect,
    logic=Logic.BASELINE,
    features=("metadata",),
    catalogue=("K8S.NODE_ImdsCall",),
    needs=(LEARNT, PEERS),
    response="Revoke the instance role's sessions; block the metadata address for pods.",
    action="asked the cloud's metadata service, which it never did",
    benign=("A library is configured to use the node's identity.",),
    investigate=("What else did the pod do in that minute?", "Was a URL in a request (request forgery)?"),
)
def new_metadata_client(event: Connect, habit: Habit) -> Match | None:
    """A program of a workload connects to a cloud's metadata service and never did.

    RT-0608 knows tools; this one also sees an application that is made to ask by a forged request.
    """
    return habit.match(
        f"{event.process} of {habit.workload} connects to {event.address}:{event.port} for the first time",
        entities=(ip_entity(event.address),),
    )


@detection(
    id="BL-0108",
    title="Domain that the workload never asked for",
    severity=Severity.LOW,
    attack=("T1071.004",),
    on=DnsQuery,
    logic=Logic.BASELINE,
    features=("domain",),
    needs=(LEARNT, _NAMES),
    response="Look the domain up (age, owner) and what was sent there; block it if nobody can say what it is for.",
    action="asked for a domain that the workload never asked for",
    benign=("A new integration by configuration.", "A provider changes its domain."),
    investigate=("Which program asked, and did it connect?",),
    confidence="low",
)
def new_domain(event: DnsQuery, habit: Habit) -> Match | None:
    """A container asks for a name under a domain that its workload never asked for.

    Workloads that ask for new domains all the time (crawlers, mail, webhooks of customers) never settle and are not judged.
    Below domains that many share (clouds, hosters) the whole name counts.
    """
    return habit.match(
        f"{program(event.process) or 'a program'} of {habit.workload} asks for {event.name}",
        entities=(domain_entity(event.name),),
    )


@detection(
    id="BL-0109",
    title="Outside address that the workload never reached",
    severity=Severity.LOW,
    attack=("T1071", "T1571"),
    on=Connect,
    logic=Logic.BASELINE,
    features=("outside",),
    needs=(LEARNT, PEERS),
    response="Find the address's owner and what was sent; block it if nobody can say what it is for.",
    action="reached an outside address that the workload never reached",
    benign=("A partner's fixed address changes.",),
    investigate=("Which program, and what started it?", "Is the address on a list (RT-1007)?"),
    confidence="low",
)
def new_outside(event: Connect, habit: Habit) -> Match | None:
    """A container connects to a public address that no name was asked for, in a range or on a port new to its workload.

    Programs look names up; reverse shells and miners often have an address. A program or script that is not from the
    image is medium.
    """
    grave = event.process.drift or event.process.script_drift
    return habit.match(
        f"{event.process} of {habit.workload} connects to {event.address}:{event.port}",
        severity=Severity.MEDIUM if grave else None,
        reasons=("by a program that is not from the image",) if grave else (),
        entities=(ip_entity(event.address),),
    )


@detection(
    id="BL-0110",
    title="New path between workloads",
    severity=Severity.LOW,
    attack=("T1021", "T1210"),
    on=Connect,
    logic=Logic.BASELINE,
    features=("peer",),
    catalogue=("X_EastWestAnomaly",),
    needs=(LEARNT, PEERS),
    response="Compare with what the workload is for; a NetworkPolicy says it once and for all.",
    action="reached a service that the workload never reached",
    benign=("A service is moved or renamed.", "A new dependency by configuration."),
    investigate=("Is the peer another team's?", "Which other new peers (a scan)?"),
    confidence="low",
)
def new_peer(event: Connect, habit: Habit) -> Match | None:
    """A container connects to a service, or to a port of a private range, that its workload never talked to.

    Services count by name where the pod asked for one, else by the /16 and the port: addresses of pods come and go.
    """
    where = f"{event.host} ({event.address})" if event.host else event.address
    return habit.match(
        f"{event.process} of {habit.workload} connects to {where}, port {event.port}",
        entities=(ip_entity(event.address),),
    )


@detection(
    id="BL-0111",
    title="Far more data went out than ever",
    severity=Severity.MEDIUM,
    attack=("T1041", "T1567"),
    on=Flow,
    logic=Logic.BASELINE,
    features=("egress",),
    catalogue=("X_EgressVolume",),
    needs=(LEARNT, "byte counts of connections"),
    response="Find the destination's owner and what was sent; cut the connection while that is not known.",
    action="sent out far more data than ever",
    benign=("A first full backup or migration.",),
    investigate=("Is the destination new for this workload (BL-0108, BL-0109)?", "Which files were read before?"),
    confidence="low",
)
def more_egress(event: Flow, habit: Habit) -> Match | None:
    """Within an hour a workload sent over 16 MiB to public addresses, and at least about eight times as much as in its
    busiest hour so far.

    Counted on one node over all its replicas there, in powers of two.
    """
    sent = amount(1 << max(int(habit.feature.value) - 1, 0))
    where = event.host or event.address
    return habit.match(
        f"{habit.workload} sent over {sent} out within an hour, the latest to {where} by {event.process}",
        entities=(ip_entity(event.address),),
    )


@detection(
    id="BL-0112",
    title="Workload listens on a port that it never had",
    severity=Severity.LOW,
    attack=("T1571",),
    on=Listen,
    logic=Logic.BASELINE,
    features=("port",),
    needs=(LEARNT, PEERS),
    response="Find what listens; close the port by NetworkPolicy and replace the pod if it is not the application.",
    action="listened on a port that the workload never had",
    benign=("A debug or metrics port is switched on.",),
    investigate=("Which program listens, and who connected?",),
    confidence="low",
)
def new_port(event: Listen, habit: Habit) -> Match | None:
    """A container listens on a port that its workload never listened on, other than on loopback."""
    grave = event.process.drift or event.process.script_drift
    return habit.match(
        f"{event.process} of {habit.workload} listens on {event.address or '*'}:{event.port}/{event.protocol}",
        severity=Severity.MEDIUM if grave else None,
        reasons=("by a program that is not from the image",) if grave else (),
    )
