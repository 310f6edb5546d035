"""An alert that a run left in the log alone is found by the next start, the sweep and the report, and queued once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylfr.deployment.config import read_deployment
from pylfr.deployment.instance_lock import lock_instance
from pylfr.deployment.resources import Resources
from pylfr.deployment.unqueued import queue_unqueued
from pylfr.deployment.whole_record import require_whole_record
from pylfr.governance.audit.audit import AuditLog
from pylfr.sinks.delivery import start_delivery
from pylfr.sinks.pending import CursorInMemory, PendingInLog
from pylfr.sinks.review import ReviewQueue, ReviewRules
from pylfr.types import Event
from tests.deployment_text import SIGNED_DEPLOYMENT
from tests.gallery.watchlist.test_sealed import enrolled
from tests.governance.reviews import TWO_PEOPLE, deploy, enter, signed_log
from tests.samples import sample_alert

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment whose watchlist has Ada Lovelace, and no alert yet."""
    signed_log(tmp_path).close()
    text = SIGNED_DEPLOYMENT.replace('file = "square.sealed"\nkey = "square.key"', 'file = "square.watchlist"')
    (tmp_path / "deployment.toml").write_text(text)
    enrolled(tmp_path / "square.watchlist")
    with started(tmp_path) as resources:
        deploy(resources.require_records(), resources.audit)
    return tmp_path


@contextmanager
def started(folder: Path, *, later: timedelta = timedelta(0)) -> Iterator[Resources]:
    with Resources(read_deployment(folder / "deployment.toml"), now=datetime.now(UTC) + later) as resources:
        yield resources


def left_in_the_log(audit: AuditLog, id_: str, *, entry: str = "Ada Lovelace") -> None:
    audit.record(replace(sample_alert(entry=entry, authorisation=TWO_PEOPLE.reference), id=id_))


def ended(audit: AuditLog) -> None:
    audit.note(Event(kind="run-ended", details={"authorisation": TWO_PEOPLE.reference, "undelivered": 1}))


def names(resources: Resources) -> dict[str, str | None]:
    return {row.id: row.entry for row in resources.require_records().stored().alerts}


def test_a_start_queues_what_is_in_the_log_alone_with_the_name_and_says_so(folder: Path) -> None:
    with started(folder) as resources:
        left_in_the_log(resources.audit, "a1")
        left_in_the_log(resources.audit, "a2", entry="Somebody who was taken off the list")
    with started(folder) as resources:
        require_whole_record(resources)
        assert names(resources) == {"a1": "Ada Lovelace", "a2": None}
        assert resources.review.read().differences == ()
        [late] = resources.audit.entries("alerts-queued-late")
        assert (late.details["alerts"], late.details["entries"]) == (2, "2, 3")
        assert list(resources.audit.entries("records-differ")) == []
        resources.review.adjudicate("a1", by="Ann", verdict="same person")
    with started(folder) as resources:
        assert queue_unqueued(resources) == 0


def test_what_a_run_could_not_deliver_before_it_ended_is_queued_too(folder: Path) -> None:
    with started(folder) as resources:
        left_in_the_log(resources.audit, "a1")
        resources.audit.note(Event(kind="delivery-unfinished", details={"to": "the records", "waiting": 1}))
        ended(resources.audit)
        assert queue_unqueued(resources) == 1
        assert names(resources) == {"a1": "Ada Lovelace"}


def test_a_row_that_was_deleted_is_left_to_a_person(folder: Path) -> None:
    with started(folder) as resources:
        records, audit = resources.require_records(), resources.audit
        for id_ in ("decided", "over"):
            alert = replace(sample_alert(entry="Ada Lovelace", authorisation=TWO_PEOPLE.reference), id=id_)
            enter(records, audit.record(alert))
        resources.review.adjudicate("decided", by="Ann", verdict="same person")
        ended(audit)
        with closing(sqlite3.connect(folder / "records.sqlite")) as connection, connection:
            connection.execute("DELETE FROM alerts")
        assert queue_unqueued(resources) == 0
        assert {each.alert for each in resources.review.read().differences} == {"decided", "over"}


def test_an_alert_whose_retention_has_ended_is_queued_and_names_nobody(folder: Path) -> None:
    with started(folder) as resources:
        left_in_the_log(resources.audit, "a1")
    with started(folder, later=2 * DAY) as resources:
        assert queue_unqueued(resources) == 1
        assert names(resources) == {"a1": None}


def test_an_alert_of_a_run_that_goes_on_is_left_to_it(folder: Path) -> None:
    with started(folder) as resources:
        resources.audit._run = "run1"
        left_in_the_log(resources.audit, "a1")
    lock = lock_instance(folder / "audit.log", name="Square", run="run1", now=datetime.now(UTC))
    with started(folder) as resources:
        assert queue_unqueued(resources) == 0
        lock.release()
        assert queue_unqueued(resources) == 1


def test_a_run_that_is_killed_between_any_two_steps_leaves_no_alert_behind(folder: Path) -> None:
    chance = random.Random(18)
    for _ in range(12):
        child = os.fork()
        if not child:
            try:
                _alert_without_end(folder)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.1, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with started(folder) as resources:
            require_whole_record(resources)
            logged = [str(entry.details["alert"]) for entry in resources.audit.entries("alert")]
            assert names(resources) == dict.fromkeys(logged, "Ada Lovelace")
            assert resources.review.read().differences == ()
    assert len(logged) > 0


def _alert_without_end(folder: Path) -> None:
    """Alerts as fast as they can be recorded, as the engine records and sends them."""
    with started(folder) as resources:
        audit = resources.audit
        pending = PendingInLog(
            lambda after: audit.entries("alert", after=after),
            lambda _: [],
            CursorInMemory(audit.head.sequence, frozenset([TWO_PEOPLE.reference])),
            retention=None,
            clock=lambda: datetime.now(UTC),
        )
        rules = ReviewRules(min_adjudicators=2, retention=DAY, outcomes=31 * DAY)
        queue = ReviewQueue(resources.require_records(), rules, clock=lambda: datetime.now(UTC))
        sink = start_delivery(queue, pending, name="records", note=audit.note)
        alert = sample_alert(entry="Ada Lovelace", authorisation=TWO_PEOPLE.reference)
        for number in range(100_000):
            sink.send(audit.record(replace(alert, id=f"{os.getpid()}-{number}")))
