"""What pages read many times a second says what the whole comparison says, and never a moment between two writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.followed import FollowedReview
from pylfr.governance.adjudication.review import Review
from pylfr.governance.audit.audit import AuditLog
from tests.governance.reviews import TWO_PEOPLE, deploy, enter, queue, signed_log
from tests.samples import sample_alert


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    with closing(signed_log(tmp_path, clock=clock)) as log:
        yield log


@pytest.fixture
def records(tmp_path: Path, audit: AuditLog, clock: Clock) -> Iterator[Records]:
    with closing(open_records(f"sqlite:///{tmp_path / 'records.sqlite'}", clock=clock)) as opened:
        deploy(opened, audit)
        yield opened


def test_each_new_entry_is_taken_in_and_all_of_it_is_what_a_whole_reading_says(
    records: Records, audit: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed, review = FollowedReview(records, audit), Review(records, audit)
    followed.read()
    monkeypatch.setattr(followed, "_read_all", lambda: pytest.fail("the whole log was read again"))
    for number in range(3):
        queue(records, audit, id_=f"a{number}")
        assert followed.read().alerts == {row.id: row for row in review.read().alerts}
    review.adjudicate("a1", by="Ann", verdict="same person")
    review.adjudicate("a1", by="Bob", verdict="same person")
    assert followed.read().alerts["a1"].case.state == "confirmed"
    assert followed.read().alerts == {row.id: row for row in review.read().alerts}
    assert followed.read().sequence == audit.head.sequence


def test_an_alert_that_is_logged_and_not_yet_queued_is_not_there_yet(records: Records, audit: AuditLog) -> None:
    followed = FollowedReview(records, audit)
    queue(records, audit, id_="a0")
    recorded = audit.record(replace(sample_alert(entry="Ada", authorisation=TWO_PEOPLE.reference), id="a1"))
    queue(records, audit, id_="a2")
    for _ in range(2):  # as a whole, and from there on
        now = followed.read()
        assert list(now.alerts) == ["a0", "a2"]
        assert now.differences == ()
        # Whoever follows waits for it: no event is skipped.
        assert now.sequence == recorded.sequence - 1
    enter(records, recorded)
    assert set(followed.read().alerts) == {"a0", "a1", "a2"}
    assert followed.read().sequence == audit.head.sequence


def test_an_alert_that_is_never_queued_is_shown_as_such(records: Records, audit: AuditLog, clock: Clock) -> None:
    followed = FollowedReview(records, audit)
    audit.record(replace(sample_alert(entry="Ada", authorisation=TWO_PEOPLE.reference), id="a1"))
    assert not followed.read().alerts
    clock.now += timedelta(seconds=3)
    (row,) = followed.read().alerts.values()
    assert "its run broke off before it was" in str(row.differences[0])
    assert followed.read().differences == row.differences


def test_what_somebody_edits_in_the_records_is_found_without_a_new_entry(
    records: Records, audit: AuditLog, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylfr.governance.adjudication.followed._COMPARED_EVERY_S", 0.0)
    monkeypatch.setattr("pylfr.governance.adjudication.followed._SHARE", float("inf"))
    followed = FollowedReview(records, audit)
    queue(records, audit)
    assert followed.read().differences == ()
    clock.now += timedelta(seconds=3)
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute("update alerts set camera = 'south'")
    assert "camera is 'south'" in str(followed.read().differences[0])
