"""Workloads, images and roll-outs that are unlike everything before."""

from __future__ import annotations

from seawall.detection.baselines.features import (
    EVERYBODY,
    Feature,
    action,
    agent_of,
    cut,
    granted,
    images_in,
    mirror_pod,
    network_of,
    operation,
    pod_spec,
    replicas_in,
    repository_of,
    workload_of,
)
from seawall.detection.baselines.scoring import Part, View
from seawall.detection.context import context
from seawall.detection.declaration import Logic, detection
from seawall.domain.alerts import Entity, EntityKind, Match
from seawall.domain.audit_events import AuditEvent
from seawall.domain.severity import Severity

_WRITES = ("create", "update", "patch")
_TEMPLATES = ("pods", "deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs")
_LEARNS = ("learning period of 14 days", "request bodies of pods and workload templates")
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "python", "python3", "perl"})
_FETCHES = ("curl ", "wget ", "base64 -d", "base64 --decode", "/dev/tcp/", "nc -e")


def _new_repository(event: AuditEvent, view: View, family: str, subject: str) -> tuple[str, str] | None:
    """The first image of the request whose repository is new for the subject, with its registry."""
    for image in images_in(event.request_body):
        registry, repository = repository_of(image)
        if view.is_new(family, subject, repository):
            return registry, repository
    return None


