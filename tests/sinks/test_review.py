"""Whatever happens to a real database, every alert is queued for review once; the engine never waits for it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pylfr.errors import AdjudicationError, SinkError
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.sinks import delivery
from pylfr.sinks.delivery import DeliverySink, start_delivery
from pylfr.sinks.pending import CursorInMemory, PendingInLog
from pylfr.sinks.record import AlertMessage
from pylfr.sinks.review import ReviewQueue, ReviewRules
from tests.governance.reviews import signed_log
from tests.postgres import Postgres
from tests.samples import sample_alert

PATIENCE_S = 30.0
RULES = ReviewRules(min_adjudicators=2, retention=timedelta(days=1), outcomes=timedelta(days=31))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(delivery, "_LONGEST_RETRY_S", 0.2)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as log:
        yield log


def review_sink(audit: AuditLog, records: Records, *, close_s: float = PATIENCE_S) -> DeliverySink:
    def again(entries: list[LogEntry]) -> list[AlertMessage]:
        return [AlertMessage.of_entry(entry, entry=None) for entry in entries]

    pending = PendingInLog(
        lambda after: audit.entries("alert", after=after),
        again,
        CursorInMemory(audit.head.sequence, frozenset(["ours"])),
        retention=None,
        clock=lambda: datetime.now(UTC),
    )
    queue = ReviewQueue(records, RULES, clock=lambda: datetime.now(UTC))
    return start_delivery(queue, pending, name="records", close_s=close_s, note=audit.note)


def alert(audit: AuditLog, sink: DeliverySink, number: int) -> None:
    sink.send(audit.record(replace(sample_alert(entry=f"Ada {number}", authorisation="ours"), id=f"id-{number}")))


def rows(records: Records) -> list[tuple[str, str | None]]:
    return sorted((row.id, row.entry) for row in records.stored().alerts)


def kinds(audit: AuditLog) -> list[str]:
    return [entry.kind for entry in audit.entries()]


def wait(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.01)


def test_a_real_postgresql_that_is_restarted_loses_no_alert_and_holds_up_none(audit: AuditLog) -> None:
    with Postgres() as server, closing(open_records(server.new_url())) as records:
        sink = review_sink(audit, records)
        alert(audit, sink, 1)
        wait(lambda: len(rows(records)) == 1, "the first alert to be queued")
        server.stop()
        began = time.monotonic()
        for number in (2, 3):
            alert(audit, sink, number)
        assert time.monotonic() - began < 5.0
        wait(lambda: "delivery-delayed" in kinds(audit), "the database to be missed")
        with pytest.raises(AdjudicationError, match="cannot be used"):
            records.stored()
        server.start()
        wait(lambda: "delivery-resumed" in kinds(audit), "the others to be queued")
        alert(audit, sink, 4)
        sink.close()
        assert rows(records) == [(f"id-{number}", f"Ada {number}") for number in range(1, 5)]


def test_a_real_postgresql_whose_table_is_locked_or_that_is_frozen_holds_up_no_engine(audit: AuditLog) -> None:
    with Postgres() as server, closing(open_records(server.new_url())) as records:
        sink = review_sink(audit, records)
        with records._engine.begin() as other:
            other.execute(sa.text("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE"))
            began = time.monotonic()
            alert(audit, sink, 1)
            assert time.monotonic() - began < 5.0
        wait(lambda: len(rows(records)) == 1, "the alert behind the lock")
        server.freeze()
        began = time.monotonic()
        alert(audit, sink, 2)
        assert time.monotonic() - began < 5.0
        server.thaw()
        sink.close()
        assert [each for each, _ in rows(records)] == ["id-1", "id-2"]


def test_a_sqlite_file_that_is_locked_or_full_is_tried_again_and_closing_says_what_waits(
    tmp_path: Path, audit: AuditLog
) -> None:
    path = tmp_path / "records.sqlite"
    with closing(open_records(f"sqlite:///{path}")) as records:
        on_connect(records, "PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            sink = review_sink(audit, records, close_s=0.5)
            alert(audit, sink, 1)
            wait(lambda: "delivery-delayed" in kinds(audit), "the lock to be met")
            with pytest.raises(
                SinkError, match=r"the records \(.*database is locked.*\): 1, they are in the audit log, and the next"
            ) as left:
                sink.close()
            assert left.value.undelivered == 1
        with closing(sqlite3.connect(path)) as other:
            (pages,) = other.execute("PRAGMA page_count").fetchone()
        on_connect(records, f"PRAGMA max_page_count = {pages}")
        full = replace(RULES.row_of(message(audit, 2), now=datetime.now(UTC)), camera="x" * 100_000)
        with pytest.raises(AdjudicationError, match="database or disk is full"):
            records.enter(full)
    with closing(open_records(f"sqlite:///{path}")) as records:
        assert records.enter(full)
        assert [each for each, _ in rows(records)] == ["id-2"]


def test_an_alert_whose_confirmation_was_lost_is_entered_once(tmp_path: Path, audit: AuditLog) -> None:
    """As after a kill between the database's commit and whatever came next."""
    with closing(open_records(f"sqlite:///{tmp_path / 'records.sqlite'}")) as records:
        row = RULES.row_of(message(audit, 1), now=datetime.now(UTC))
        assert records.enter(row)
        assert not records.enter(replace(row, entry=None))
        assert rows(records) == [("id-1", "Ada 1")]


def test_an_alert_that_is_entered_after_its_retention_names_nobody(audit: AuditLog) -> None:
    late = RULES.row_of(message(audit, 1), now=datetime.now(UTC) + timedelta(days=2))
    assert (late.id, late.entry) == ("id-1", None)


def message(audit: AuditLog, number: int) -> AlertMessage:
    return AlertMessage.of(
        audit.record(replace(sample_alert(entry=f"Ada {number}", authorisation="ours"), id=f"id-{number}"))
    )


def on_connect(records: Records, statement: str) -> None:
    sa.event.listen(records._engine, "connect", lambda connection, _: connection.execute(statement))
    records._engine.dispose()
