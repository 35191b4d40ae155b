"""Scans, reports and attestations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from seawall.adapters.sql.database import Database
from seawall.adapters.sql.documents import from_document, insert_for, to_document
from seawall.adapters.sql.schema import attestation, finding, image, scan_state
from seawall.domain.findings import Finding, ImageReport
from seawall.domain.severity import Severity
from seawall.ports.store import AttestationRecord, ImageSummary, ScanState

_CHUNK = 400
"""Values in one statement: below the limits of both databases."""


class SqlImages:
    """Fulfils `ports.store.ImageStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._insert = insert_for(database.engine.dialect.name)

    def set_state(self, state: ScanState) -> None:
        """See the port."""
        values = {
            "digest": state.digest,
            "reference": state.reference,
            "state": state.state,
            "reason": state.reason,
            "updated_at": state.updated_at or datetime.now(UTC),
        }
        statement = self._insert(scan_state).values(values)
        update = {name: value for name, value in values.items() if name != "digest"}
        from_a_door = state.state == "queued" and not state.reason
        late_repeat = scan_state.c.state.in_(("running", "done", "skipped")) if from_a_door else sa.false()
        with self._db.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["digest"], set_=update, where=~late_repeat)
            )

    def state(self, digest: str) -> ScanState | None:
        """See the port."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(scan_state).where(scan_state.c.digest == digest)).first()
        return ScanState(**row._mapping) if row else None

    def states(
        self, limit: int = 100, *, states: Sequence[str] = (), before: datetime | None = None
    ) -> list[ScanState]:
        """See the port."""
        query = sa.select(scan_state).order_by(scan_state.c.updated_at.desc(), scan_state.c.digest).limit(limit)
        if states:
            query = query.where(scan_state.c.state.in_(states))
        if before is not None:
            query = query.where(scan_state.c.updated_at < before)
        with self._db.read() as connection:
            return [ScanState(**row._mapping) for row in connection.execute(query)]

    def save(self, report: ImageReport) -> bool:
        """See the port."""
        document = to_document(report)
        del document["findings"], document["scanned_at"]
        open_findings = [item for item in report.findings if item.status == "open"]
        row = {
            "digest": report.digest,
            "name": report.name,
            "platform": report.platform,
            "distro": " ".join(part for part in (report.distro.id, report.distro.version) if part),
            "scanned_at": report.scanned_at,
            "database": report.database,
            "packages": len(report.packages),
            "gaps": len(report.gaps),
            "worst": int(max((item.severity for item in open_findings), default=Severity.UNKNOWN)),
            "document": document,
            "index_digest": report.index_digest,
        }
        findings = {(item.id, item.purl, item.path): _finding_row(report.digest, item) for item in report.findings}
        with self._db.write() as connection:
            stored = connection.execute(sa.select(image.c.document).where(image.c.digest == report.digest)).scalar()
            before = {
                (item.id, item.purl, item.path): item.document
                for item in connection.execute(
                    sa.select(finding.c.id, finding.c.purl, finding.c.path, finding.c.document).where(
                        finding.c.digest == report.digest
                    )
                )
            }
            statement = self._insert(image).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=row))
            after = {key: value["document"] for key, value in findings.items()}
            if after != before:
                connection.execute(finding.delete().where(finding.c.digest == report.digest))
                if findings:
                    connection.execute(finding.insert(), list(findings.values()))
        return bool(stored != document or after != before)

    def report(self, digest: str) -> ImageReport | None:
        """See the port."""
        with self._db.read() as connection:
            row = connection.execute(
                sa.select(image.c.document, image.c.scanned_at).where(image.c.digest == digest)
            ).first()
            if row is None:
                return None
            query = sa.select(finding.c.document).where(finding.c.digest == digest)
            findings = [from_document(item, Finding) for item in connection.scalars(query)]
        findings.sort(key=lambda item: (-item.priority, -item.severity, item.id, item.purl, item.path))
        document = row.document | {"findings": (), "scanned_at": row.scanned_at}
        return from_document(document | {"findings": [to_document(item) for item in findings]}, ImageReport)

    def names(self, digests: Sequence[str]) -> dict[str, str]:
        """See the port."""
        with self._db.read() as connection:
            query = sa.select(image.c.digest, image.c.name).where(image.c.digest.in_(digests))
            return {row.digest: row.name for row in connection.execute(query)}

    def platforms(self, index_digests: Sequence[str]) -> dict[str, list[str]]:
        """See the port."""
        found: dict[str, list[str]] = {}
        with self._db.read() as connection:
            for start in range(0, len(index_digests), _CHUNK):
                chunk = [digest for digest in index_digests[start : start + _CHUNK] if digest]
                query = sa.select(image.c.index_digest, image.c.digest).where(image.c.index_digest.in_(chunk))
                for row in connection.execute(query.order_by(image.c.digest)):
                    found.setdefault(row.index_digest, []).append(row.digest)
        return found

    def summaries(self, limit: int = 100, offset: int = 0) -> list[ImageSummary]:
        """See the port."""
        columns = (
            image.c.digest,
            image.c.name,
            image.c.platform,
            image.c.distro,
            image.c.scanned_at,
            image.c.packages,
            image.c.gaps,
        )
        query = (
            sa.select(*columns)
            .order_by(image.c.worst.desc(), image.c.scanned_at.desc(), image.c.digest)
            .limit(limit)
            .offset(offset)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).all()
            counted = sa.select(finding.c.digest, finding.c.severity, sa.func.count()).where(
                finding.c.digest.in_([row.digest for row in rows]), finding.c.status == "open"
            )
            counts: dict[str, Counter[str]] = {}
            for digest, severity, count in connection.execute(counted.group_by(finding.c.digest, finding.c.severity)):
                counts.setdefault(digest, Counter())[Severity(severity).label] = count
        return [ImageSummary(**row._mapping, findings=dict(counts.get(row.digest, {}))) for row in rows]

    def save_attestation(self, record: AttestationRecord) -> None:
        """See the port."""
        values = {name: getattr(record, name) for name in AttestationRecord.__slots__}
        with self._db.write() as connection:
            statement = self._insert(attestation).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=values))

    def attestation(self, digest: str) -> AttestationRecord | None:
        """See the port."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(attestation).where(attestation.c.digest == digest)).first()
        return AttestationRecord(**row._mapping) if row else None


def _finding_row(digest: str, item: Finding) -> dict[str, object]:
    return {
        "digest": digest,
        "id": item.id,
        "purl": item.purl,
        "path": item.path,
        "package": item.package,
        "installed_version": item.installed_version,
        "fixed_version": item.fixed_version,
        "severity": int(item.severity),
        "status": item.status,
        "document": to_document(item),
    }
