"""The same behaviour on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from seawall.adapters.sql import schema
from seawall.adapters.sql.database import Database
from seawall.adapters.sql.migrate import FOLDER, migrate, newest_revision
from seawall.adapters.sql.store import SqlStore
from seawall.detection.folding import fold
from seawall.domain.alerts import Alert, Entity, EntityKind, Evidence, Incident
from seawall.domain.errors import ConfigError
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.packages import Distro, Gap, Package
from seawall.domain.posture import Assessment, ObjectRef, Status, TrendPoint
from seawall.domain.severity import Severity
from seawall.incidents.correlate import with_state
from seawall.incidents.joining import entities_of
from seawall.ports.store import AttestationRecord, PoisonRecord, ScanState

T0 = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64


def finding(identifier: str = "CVE-2026-0001", severity: Severity = Severity.HIGH, **more: object) -> Finding:
    return replace(Finding(identifier, "pkg:deb/debian/zlib1g@1.2.13", "zlib1g", "1.2.13", severity), **more)


def report(*findings: Finding, at: datetime = T0) -> ImageReport:
    packages = (
        Package(
            "pkg:deb/debian/zlib1g@1.2.13", "zlib1g", "1.2.13", ecosystem="Debian:12", files=("usr/lib/libz.so.1",)
        ),
    )
    gaps = (Gap("layer", "truncated"),)
    return ImageReport(
        DIGEST, "shop/api:1", "linux/amd64", Distro("debian", "12"), packages, findings, gaps, at, "db-1"
    )


def event(identifier: str, at: datetime = T0) -> Evidence:
    return Evidence("audit", identifier, at, "exec")


def alert(*events: Evidence, identifier: str = "alert-1") -> Alert:
    times = [item.ts for item in events if item.ts]
    return Alert(
        identifier, "AU-0001", "Exec", "alice ran sh", Severity.MEDIUM, ("T1609",), min(times), max(times), "audit",
        count=len(events), cluster="prod", evidence=events, entities=(Entity(EntityKind.USER, "alice", "prod"),),
    )  # fmt: skip


def test_migrations_give_the_tables_of_the_schema(store: SqlStore) -> None:
    with store.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        known = set(schema.metadata.tables)
        differences = [item for item in compare_metadata(context, schema.metadata) if _table(item) in known]
    assert differences == []


def _table(difference: object) -> str:
    entry = difference[0] if isinstance(difference, list) else difference
    for part in entry[1:]:
        name = part if isinstance(part, str) else getattr(getattr(part, "table", part), "name", None)
        if name:
            return str(name)
    return ""


def test_opening_again_changes_nothing(store: SqlStore) -> None:
    migrate(store.database)
    assert store.images.summaries() == []


def test_the_files_say_which_revision_is_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_revision()


def test_a_store_that_is_up_to_date_opens_without_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from seawall.adapters.sql.store import SqlStore;"
        f"SqlStore('sqlite:///{tmp_path}/s.sqlite').close(); print('alembic' in sys.modules)"
    )
    loaded = [subprocess.check_output([sys.executable, "-c", code], text=True).strip() for _ in range(2)]
    assert loaded == ["True", "False"]


def test_a_store_of_a_newer_version_is_refused(store: SqlStore) -> None:
    with store.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999"):
        migrate(store.database)


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url"])
def test_unsupported_databases_are_config_errors(url: str) -> None:
    with pytest.raises(ConfigError):
        Database(url)


class TestImages:
    def test_a_report_comes_back_as_it_was(self, store: SqlStore) -> None:
        saved = report(finding(), finding("CVE-2026-0002", Severity.LOW, epss=0.5, aliases=("GHSA-1",)))
        assert store.images.save(saved)
        assert store.images.report(DIGEST) == saved

    def test_the_same_report_again_changes_nothing(self, store: SqlStore) -> None:
        store.images.save(report(finding()))
        assert not store.images.save(report(finding(), at=T0 + timedelta(hours=1)))

    def test_a_rescan_replaces_findings(self, store: SqlStore) -> None:
        store.images.save(report(finding()))
        assert store.images.save(report(finding("CVE-2026-0003")))
        stored = store.images.report(DIGEST)
        assert stored is not None
        assert [item.id for item in stored.findings] == ["CVE-2026-0003"]

    def test_summaries_count_open_findings(self, store: SqlStore) -> None:
        store.images.save(report(finding(), finding("CVE-2026-0002", status="suppressed")))
        (summary,) = store.images.summaries()
        assert (summary.findings, summary.packages, summary.gaps, summary.distro) == ({"high": 1}, 1, 1, "debian 12")

    def test_a_late_repeat_of_a_push_does_not_queue_a_finished_scan(self, store: SqlStore) -> None:
        for state in ("queued", "running", "done", "queued"):
            store.images.set_state(ScanState(DIGEST, "r/shop", state, updated_at=T0))
        assert store.images.state(DIGEST) == ScanState(DIGEST, "r/shop", "done", updated_at=T0)

    def test_a_worker_that_will_try_again_says_why(self, store: SqlStore) -> None:
        store.images.set_state(ScanState(DIGEST, "r/shop", "running", updated_at=T0))
        store.images.set_state(ScanState(DIGEST, "r/shop", "queued", "the registry is down", updated_at=T0))
        state = store.images.state(DIGEST)
        assert state is not None
        assert (state.state, state.reason) == ("queued", "the registry is down")

    def test_old_scans_under_way_are_found_behind_any_number_of_finished_ones(self, store: SqlStore) -> None:
        store.images.set_state(ScanState("lost", "r/lost", "running", updated_at=T0))
        store.images.set_state(ScanState("new", "r/new", "running", updated_at=T0 + timedelta(hours=2)))
        for number in range(5):
            at = T0 + timedelta(minutes=number)
            store.images.set_state(ScanState(f"done-{number}", "r/shop", "done", updated_at=at))
        found = store.images.states(limit=2, states=("queued", "running"), before=T0 + timedelta(hours=1))
        assert [state.digest for state in found] == ["lost"]

    def test_a_failed_scan_can_be_queued_again(self, store: SqlStore) -> None:
        for state in ("failed", "queued"):
            store.images.set_state(ScanState(DIGEST, "r/shop", state, updated_at=T0))
        state = store.images.state(DIGEST)
        assert state is not None
        assert state.state == "queued"

    def test_attestations_are_replaced(self, store: SqlStore) -> None:
        first = AttestationRecord(DIGEST, "r/shop", "sha256:aa", "key", T0, T0 + timedelta(days=1))
        store.images.save_attestation(first)
        store.images.save_attestation(replace(first, referrer="sha256:bb"))
        assert store.images.attestation(DIGEST) == replace(first, referrer="sha256:bb")


class TestAlerts:
    def test_an_event_counts_once(self, store: SqlStore) -> None:
        assert store.alerts.merge([alert(event("e1"), event("e2"))], fold)[0].count == 2
        assert store.alerts.merge([alert(event("e1"), event("e2"))], fold) == []
        (changed,) = store.alerts.merge([alert(event("e2"), event("e3", T0 + timedelta(minutes=5)))], fold)
        assert (changed.count, changed.last_seen) == (3, T0 + timedelta(minutes=5))
        assert store.alerts.get(["alert-1"]) == [changed]

    def test_parallel_writers_lose_nothing(self, store: SqlStore) -> None:
        def write(start: int) -> None:
            for number in range(start, start + 5):
                store.alerts.merge([alert(event(f"e{number:03}"))], fold)

        store.alerts.merge([alert(event("first"))], fold)
        writers = [threading.Thread(target=write, args=(start,)) for start in (0, 5, 10)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert store.alerts.get(["alert-1"])[0].count == 16

    def test_windows_and_filters(self, store: SqlStore) -> None:
        store.alerts.merge([alert(event("e1")), alert(event("e9", T0 + timedelta(days=1)), identifier="alert-2")], fold)
        ids = [item.id for item in store.alerts.between(T0 - timedelta(hours=1), T0 + timedelta(hours=1))]
        assert ids == ["alert-1"]
        assert [item.id for item in store.alerts.newest()] == ["alert-2", "alert-1"]
        assert store.alerts.newest(severity=Severity.HIGH) == []
        assert store.alerts.newest(cluster="other") == []

    def test_alerts_are_counted_by_utc_day_and_severity(self, store: SqlStore) -> None:
        late = T0.replace(hour=23, minute=59)
        first = alert(event("a"), identifier="alert-a")
        store.alerts.merge(
            [
                first,
                alert(event("b", late), identifier="alert-b"),
                replace(alert(event("c", late), identifier="alert-c"), severity=Severity.HIGH),
                alert(event("d", late + timedelta(minutes=2)), identifier="alert-d"),
                alert(event("e", T0 - timedelta(days=3)), identifier="alert-e"),
            ],
            fold,
        )
        assert store.alerts.per_day(T0 - timedelta(days=1)) == [
            (T0.date(), Severity.MEDIUM, 2),
            (T0.date(), Severity.HIGH, 1),
            (T0.date() + timedelta(days=1), Severity.MEDIUM, 1),
        ]

    def test_alerts_by_what_they_touch(self, store: SqlStore) -> None:
        store.alerts.merge([alert(event("e1"))], fold)
        alice, hour = Entity(EntityKind.USER, "alice", "prod"), timedelta(hours=1)
        (actor,) = [item for item in entities_of(alert(event("e1"))) if item.id == "alice"]
        assert [item.id for item in store.alerts.touching(actor, T0 - hour, T0 + hour, 10)] == ["alert-1"]
        assert store.alerts.touching(actor, T0 + hour, T0 + 2 * hour, 10) == []
        assert store.alerts.touching(replace(alice, id="bob"), T0 - hour, T0 + hour, 10) == []

    def test_nul_characters_do_not_break_the_store(self, store: SqlStore) -> None:
        named = Entity(EntityKind.USER, "al\x00ice", "prod")
        hostile = replace(alert(event("e1")), message="a\x00b", cluster="pr\x00od", entities=(named,))
        store.alerts.merge([hostile], fold)
        assert store.alerts.get(["alert-1"])[0].message == "a\ufffdb"

    @pytest.mark.parametrize("text", [r"printf \u0000", r"\\u0000", "\\\0", "\0\0"])
    def test_what_looks_like_nul_is_kept_as_text(self, store: SqlStore, text: str) -> None:
        store.alerts.merge([replace(alert(event("e1")), message=text)], fold)
        assert store.alerts.get(["alert-1"])[0].message == text.replace("\0", "\ufffd")

    def test_two_writers_of_a_new_alert_lose_nothing(self, store: SqlStore) -> None:
        together = threading.Barrier(4)

        def write(number: int) -> None:
            together.wait()
            store.alerts.merge([alert(event(f"e{number}"))], fold)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert store.alerts.get(["alert-1"])[0].count == 4


class TestIncidents:
    incident = Incident("incident-1", "Exec", Severity.HIGH, T0, T0, ("alert-1",), timeline=((T0, "exec"),))

    def test_each_state_change_has_a_number(self, store: SqlStore) -> None:
        assert [item.seq for item in store.incidents.save([self.incident], with_state)] == [1]
        assert store.incidents.save([self.incident], with_state) == []
        grown = replace(self.incident, alert_ids=("alert-1", "alert-2"))
        assert [item.seq for item in store.incidents.save([grown], with_state)] == [2]

    def test_an_analysts_status_stays(self, store: SqlStore) -> None:
        store.incidents.save([self.incident], with_state)
        closed = store.incidents.decide("incident-1", status="closed")
        assert closed is not None
        assert closed.seq == 2
        store.incidents.save([replace(self.incident, severity=Severity.CRITICAL)], with_state)
        stored = store.incidents.get("incident-1")
        assert stored is not None
        assert (stored.status, stored.severity, stored.seq) == ("closed", Severity.CRITICAL, 3)

    def test_open_incidents_are_counted_by_severity(self, store: SqlStore) -> None:
        store.incidents.save(
            [
                self.incident,
                replace(self.incident, id="incident-2", severity=Severity.LOW),
                replace(self.incident, id="incident-3", severity=Severity.LOW, status="closed"),
                replace(self.incident, id="incident-4", severity=Severity.LOW, merged_into="incident-1"),
            ],
            with_state,
        )
        assert store.incidents.open_counts() == {self.incident.severity: 1, Severity.LOW: 1}

    def test_incidents_by_the_alerts_they_hold(self, store: SqlStore) -> None:
        store.incidents.save([self.incident], with_state)
        assert [item.id for item in store.incidents.holding(["alert-1", "alert-7"])] == ["incident-1"]
        assert store.incidents.holding(["alert-7"]) == []

    def test_merged_incidents_are_not_listed(self, store: SqlStore) -> None:
        store.incidents.save(
            [self.incident, replace(self.incident, id="incident-2", merged_into="incident-1")], with_state
        )
        assert [item.id for item in store.incidents.newest()] == ["incident-1"]


class TestAssessments:
    def row(self, name: str, status: Status = Status.FAIL) -> Assessment:
        return Assessment(
            f"as-{name}", "WL-001", status, Severity.CRITICAL, ObjectRef("Pod", name, "shop"), actual=True
        )

    def test_only_changes_are_counted(self, store: SqlStore) -> None:
        assert store.assessments.replace("prod", [self.row("a"), self.row("b")], T0) == 2
        assert store.assessments.replace("prod", [self.row("a"), self.row("b")], T0 + timedelta(hours=1)) == 0
        assert store.assessments.replace("prod", [self.row("a", Status.PASS)], T0) == 2
        assert store.assessments.counts() == {"pass": 1}

    def test_scopes_are_apart(self, store: SqlStore) -> None:
        store.assessments.replace("prod", [self.row("a")], T0)
        store.assessments.replace("test", [], T0)
        assert [item.object.name for item in store.assessments.find(status=Status.FAIL)] == ["a"]
        assert store.assessments.find(scope="test") == []


def test_poison_is_kept_once(store: SqlStore) -> None:
    record = PoisonRecord("p1", "audit", "not JSON", b"\x00\xff{", T0)
    store.poison.add(record)
    store.poison.add(record)
    assert store.poison.newest() == [record]


def test_old_poison_is_forgotten(store: SqlStore) -> None:
    for number, at in enumerate((T0, T0 + timedelta(days=1))):
        store.poison.add(PoisonRecord(f"p-{number}", "test", "why", b"raw", at))
    assert store.poison.forget(T0 + timedelta(hours=1)) == 1
    assert [record.id for record in store.poison.newest()] == ["p-1"]


def test_scores_over_time_are_kept_and_thinned(store: SqlStore) -> None:
    for hour in range(0, 24 * 20, 6):
        at = T0 + timedelta(hours=hour)
        store.assessments.note_trend(
            [TrendPoint("prod", "", at, hour, 1000, {"high": 1}, 2), TrendPoint("prod", "blue", at, 1, 2)]
        )
    points = store.assessments.trend(scope="prod", team="")
    assert points[-1] == TrendPoint("prod", "", T0 + timedelta(hours=24 * 20 - 6), 474, 1000, {"high": 1}, 2)
    days = [point.assessed_at.date() for point in points]
    assert len(set(days[:6])) == 6, "of days long ago one remains"
    assert 56 < len(points) < 80
    assert store.assessments.trend(team="blue")[0].score == 0.5
    assert store.assessments.trend(scope="test") == []
    store.assessments.note_trend([replace(points[-1], passed=500)])
    assert store.assessments.trend(scope="prod", team="")[-1].passed == 500


def test_results_of_one_object_are_replaced_alone(store: SqlStore) -> None:
    a, b = ObjectRef("Pod", "a", "n"), ObjectRef("Pod", "b", "n")
    before = [
        Assessment(f"{ref.name}{number}", f"WL-00{number}", Status.FAIL, Severity.HIGH, ref)
        for ref in (a, b)
        for number in (1, 2)
    ]
    store.assessments.replace("prod", before, T0)
    passed = replace(before[0], status=Status.PASS)
    assert store.assessments.replace_object("prod", a, [passed, before[2]], T0) == 2
    assert [item.id for item in store.assessments.find(ref=a)] == ["a1"]
    assert len(store.assessments.find(ref=b)) == 2
    assert store.assessments.replace_object("prod", a, [], T0) == 1
    assert store.assessments.find(ref=a) == []
