"""Baselines in the product: learnt over batches and restarts, muted while they learn, reset, accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from seawall.app.baselines import accept, reset
from seawall.bootstrap import bootstrap
from seawall.domain.errors import ConfigError, InputError
from seawall.settings import DetectionSettings, Settings

APP = "system:serviceaccount:shop:web"
START = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0) - timedelta(days=21)


def body(day: int, *calls: tuple[str, str, str]) -> bytes:
    """Audit events of one day: (verb, resource, namespace)."""
    lines = []
    for verb, resource, namespace in calls:
        lines.append(
            {
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
                "auditID": f"{day}-{verb}-{resource}-{namespace}", "verb": verb, "user": {"username": APP},
                "sourceIPs": ["10.0.0.5"], "userAgent": "web/1.2", "responseStatus": {"code": 200},
                "objectRef": {"resource": resource, "namespace": namespace, "apiVersion": "v1"},
                "requestURI": f"/api/v1/namespaces/{namespace}/{resource}",
                "requestReceivedTimestamp": (START + timedelta(days=day)).isoformat(),
            }
        )  # fmt: skip
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": lines}).encode()


USUAL = (("get", "configmaps", "shop"), ("list", "pods", "shop"))
THEFT = ("delete", "deployments", "kube-system")


def opened(tmp_path, **detection):
    return bootstrap(Settings(data_dir=tmp_path, detection=DetectionSettings(**detection)))


def learnt(tmp_path, days: int = 20, **detection):
    application = opened(tmp_path, **detection)
    for day in range(days):
        assert not baseline(application.detection.audit(body(day, *USUAL), "prod"))
    return application


def baseline(outcome) -> list[str]:
    return [alert.analytic for alert in outcome.alerts if alert.analytic.startswith("BL-")]


def test_it_alerts_after_the_learning_period_and_over_restarts(tmp_path):
    learnt(tmp_path).close()
    application = opened(tmp_path)
    outcome = application.detection.audit(body(20, THEFT), "prod")
    assert "BL-0002" in baseline(outcome)
    assert [alert.id for alert in outcome.alerts]
    again = application.detection.audit(body(20, THEFT), "prod")
    assert not again.incidents
    application.close()


def test_while_it_learns_alerts_are_counted_only(tmp_path):
    application = learnt(tmp_path, 10)
    outcome = application.detection.audit(body(10, THEFT), "prod")
    assert not baseline(outcome)
    assert outcome.details["muted"]["learning"] >= 1
    assert application.store.baselines.muted()["cluster:prod", "BL-0002", "learning"] == 1
    for _ in range(2):
        application.detection.audit(body(10, THEFT), "prod")
    assert application.store.baselines.muted()["cluster:prod", "BL-0002", "learning"] == 1, "a repeat is not counted"
    application.close()


def test_the_learning_period_is_a_setting(tmp_path):
    application = learnt(tmp_path, 7, learning_days=6)
    assert "BL-0002" in baseline(application.detection.audit(body(7, THEFT), "prod"))
    application.close()


def test_reset_learns_again_and_names_what_is_known(tmp_path):
    application = learnt(tmp_path)
    with pytest.raises(InputError) as caught:
        reset(application.store.baselines, "staging")
    assert "cluster:prod" in caught.value.hint
    assert reset(application.store.baselines, "prod") == "cluster:prod"
    application.close()
    application = opened(tmp_path)
    assert not baseline(application.detection.audit(body(20, THEFT), "prod"))
    application.close()


def test_accepted_alerts_become_usual(tmp_path):
    application = learnt(tmp_path)
    outcome = application.detection.audit(body(20, THEFT), "prod")
    for alert in application.store.alerts.get([alert.id for alert in outcome.alerts]):
        assert accept(application.store.baselines, alert) is alert.analytic.startswith("BL-")
    application.close()
    application = opened(tmp_path)
    assert not baseline(application.detection.audit(body(21, THEFT), "prod"))
    application.close()


def test_suppressed_alerts_are_not_kept_and_expired_suppressions_do_nothing(tmp_path):
    tuning = tmp_path / "tuning.yaml"
    tuning.write_text(
        f"suppressions: [{{analytics: [BL-0002], identity: '{APP}', reason: a ticket, expires: 2100-01-01}}]"
    )
    application = learnt(tmp_path, tuning=tuning)
    assert "BL-0002" not in baseline(application.detection.audit(body(20, THEFT), "prod"))
    application.close()
    tuning.write_text(tuning.read_text().replace("2100", "2020"))
    application = opened(tmp_path, tuning=tuning)
    assert "BL-0002" in baseline(application.detection.audit(body(20, THEFT), "prod"))
    application.close()


def test_a_list_that_is_not_there_is_said(tmp_path):
    application = opened(tmp_path, threat_addresses=(str(tmp_path / "none.txt"),))
    with pytest.raises(ConfigError, match=r"none\.txt"):
        application.detection.audit(body(0, *USUAL), "prod")
    application.close()


def test_coverage_says_what_lacks_and_who_is_silent(tmp_path):
    application = opened(tmp_path)
    application.detection.audit(body(0, *USUAL), "prod")
    (found,) = application.detection.coverage()
    assert found["silent"]
    assert found["arrives"] == ["any", "reads", "source addresses"]
    assert found["blind"]["AU-0101"] == ["request bodies"]
    assert "CO-0002" not in found["blind"]
    application.close()
