"""Azure Policy's verdicts among ours."""

from __future__ import annotations

from seawall.app.judge_posture import policy_results
from seawall.domain.posture import Assessment, ObjectRef, Status
from seawall.domain.severity import Severity
from seawall.posture.catalogue import controls
from seawall.posture.enforcement.azure import built_ins
from seawall.posture.objects import Obj

CONTROL = next(control for control in controls().values() if built_ins(control))
CLUSTER = Obj({"id": "/subscriptions/S/x/prod"}, kind="Microsoft.ContainerService/managedClusters", name="prod")


def state(complies: str, resource: str = "/subscriptions/s/X/prod") -> Obj:
    inner = {"policyDefinitionName": built_ins(CONTROL)[0], "resourceId": resource, "complianceState": complies}
    return Obj({"properties": inner}, kind="Microsoft.PolicyInsights/policyStates", name="s")


def statuses(*states: Obj, known: list[Assessment] | None = None) -> dict[str, Status]:
    found = policy_results(states, known or [], [CLUSTER], "azure:s")
    return {item.control: item.status for item in found}


def test_the_worst_of_several_states_counts() -> None:
    assert statuses(state("Compliant"))[CONTROL.id] is Status.PASS
    assert statuses(state("Compliant"), state("NonCompliant"), state("Compliant"))[CONTROL.id] is Status.FAIL


def test_our_own_verdict_stands() -> None:
    ref = ObjectRef(CLUSTER.kind, "prod")
    mine = Assessment("1", CONTROL.id, Status.PASS, Severity.HIGH, ref)
    assert CONTROL.id not in statuses(state("NonCompliant"), known=[mine])
    unknown = Assessment("1", CONTROL.id, Status.UNKNOWN, Severity.HIGH, ref)
    assert statuses(state("NonCompliant"), known=[unknown])[CONTROL.id] is Status.FAIL


def test_states_of_resources_that_we_do_not_know_are_left_out() -> None:
    assert statuses(state("NonCompliant", "/subscriptions/other")) == {}
    assert statuses(Obj({}, kind="Microsoft.PolicyInsights/policyStates", name="s")) == {}