@detection(
    id="BL-0003",
    title="Unknown container in a platform namespace",
    severity=Severity.INFORMATIONAL,
    attack=("T1610", "T1036.005"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=_TEMPLATES,
    features=("system-image", "registry"),
    catalogue=("K8S_KubeSystemContainer",),
    needs=_LEARNS,
    response="If nobody installed it, delete the workload and look for who else holds rights in that namespace.",
    action="started an unknown pod in a platform namespace",
    benign=("An add-on is installed or upgraded.", "The cloud provider moves its images to another registry."),
    investigate=("Compare the image with the provider's list of components.", "See who created the workload."),
)
def unknown_system_container(event: AuditEvent, view: View) -> Match | None:
    """A workload in a namespace of the platform runs an image that never ran there.

    The repository is new in the namespace 0.5, its registry is new in the cluster 0.5. From 0.5 on it is informational,
    from 1.0 on, or when a person and not the platform's installer did it, medium.
    """
    namespace = cut(event.namespace)
    if not context().is_system(namespace) or context().allowances.may(event.actor, "system-workloads"):
        return None
    found = _new_repository(event, view, "system-image", namespace)
    if found is None:
        return None
    registry, repository = found
    score = view.score(
        Part("image", Feature("system-image", namespace, repository), 0.5, f"{repository} in {namespace}"),
        Part("registry", Feature("registry", EVERYBODY, registry), 0.5, f"registry {registry} in the cluster"),
    )
    person = not event.actor.startswith("system:")
    return Match(
        f"{event.actor} started {repository} in {namespace}, where it never ran",
        severity=Severity.MEDIUM if score.total >= 1.0 or person else None,
        reasons=(*score.reasons, *(("started by a person",) if person else ())),
        features=score.features,
        entities=(Entity(EntityKind.IMAGE, repository),),
        key=f"{namespace}|{repository}",
    )


@detection(
    id="BL-0010",
    title="Image from a registry never used before",
    severity=Severity.LOW,
    attack=("T1610", "T1204.003"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=_TEMPLATES,
    features=("registry",),
    catalogue=("X_FirstSeenRegistry",),
    needs=_LEARNS,
    response="Scan the image; if nobody can say why it is there, delete the workload and block the registry at admission.",
    action="ran an image from a new registry",
    benign=("A team adopts a product from another vendor.", "A mirror is put in front of a public registry."),
    investigate=(
        "Look at the image's findings and history in Seawall.",
        "See who created the workload and from where.",
    ),
    confidence="low",
)
def first_seen_registry(event: AuditEvent, view: View) -> Match | None:
    """A workload uses a registry and repository that the cluster never used.

    Registry new in the cluster 0.6, repository new in the cluster 0.2, registry new in the namespace 0.2; from 0.8 on.
    """
    found = _new_repository(event, view, "registry", EVERYBODY)
    if found is None:
        return None
    registry, repository = found
    namespace = cut(event.namespace)
    score = view.score(
        Part("registry", Feature("registry", EVERYBODY, registry), 0.6, f"registry {registry} in the cluster"),
        Part("repository", Feature("registry", EVERYBODY, repository), 0.2, f"repository {repository}"),
        Part("namespace", Feature("registry", namespace, registry), 0.2, f"registry {registry} in {namespace}"),
    )
    if score.total < 0.8:
        return None
    return Match(
        f"{event.actor} runs {repository} in {namespace}: the first image from {registry}",
        reasons=score.reasons,
        features=score.features,
        entities=(Entity(EntityKind.IMAGE, repository),),
        key=f"{namespace}|{repository}",
    )


@detection(
    id="BL-0011",
    title="Workload switched to a foreign image",
    severity=Severity.MEDIUM,
    attack=("T1525",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("update", "patch"),
    resources=_TEMPLATES,
    features=("image", "action", "registry", "active"),
    catalogue=("X_ImageSwap",),
    needs=_LEARNS,
    response="Roll the workload back, keep the foreign image's digest for analysis and check who may change workloads.",
    action="switched a workload to a foreign image",
    benign=("A move to another registry or base product.", "A sidecar is added by its team."),
    investigate=("Compare with the repository that deploys the workload.", "Scan the new image."),
)
def image_swap(event: AuditEvent, view: View) -> Match | None:
    """A workload that ran the same repositories for days gets another one, from outside its usual way of deployment.

    Repository new to the workload 0.5, the identity never changed such workloads 0.3, repository new to the whole
    cluster 0.2; from 0.7 on. Only workloads that are known for days count.
    """
    workload = workload_of(event)
    images = [repository_of(image)[1] for image in images_in(event.request_body)]
    swapped = [name for name in images if view.is_new("image", workload, name)]
    if not swapped or not view.is_mature(workload):
        return None
    repository = swapped[0]
    score = view.score(
        Part("image", Feature("image", workload, repository), 0.5, f"{repository} in {workload}"),
        Part("identity", Feature("action", cut(event.actor), action(event)), 0.3, f"{action(event)} by {event.actor}"),
        Part("cluster", Feature("registry", EVERYBODY, repository), 0.2, f"{repository} in the cluster"),
    )
    if score.total < 0.7:
        return None
    return Match(
        f"{event.actor} switched {workload} to {repository}, which it never ran",
        reasons=score.reasons,
        features=score.features,
        entities=(Entity(EntityKind.IMAGE, repository),),
        key=f"{workload}|{repository}",
    )


@detection(
    id="BL-0007",
    title="Unknown static pod",
    severity=Severity.MEDIUM,
    attack=("T1543.005", "T1610"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("create",),
    resources=("pods",),
    features=("static-pod",),
    catalogue=("X_UnexpectedMirrorPod",),
    needs=("learning period of 14 days", "request bodies of pods"),
    platform_notes={
        "gke": "Nodes are managed: static pods of the platform appear with each node image.",
        "eks": "EKS nodes run no static pods by default, so the first one is worth a look.",
    },
    response="Cordon the node, keep its manifest directory and compare it with the other nodes, then replace the node.",
    action="ran an unknown static pod",
    benign=("A new version of the distribution adds a component.", "A node agent installed as a static pod."),
    investigate=("Read the manifest directory of the node.", "See which other nodes have the same mirror pod."),
)
def unexpected_mirror_pod(event: AuditEvent, view: View) -> Match | None:
    """A kubelet reports a static pod of a name that no node of the cluster ran before.

    Static pods come from files on a node and pass no admission control: whoever writes one owns the node.
    """
    name = mirror_pod(event)
    if not name:
        return None
    score = view.score(Part("static pod", Feature("static-pod", EVERYBODY, name), 1.0, f"static pod {name}"))
    if score.total < 1.0:
        return None
    node = pod_spec(event.request_body).get("nodeName")
    entities = (Entity(EntityKind.NODE, node, event.cluster),) if isinstance(node, str) else ()
    return Match(
        f"{event.actor} reports the static pod {event.namespace}/{name}, which no node ran before",
        reasons=score.reasons,
        features=score.features,
        entities=entities,
        key=name,
    )


@detection(
    id="BL-0008",
    title="Job or CronJob by an identity that never made one",
    severity=Severity.LOW,
    attack=("T1053.007",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=("cronjobs", "jobs"),
    features=("action", "active"),
    catalogue=("X_CronJobCreated",),
    needs=_LEARNS,
    response="Read the job's command; delete it and its pods if nobody asked for it.",
    action="planted a CronJob",
    benign=("A team writes its first scheduled task.", "A chart brings a clean-up job."),
    investigate=("Read image, command and service account of the template.", "See what the pods contacted."),
    confidence="low",
)
def unusual_cron_job(event: AuditEvent, view: View) -> Match | None:
    """An identity creates or changes a Job or CronJob and never did; a shell that downloads in it makes it medium."""
    actor, does = cut(event.actor), action(event)
    payload = _shell_payload(event.request_body)
    if not payload and not view.is_mature(actor):
        return None
    score = view.score(
        Part("action", Feature("action", actor, does), 0.7, f"{does} by {actor}"),
        Part("operation", Feature("operation", actor, operation(event)), 0.3, operation(event)),
    )
    if score.total < 0.7:
        return None
    return Match(
        f"{actor} made {event.resource} {event.namespace}/{event.name} and never made one"
        + (f"; it runs {payload}" if payload else ""),
        severity=Severity.MEDIUM if payload else None,
        reasons=(*score.reasons, *((f"its command {payload}",) if payload else ())),
        features=score.features,
        key=f"{actor}|{event.resource}|{event.namespace}",
    )


@detection(
    id="BL-0009",
    title="DaemonSet by an identity that never rolled one out",
    severity=Severity.MEDIUM,
    attack=("T1543.005", "T1610"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("create",),
    resources=("daemonsets",),
    features=("action", "registry"),
    catalogue=("X_DaemonSetRollout",),
    needs=_LEARNS,
    response="Pause and delete the DaemonSet if nobody can explain it, then check every node that it reached.",
    action="rolled a DaemonSet out to all nodes",
    benign=("A platform team installs a node agent by hand.", "A new deployment pipeline."),
    investigate=("Read its privileges, tolerations and host paths.", "Scan its image."),
)
def unusual_daemon_set(event: AuditEvent, view: View) -> Match | None:
    """An identity that never made a DaemonSet makes one; privileged, or tolerating every taint, it is high.

    First time for the identity 0.7, first repository of its kind in the cluster 0.3; from 0.7 on.
    """
    actor, does = cut(event.actor), action(event)
    if context().allowances.may(event.actor, "deploy") or context().allowances.may(event.actor, "system-workloads"):
        return None
    images = images_in(event.request_body)
    repository = repository_of(images[0])[1] if images else ""
    score = view.score(
        Part("action", Feature("action", actor, does), 0.7, f"{does} by {actor}"),
        Part("repository", Feature("registry", EVERYBODY, repository), 0.3, f"repository {repository}"),
    )
    if score.total < 0.7:
        return None
    grave = _reaches_every_node(event.request_body)
    return Match(
        f"{actor} rolled out the DaemonSet {event.namespace}/{event.name} and never made one",
        severity=Severity.HIGH if grave else None,
        reasons=(*score.reasons, *((grave,) if grave else ())),
        features=score.features,
        key=f"{actor}|{event.namespace}|{event.name}",
    )


@detection(
    id="BL-0014",
    title="Sudden jump of replicas",
    severity=Severity.LOW,
    attack=("T1496.001", "T1499"),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=(
        "deployments", "statefulsets", "replicasets", "deployments/scale", "statefulsets/scale", "replicasets/scale",
    ),
    features=("scale",),
    catalogue=("X_ScaleAbuse",),
    needs=("learning period of 14 days", "request bodies of workloads and their scale"),
    response="Scale back and ask who needs it; check what the image does with the processors.",
    action="scaled resources up suddenly",
    benign=("A load test, a sale, a backlog.", "An autoscaler with a new maximum."),
    investigate=("Compare with the autoscaler's settings.", "Look at processor use and connections of the new pods."),
    confidence="low",
)  # fmt: skip
def scale_jump(event: AuditEvent, view: View) -> Match | None:
    """A workload is asked to run at least eight times, and 16 more, replicas than it ever did within memory."""
    replicas, workload = replicas_in(event), workload_of(event)
    size = replicas.bit_length()
    if replicas < 16 or not any(view.days("scale", workload, str(power)) for power in range(1, size)):
        return None
    if any(view.days("scale", workload, str(power)) for power in range(size - 3, size + 12)):
        return None
    score = view.score(
        Part("replicas", Feature("scale", workload, str(size)), 1.0, f"{replicas} replicas of {workload}")
    )
    return Match(
        f"{event.actor} scaled {workload} to {replicas} replicas, at least eight times more than ever",
        reasons=score.reasons,
        features=score.features,
        key=workload,
    )


@detection(
    id="BL-0004",
    title="Pod deployment unlike earlier ones",
    severity=Severity.MEDIUM,
    attack=("T1610",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=_TEMPLATES,
    features=("registry", "operation", "agent", "hour", "active"),
    catalogue=("K8S_AnomalousPodDeployment",),
    needs=_LEARNS,
    enabled=False,
    response="Ask the identity; compare with the way this namespace is usually deployed to.",
    action="deployed an unusual pod",
    benign=("The first deployment of a new service.", "Repair work by hand."),
    investigate=("Read the contributing features: each says what is unusual.",),
    confidence="low",
)
def anomalous_deployment(event: AuditEvent, view: View) -> Match | None:
    """A pod or workload whose registry, account, client, namespace and time of day are unusual together.

    Registry in the namespace 0.3, operation of the identity 0.25, client 0.25, hour 0.1, repository 0.1; from 0.7 on.
    Off by default: the vendor that offered such a model withdrew it for noise.
    """
    images = images_in(event.request_body)
    if not images or not view.is_mature(event.actor) or event.time is None:
        return None
    registry, repository = repository_of(images[0])
    actor, namespace, agent = cut(event.actor), cut(event.namespace), agent_of(event.agent)
    hour = f"{'weekend' if event.time.weekday() >= 5 else 'weekday'} {event.time.hour:02}"
    score = view.score(
        Part("registry", Feature("registry", namespace, registry), 0.3, f"registry {registry} in {namespace}"),
        Part("operation", Feature("operation", actor, operation(event)), 0.25, operation(event)),
        Part("client", Feature("agent", actor, agent), 0.25, f"client {agent or 'without a name'}"),
        Part("hour", Feature("hour", actor, hour), 0.1, f"{hour}:00 UTC"),
        Part("repository", Feature("registry", EVERYBODY, repository), 0.1, f"repository {repository}"),
    )
    if score.total < 0.7:
        return None
    return Match(
        f"{actor} deployed {repository} to {namespace} in an unusual way",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{namespace}|{repository}",
    )


@detection(
    id="BL-0005",
    title="Service account given unusually strong permissions",
    severity=Severity.LOW,
    attack=("T1098.006",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=_WRITES,
    resources=("rolebindings", "clusterrolebindings"),
    features=("grant",),
    catalogue=("K8S_ServiceAcountPermissionAnomaly",),
    needs=("learning period of 14 days", "request bodies of bindings"),
    enabled=False,
    response="Remove the binding if nobody asked for it, and check what the account did since.",
    action="gave a service account unusual permissions",
    benign=("A product's new version asks for more.",),
    investigate=("Compare with the same account in other clusters.", "List the role's rules."),
    confidence="low",
)
def unusual_grant(event: AuditEvent, view: View) -> Match | None:
    """A service account is bound to a powerful role that accounts of its name never had in any cluster.

    Role new to accounts of that name 0.7, to this very account 0.3; from 0.7 on; only cluster-admin, admin, edit and
    roles bound across the cluster. Off by default: withdrawn by the vendor that offered it.
    """
    role, accounts = granted(event)
    powerful = event.resource == "clusterrolebindings" or role in (
        "ClusterRole/cluster-admin", "ClusterRole/admin", "ClusterRole/edit",
    )  # fmt: skip
    for account in accounts if powerful else ():
        name = account.rpartition("/")[2]
        score = view.score(
            Part("fleet", Feature("grant", name, role), 0.7, f"{role} for accounts named {name}"),
            Part("account", Feature("grant", account, role), 0.3, f"{role} for {account}"),
        )
        if score.total >= 0.7:
            namespace, _, name = account.partition("/")
            return Match(
                f"{event.actor} gave service account {account} the role {role}, unusual for accounts of that name",
                reasons=score.reasons,
                features=score.features,
                entities=(Entity(EntityKind.SERVICE_ACCOUNT, f"{namespace}/{name}", event.cluster),),
                key=f"{account}|{role}",
            )
    return None


@detection(
    id="BL-0006",
    title="Unusual read of secrets",
    severity=Severity.MEDIUM,
    attack=("T1552.007",),
    on=AuditEvent,
    logic=Logic.BASELINE,
    verbs=("get", "list", "watch"),
    resources=("secrets",),
    features=("secret", "active"),
    catalogue=("K8S_AnomalousSecretAccess",),
    needs=("learning period of 14 days", "reads of secrets"),
    platform_notes={
        "aks": "Needs the full audit category (kube-audit): the reduced one has no reads.",
        "gke": "Needs Data Access logging.",
    },
    enabled=False,
    response="Rotate the secret if the read cannot be explained.",
    action="read secrets in an unusual way",
    benign=("A new release reads another secret.", "An administrator looks something up."),
    investigate=("Read the contributing features.", "See what the identity did with it afterwards."),
    confidence="low",
)
def unusual_secret_read(event: AuditEvent, view: View) -> Match | None:
    """Identity, client, address and secret of a read form a combination that is new.

    Secret 0.4, client 0.35, network 0.25; from 0.6 on. Off by default: withdrawn by the vendor that offered it.
    """
    actor = cut(event.actor)
    if not view.is_mature(actor):
        return None
    name = event.name if event.verb == "get" else EVERYBODY
    agent, network = agent_of(event.agent), network_of(event.source_ip)
    score = view.score(
        Part("secret", Feature("secret", actor, cut(f"{event.namespace}/{name}")), 0.4, f"{event.namespace}/{name}"),
        Part("client", Feature("secret", actor, f"agent {agent}"), 0.35, f"client {agent or 'without a name'}"),
        Part("network", Feature("secret", actor, f"network {network}"), 0.25, f"network {network or 'unknown'}"),
    )
    if score.total < 0.6:
        return None
    return Match(
        f"{actor} read {event.namespace}/{name} in an unusual way",
        reasons=score.reasons,
        features=score.features,
        key=f"{actor}|{event.namespace}|{name}",
    )


def _shell_payload(body: object) -> str:
    """What a shell in the template downloads or decodes, or empty."""
    containers = pod_spec(body).get("containers")
    for container in containers if isinstance(containers, list) else ():
        if not isinstance(container, dict):
            continue
        listed = [value for field in ("command", "args") if isinstance(value := container.get(field), list)]
        words = [word for value in listed for word in value if isinstance(word, str)][:64]
        line = " ".join(words)[:4000]
        if words and words[0].rpartition("/")[2] in _SHELLS and (hit := next((x for x in _FETCHES if x in line), "")):
            return f"{words[0]} with {hit.strip()}"
    return ""


def _reaches_every_node(body: object) -> str:
    """Why the roll-out is graver than others, or empty."""
    spec = pod_spec(body)
    containers = spec.get("containers")
    for container in containers if isinstance(containers, list) else ():
        security = container.get("securityContext") if isinstance(container, dict) else None
        if isinstance(security, dict) and security.get("privileged") is True:
            return "its container is privileged"
    if spec.get("hostPID") is True or spec.get("hostNetwork") is True:
        return "it shares namespaces of the host"
    tolerations = spec.get("tolerations")
    for item in tolerations if isinstance(tolerations, list) else ():
        if isinstance(item, dict) and item.get("operator") == "Exists" and not item.get("key"):
            return "it tolerates every taint, so it runs on control-plane nodes too"
    return ""
