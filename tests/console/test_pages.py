"""The console over a real store: what pages show, who may see them, what a hostile name does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from seawall.app.application import Application
from seawall.bootstrap import bootstrap
from seawall.detection.folding import fold
from seawall.domain.alerts import Alert, Entity, EntityKind, EntityLink, Evidence, Incident
from seawall.domain.responses import Response, ResponseEvent, ResponseState
from seawall.domain.severity import Severity
from seawall.incidents.correlate import with_state
from seawall.server.app import create_app
from seawall.server.security import SESSION_COOKIE, SESSION_S, holds_session, new_session
from seawall.settings import Settings

from tests.support.asgi import Browser

T0 = datetime.now(UTC) - timedelta(hours=1)
HOSTILE = '<script>alert(1)</script>" onload="x'
ACTOR = Entity(EntityKind.SERVICE_ACCOUNT, "ci/deployer", "prod")
POD = Entity(EntityKind.POD, "shop/web-1", "prod")
SECRET = Entity(EntityKind.RESOURCE, HOSTILE, "prod")
ALERT = Alert(
    "alert-1", "AU-0301", "Secrets of all namespaces listed", f"listed {HOSTILE}", Severity.HIGH, ("T1552.007",), T0, T0,
    "audit", cluster="prod", actor=HOSTILE, source_ip="203.0.113.66", entities=(ACTOR, SECRET, POD), response="Rotate them.",
    evidence=(Evidence("audit", "event-1", T0, HOSTILE, raw={"requestURI": HOSTILE}),),
    context={"process": {"exe": "/bin/sh", "pid": 7, "args": [HOSTILE], "ancestors": [{"exe": "/sbin/init", "pid": 1}]}},
)  # fmt: skip
INCIDENT = Incident(
    "incident-1", f"Service account `deployer` listed {HOSTILE}", Severity.CRITICAL, T0, T0, ("alert-1",),
    clusters=("prod",), actors=(HOSTILE,), attack=("T1552.007",), entities=(ACTOR, SECRET),
    timeline=((T0, HOSTILE),), next_steps=("Rotate `them`.",), tactics=("credential-access",),
    links=(EntityLink(ACTOR, "read", SECRET),),
)  # fmt: skip
PAGES = ("/", "/incidents", "/incidents/incident-1", "/alerts", "/alerts/alert-1", "/images", "/posture", "/analytics",
         "/analytics/AU-0301", "/sources")  # fmt: skip


def client_of(folder: Path, **settings: object) -> Iterator[tuple[Browser, Application]]:
    chosen = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
    application = bootstrap(chosen)
    application.store.alerts.merge([ALERT], fold)
    application.store.incidents.save([INCIDENT], with_state)
    yield Browser(create_app(application, chosen)), application
    application.close()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Application]]:
    yield from client_of(tmp_path_factory.mktemp("console"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Application]]:
    yield from client_of(tmp_path_factory.mktemp("guarded"), api_token="a token nobody guesses")


@pytest.mark.parametrize("path", PAGES)
def test_pages_show_hostile_names_as_text(opened: tuple[Browser, Application], path: str) -> None:
    answer = opened[0].get(path)
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert '" onload="' not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_incident_says_everything_an_analyst_needs(opened: tuple[Browser, Application]) -> None:
    text = opened[0].get("/incidents/incident-1").text
    for part in (
        "<code>deployer</code>",
        "T1552.007 Container API",
        "Rotate <code>them</code>",
        "/alerts/alert-1",
        "<svg",
    ):
        assert part in text
    assert '<li class="reached">Credential access' in text


def test_an_incident_and_its_alert_show_what_can_be_done_and_what_was(opened: tuple[Browser, Application]) -> None:
    client, application = opened
    for subject in ("incident-1", "alert-1"):
        done = Response(f"response-{subject}", "isolate-pod", POD, subject, reason=HOSTILE, history=(ResponseEvent(ResponseState.STARTED, T0, "ana"),))  # fmt: skip
        application.store.responses.begin(done)
    for path in ("/incidents/incident-1", "/alerts/alert-1"):
        text = client.get(path).text
        assert "--action isolate-pod --pod shop/web-1" in text
        assert "response-alert-1" in text
        assert "<script" not in text
    said = client.get("/v1/incidents/incident-1").json()
    assert [offer["action"] for offer in said["offers"]] == ["isolate-pod", "quarantine-pod", "terminate-pod"]
    assert {item["id"] for item in said["responses"]} == {"response-alert-1", "response-incident-1"}
    assert len(client.get("/v1/responses").json()["responses"]) == 2


def test_an_alert_shows_its_process_tree_and_its_event(opened: tuple[Browser, Application]) -> None:
    text = opened[0].get("/alerts/alert-1").text
    assert text.index("/sbin/init") < text.index("/bin/sh")
    assert "requestURI" in text
    assert "/incidents/incident-1" in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param("", True, id="all"),
        pytest.param("severity=high&cluster=prod&analytic=au-0301", True, id="all filters"),
        pytest.param("severity=critical", False, id="more severe"),
        pytest.param("cluster=test", False, id="another cluster"),
    ],
)
def test_alerts_are_filtered(opened: tuple[Browser, Application], query: str, shown: bool) -> None:
    assert ("/alerts/alert-1" in opened[0].get(f"/alerts?{query}").text) is shown


def test_a_decision_is_kept_with_its_classification_and_owner(opened: tuple[Browser, Application]) -> None:
    client, application = opened
    form = {"status": "closed", "classification": "falsePositive", "owner": " ana "}
    answer = client.post("/incidents/incident-1/decision", data=form)
    assert answer.status_code == 303
    kept = application.store.incidents.get("incident-1")
    assert kept is not None
    assert (kept.status, kept.classification, kept.owner) == ("closed", "falsePositive", "ana")
    assert application.store.incidents.open_counts() == {}
    assert client.request("PATCH", "/v1/incidents/incident-1", json={"status": "new"}).json()["owner"] == "ana"
    assert application.store.incidents.open_counts() == {Severity.CRITICAL: 1}


def test_a_decision_on_a_page_is_published(tmp_path: Path) -> None:
    for client, application in client_of(tmp_path / "data", ocsf_file=tmp_path / "incidents.jsonl"):
        client.post("/incidents/incident-1/decision", data={"status": "closed", "classification": "truePositive"})
        application.incidents.publish()
    published = [json.loads(line) for line in (tmp_path / "incidents.jsonl").read_text().splitlines()]
    incident = [item for item in published if item["class_uid"] == 2005]
    assert [(item["status_id"], item["verdict_id"]) for item in incident] == [(5, 2)], "closed, true positive"


def test_a_form_of_another_site_decides_nothing(opened: tuple[Browser, Application]) -> None:
    answer = opened[0].post(
        "/incidents/incident-1/decision", data={"status": "closed"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/incidents/none", "/alerts/none", "/analytics/none", "/images/none"])
def test_what_is_not_there_is_not_found(opened: tuple[Browser, Application], path: str) -> None:
    assert opened[0].get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        pytest.param("/incidents/<b>", 404, "there is no incident &lt;b&gt;", id="no such incident"),
        pytest.param("/nowhere", 404, "There is no such page", id="no such page"),
        pytest.param("/alerts?severity=worst", 400, "query/severity", id="bad filter"),
        pytest.param("/vulnerabilities/CVE-2026-1", 500, "seawall db update", id="no advisory file yet"),
    ],
)
def test_a_browser_gets_its_errors_as_a_page(
    opened: tuple[Browser, Application], path: str, status: int, says: str
) -> None:
    answer = opened[0].get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert says in answer.text


def test_another_name_for_this_machine_is_refused(opened: tuple[Browser, Application]) -> None:
    assert opened[0].get("/", headers={"Host": "rebound.example"}).status_code == 401


class TestSigningIn:
    @pytest.mark.parametrize("path", ["/", "/incidents/incident-1"])
    def test_a_browser_is_sent_to_the_form_and_back(self, guarded: tuple[Browser, Application], path: str) -> None:
        client = guarded[0]
        answer = client.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        assert path in client.get(answer.headers["location"]).text
        signed = client.post("/login", data={"shown": "a token nobody guesses", "target": path})
        assert (signed.status_code, signed.headers["location"]) == (303, path)
        cookie = signed.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "nobody" not in cookie
        assert client.get(path).status_code == 200
        client.cookies.clear()

    def test_the_api_answers_401(self, guarded: tuple[Browser, Application]) -> None:
        assert guarded[0].get("/v1/images", headers={"Accept": "text/html"}).status_code == 401

    def test_a_wrong_token_stays_outside(self, guarded: tuple[Browser, Application]) -> None:
        answer = guarded[0].post("/login", data={"shown": "wrong"})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\nb"])
    def test_the_form_leads_nowhere_else(self, guarded: tuple[Browser, Application], target: str) -> None:
        answer = guarded[0].post("/login", data={"shown": "a token nobody guesses", "target": target})
        assert answer.headers["location"] == "/"
        guarded[0].cookies.clear()

    @pytest.mark.parametrize(
        ("cookie", "token", "later", "holds"),
        [
            pytest.param(new_session("t", 1000), "t", 0, True, id="fresh"),
            pytest.param(new_session("t", 1000), "t", SESSION_S, False, id="over"),
            pytest.param(new_session("t", 1000), "u", 0, False, id="the token was changed"),
            pytest.param("99999999999." + new_session("t", 1000).split(".")[1], "t", 0, False, id="prolonged"),
            pytest.param("", "t", 0, False, id="empty"),
            pytest.param("²." + "0" * 64, "t", 0, False, id="not a number"),
            pytest.param("9" * 5000 + ".x", "t", 0, False, id="huge"),
        ],
    )
    def test_a_session_holds_for_its_token_and_time(self, cookie: str, token: str, later: int, holds: bool) -> None:
        assert holds_session(cookie, token, 1000 + later) is holds

    def test_a_session_cookie_opens_the_api(self, guarded: tuple[Browser, Application]) -> None:
        client = guarded[0]
        client.cookies.set(SESSION_COOKIE, new_session("a token nobody guesses", time.time()))
        assert client.get("/v1/incidents").status_code == 200
        client.cookies.clear()


def test_what_is_open_is_shown_behind_any_number_of_closed_incidents(tmp_path: Path) -> None:
    for client, application in client_of(tmp_path):
        closed = [
            replace(INCIDENT, id=f"closed-{number}", last_seen=T0 + timedelta(minutes=1), status="closed")
            for number in range(60)
        ]
        application.store.incidents.save(closed, with_state)
        assert "/incidents/incident-1" in client.get("/").text


def test_a_gauge_goes_down_again(tmp_path: Path) -> None:
    for client, application in client_of(tmp_path / "data", ocsf_file=tmp_path / "incidents.jsonl"):
        application.incidents.decide("incident-1", status="active")
        assert 'seawall_outbox_pending{destination="ocsf_file"} 2.0' in client.get("/metrics").text
        application.incidents.publish()
        assert 'seawall_outbox_pending{destination="ocsf_file"} 0.0' in client.get("/metrics").text
