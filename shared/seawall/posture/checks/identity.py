"""Service accounts of workloads and the tokens that pods get."""

from __future__ import annotations

from collections.abc import Iterator

from seawall.domain.posture import Status
from seawall.posture.check import Finding, check, fail, not_applicable
from seawall.posture.fields import FieldControl, On, Op, Rule
from seawall.posture.objects import Obj, mapping, mappings, text
from seawall.posture.workloads import Workload
from seawall.posture.world import World, automounts_token


def _unless_same(workload: Workload, _: World, found: list[Finding]) -> list[Finding]:
    """The API server fills the old field in beside the new one: then it is no choice of the author."""
    same = workload.spec.get("serviceAccount") == workload.spec.get("serviceAccountName")
    return [] if same else found


TABLE = (
    FieldControl(
        "WL-033",
        (Rule("serviceAccount", Op.EMPTY, on=On.POD),),
        refine=_unless_same,
        cel="!has(variables.spec.serviceAccount) || (has(variables.spec.serviceAccountName) && variables.spec.serviceAccountName == variables.spec.serviceAccount)",
    ),
)


@check("WL-031", on=(Workload, "ServiceAccount"))
def token_mounted(subject: Workload | Obj, world: World) -> Iterator[Finding]:
    """Effective `automountServiceAccountToken`, pod over service account; a pod that opts in with a bound account passes."""
    if isinstance(subject, Obj):
        users = world.users_of.get((subject.in_namespace, subject.name), [])
        if users and all(item.spec.get("automountServiceAccountToken") is not None for item in users):
            return
        if subject.body.get("automountServiceAccountToken") is not False and not _bound(
            world, subject.in_namespace, subject.name
        ):
            yield fail("automountServiceAccountToken", subject.body.get("automountServiceAccountToken"), False)
        return
    own = subject.spec.get("automountServiceAccountToken")
    if not automounts_token(subject, world):
        return
    if own is True and _bound(world, subject.namespace, subject.service_account):
        return
    yield fail(subject.at("automountServiceAccountToken"), own, False, "" if own else "the default is true")


def _bound(world: World, namespace: str, name: str) -> bool:
    from seawall.posture.rbac import bindings_of

    return bool(bindings_of(world).get(("ServiceAccount", namespace, name)))


@check("WL-032", on=(Workload, "ServiceAccount", "RoleBinding", "ClusterRoleBinding"))
def default_account(subject: Workload | Obj, world: World) -> Iterator[Finding]:
    """Pods name an account of their own; the account `default` has no token mounted and no binding."""
    if isinstance(subject, Workload):
        off = subject.spec.get("automountServiceAccountToken") is False
        if subject.service_account == "default" and not off and not subject.is_static:
            account = world.service_accounts.get((subject.namespace, "default"))
            if account is None or account.body.get("automountServiceAccountToken") is not False:
                yield fail(
                    subject.at("serviceAccountName"), subject.spec.get("serviceAccountName"), "an account of its own"
                )
    elif subject.kind == "ServiceAccount":
        if subject.name != "default":
            yield not_applicable("not the default account")
        elif subject.body.get("automountServiceAccountToken") is not False:
            yield fail("automountServiceAccountToken", subject.body.get("automountServiceAccountToken"), False)
    else:
        for index, item in enumerate(mappings(subject.body.get("subjects"))):
            if item.get("kind") == "ServiceAccount" and item.get("name") == "default":
                yield fail(
                    f"subjects[{index}].name",
                    "default",
                    "an account of its own",
                    part=f"{text(item.get('namespace'))}/default",
                )


@check("WL-034", on=Workload)
def account_exists(workload: Workload, world: World) -> Iterator[Finding]:
    """`serviceAccountName` names a ServiceAccount of the namespace."""
    name = text(workload.spec.get("serviceAccountName")) or text(workload.spec.get("serviceAccount"))
    if not name or name == "default" or (workload.namespace, name) in world.service_accounts:
        return
    if "ServiceAccount" in world.unread_kinds:
        yield Finding(
            Status.UNKNOWN, workload.at("serviceAccountName"), name, reason="service accounts could not be listed"
        )
    else:
        yield fail(workload.at("serviceAccountName"), name, "a service account of the namespace")


def subject_name(item: object) -> str:
    """Return a binding's subject in words."""
    fields = mapping(item)
    return " ".join(
        part
        for part in (
            text(fields.get("kind")),
            "/".join(p for p in (text(fields.get("namespace")), text(fields.get("name"))) if p),
        )
        if part
    )
