"""What pages read many times a second says what the whole comparison says, and never a moment between two writes."""

from __future__ import annotations

import gc
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
from tests.governance.reviews import ONE_PERSON, TWO_PEOPLE, deploy, enter, queue, signed_log
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
    monkeypatch.setattr(followed, "_begin", lambda _: pytest.fail("the whole log was read again"))
    for number in range(3):
        queue(records, audit, id_=f"a{number}")
        assert followed.find() == list(review.read().alerts)
    review.adjudicate("a1", by="Ann", verdict="same person")
    review.adjudicate("a1", by="Bob", verdict="same person")
    assert followed.rows(["a1", "nobody's"])["a1"].case.state == "confirmed"
    assert followed.find() == list(review.read().alerts)
    assert followed.count() == 3
    assert followed.read().sequence == audit.head.sequence


def test_alerts_are_found_by_state_camera_and_time_a_page_at_a_time(records: Records, audit: AuditLog) -> None:
    followed, review = FollowedReview(records, audit), Review(records, audit)
    for number in range(5):
        queue(records, audit, id_=f"a{number}")
    review.adjudicate("a2", by="Ann", verdict="same person")
    first = followed.find(limit=2)
    assert [row.id for row in first] == ["a0", "a1"]
    place = (first[-1].captured_at, first[-1].id)
    assert [row.id for row in followed.find(after=place, limit=2)] == ["a2", "a3"]
    assert [row.id for row in followed.find(states=["open"], after=place)] == ["a3", "a4"]
    assert [row.id for row in followed.find(states=["partly adjudicated"])] == ["a2"]
    assert followed.find(camera="nowhere") == []
    assert followed.find(since=place[0] + timedelta(days=1)) == []


def test_of_many_alerts_no_rows_are_held(records: Records, audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylfr.governance.adjudication.followed._MOST_ROWS", 3)
    # What tests before this one still hold, in the trace of an error for instance, is not meant.
    earlier = held("AlertRow", "LoggedAlert")
    followed = FollowedReview(records, audit)
    for number in range(5):
        queue(records, audit, id_=f"a{number}")
    assert len(followed.find()) == 5
    assert len(held("AlertRow")) - sum(type(each).__name__ == "AlertRow" for each in earlier) == 3
    monkeypatch.setattr("pylfr.governance.adjudication.followed._ROW_LIVES_S", 0.0)
    # Whether or not some were just compared.
    monkeypatch.setattr(followed, "_due_s", 0.0)
    followed.read()
    assert len(held("AlertRow", "LoggedAlert")) == len(earlier)


def held(*names: str) -> list[object]:
    """All living objects of the classes with these names."""
    gc.collect()
    return [each for each in gc.get_objects() if type(each).__name__ in names]


def test_a_deployment_that_begins_while_pages_follow_has_its_own_rules(records: Records, audit: AuditLog) -> None:
    followed = FollowedReview(records, audit)
    queue(records, audit, id_="a0")
    assert [row.case.min_adjudicators for row in followed.find()] == [2]
    deploy(records, audit, ONE_PERSON)
    queue(records, audit, id_="a1", terms=ONE_PERSON)
    assert [row.case.min_adjudicators for row in followed.find()] == [2, 1]
    assert followed.read().differences == ()


def test_an_alert_that_is_logged_and_not_yet_queued_is_not_there_yet(records: Records, audit: AuditLog) -> None:
    followed = FollowedReview(records, audit)
    queue(records, audit, id_="a0")
    recorded = audit.record(replace(sample_alert(entry="Ada", authorisation=TWO_PEOPLE.reference), id="a1"))
    queue(records, audit, id_="a2")
    for _ in range(2):  # as a whole, and from there on
        now = followed.read()
        assert [row.id for row in followed.find()] == ["a0", "a2"]
        assert now.differences == ()
        # Whoever follows waits for it: no event is skipped.
        assert now.sequence == recorded.sequence - 1
    enter(records, recorded)
    assert {row.id for row in followed.find()} == {"a0", "a1", "a2"}
    assert followed.read().sequence == audit.head.sequence


def test_a_verdict_that_is_logged_and_not_yet_stored_is_not_there_yet(
    records: Records, audit: AuditLog, clock: Clock, tmp_path: Path
) -> None:
    followed, review = FollowedReview(records, audit), Review(records, audit)
    queue(records, audit)
    review.adjudicate("a1", by="Ann", verdict="same person")
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute("delete from adjudications")
    (row,) = followed.find()
    assert (row.case.state, row.differences) == ("open", ())
    assert followed.read().sequence == audit.head.sequence - 1
    clock.now += timedelta(seconds=3)
    (row,) = followed.find()
    assert row.case.state == "partly adjudicated"
    assert "missing" in str(row.differences[0])


def test_an_alert_that_is_never_queued_is_shown_as_such(records: Records, audit: AuditLog, clock: Clock) -> None:
    followed = FollowedReview(records, audit)
    audit.record(replace(sample_alert(entry="Ada", authorisation=TWO_PEOPLE.reference), id="a1"))
    assert not followed.find()
    clock.now += timedelta(seconds=3)
    (row,) = followed.find()
    assert "its run broke off before it was" in str(row.differences[0])
    assert followed.read().differences == row.differences


@pytest.mark.parametrize(
    ("done", "found"),
    [
        ("update alerts set camera = 'south' where id = 'a7'", "camera is 'south'"),
        ("update alerts set id = 'b7' where id = 'a7'", "the log has no such alert"),
        ("update log_heads set sequence = 99", "the log was cut"),
        ("update deployments set words = '{}'", "the terms are not those that the log names"),
    ],
)
def test_what_somebody_edits_in_the_records_is_found_without_a_new_entry(
    records: Records,
    audit: AuditLog,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    done: str,
    found: str,
) -> None:
    monkeypatch.setattr("pylfr.governance.adjudication.followed._COMPARED_EVERY_S", 0.0)
    monkeypatch.setattr("pylfr.governance.adjudication.followed._SHARE", float("inf"))
    monkeypatch.setattr("pylfr.governance.adjudication.followed._AT_ONCE", 3)
    followed = FollowedReview(records, audit)
    for number in range(10):
        queue(records, audit, id_=f"a{number}")
    assert followed.read().differences == ()
    clock.now += timedelta(seconds=3)
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute(done)
    # A few are compared at a time: one round through all of them finds it.
    rounds = [str(followed.read().differences) for _ in range(12)]
    assert found in rounds[-1]
