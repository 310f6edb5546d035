"""What a destination has not confirmed: bounded in memory, and otherwise nowhere but in the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.errors import SinkError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.sinks import pending
from pylfr.sinks.pending import CursorInMemory, PendingInLog, PendingInMemory, open_cursor
from pylfr.sinks.record import AlertMessage
from tests.governance.reviews import signed_log
from tests.samples import sample_alert

HOUR = timedelta(hours=1)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path)) as log:
        yield log


def record(audit: AuditLog, number: int, *, authorisation: str = "ours") -> AlertMessage:
    alert = replace(sample_alert(entry=f"Ada {number}", authorisation=authorisation), id=f"id-{number}")
    return AlertMessage.of(audit.record(alert))


def again(entries: list[LogEntry]) -> list[AlertMessage]:
    return [AlertMessage.of_entry(entry, entry="found again") for entry in entries]


def in_log(
    audit: AuditLog, *, after: int = 0, retention: timedelta | None = None, now: datetime | None = None
) -> PendingInLog:
    return PendingInLog(
        lambda sequence: audit.entries("alert", after=sequence),
        again,
        CursorInMemory(after, frozenset(["ours"])),
        retention=retention,
        clock=lambda: now or datetime.now(UTC),
    )


def taken(waiting: PendingInLog) -> list[AlertMessage]:
    messages = []
    while (message := waiting.first()) is not None:
        messages.append(message)
        waiting.done(message)
    return messages


def test_an_alert_is_the_same_again_from_its_entry_but_for_the_name_and_the_picture(audit: AuditLog) -> None:
    given = record(audit, 1)
    [entry] = audit.entries("alert")
    made = AlertMessage.of_entry(entry, entry=given.entry)
    assert abs(made.score - given.score) < 1e-6
    # The log has milliseconds.
    at = given.recorded_at.replace(microsecond=given.recorded_at.microsecond // 1000 * 1000)
    assert made == replace(given, score=made.score, recorded_at=at)


def test_what_was_recorded_before_and_what_comes_now_is_given_once_in_order(audit: AuditLog) -> None:
    record(audit, 1)
    record(audit, 2, authorisation="somebody else's, in the same log")
    waiting = in_log(audit)
    waiting.put(record(audit, 3))
    assert waiting.count() == 2
    assert [each.id for each in taken(waiting)] == ["id-1", "id-3"]
    waiting.put(record(audit, 4))
    assert [(each.id, each.entry) for each in taken(waiting)] == [("id-4", "Ada 4")]
    assert waiting.count() == 0


def test_what_does_not_fit_into_memory_is_read_from_the_log(audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MOST_BYTES", 2100)
    monkeypatch.setattr(pending, "_PAGE", 2)
    waiting = in_log(audit)
    assert waiting.first() is None
    for number in range(1, 8):
        waiting.put(record(audit, number))
    assert waiting.count() == 7
    assert [each.id for each in taken(waiting)] == [f"id-{number}" for number in range(1, 8)]
    waiting.put(record(audit, 8))
    assert [each.entry for each in taken(waiting)] == ["Ada 8"]


def test_what_is_older_than_its_retention_is_given_up_and_counted(audit: AuditLog) -> None:
    record(audit, 1)
    waiting = in_log(audit, retention=HOUR, now=datetime.now(UTC) + 2 * HOUR)
    assert waiting.first() is None
    assert (waiting.take_expired(), waiting.take_expired()) == (1, 0)


def test_memory_is_bounded_where_there_is_no_log() -> None:
    queue = PendingInMemory(capacity=1)
    message = AlertMessage.of_entry(_entry(), entry="Ada")
    queue.put(message)
    with pytest.raises(SinkError, match="1 alerts are already queued"):
        queue.put(message)
    first = queue.first()
    assert first is message
    queue.done(first)
    assert (queue.first(), queue.count()) == (None, 0)


def test_a_cursor_begins_at_the_head_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    cursor = open_cursor(path, authorisation="first", head=7)
    assert (cursor.sequence, cursor.covers("first"), cursor.covers("second")) == (7, True, False)
    cursor.move(9)
    assert path.stat().st_mode & 0o777 == 0o600
    later = open_cursor(path, authorisation="second", head=20)
    assert (later.sequence, later.covers("first"), later.covers("second")) == (9, True, True)
    assert open_cursor(path, authorisation="second", head=3).sequence == 3


@pytest.mark.parametrize("content", [b"", b"[]", b'{"sequence":-1,"authorisations":[]}', b'{"sequence":1}', b"\xff"])
def test_a_cursor_that_is_damaged_sends_again_and_loses_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(content)
    assert open_cursor(path, authorisation="ours", head=7).sequence == 0


def test_a_cursor_that_cannot_be_written_is_said_at_start_and_later_costs_nothing_but_a_repetition(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        open_cursor(tmp_path / "no folder" / "cursor", authorisation="ours", head=0)
    folder = tmp_path / "folder"
    folder.mkdir()
    cursor = open_cursor(folder / "cursor", authorisation="ours", head=0)
    (folder / "cursor").unlink()
    folder.rmdir()
    cursor.move(1)
    cursor.move(2)
    assert cursor.sequence == 2
    assert caplog.text.count("is sent again after a restart") == 1


def _entry() -> LogEntry:
    return LogEntry(
        sequence=1,
        at=datetime.now(UTC),
        kind="alert",
        details={
            "alert": "a1",
            "authorisation": "ours",
            "camera": "north",
            "captured_at": "2026-01-11T12:00:00.000Z",
            "track": 7,
            "score": 0.6,
            "threshold": 0.5,
            "model": "ab",
            "watchlist_revision": 1,
        },
        previous="",
    )
