"""What people decide stands in the database and in the log before it counts: the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError, AuditError
from pylfr.governance.adjudication.database import Records, RecordsSink, open_records
from pylfr.governance.audit.audit import AuditLog, open_audit
from pylfr.governance.audit.chain import parse_entry
from tests.samples import sample_alert

DAY = timedelta(hours=24)


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = open_audit(tmp_path / "audit.log")
    yield log
    log.close()


@pytest.fixture
def records(records_url: str) -> Iterator[Records]:
    opened = open_records(records_url)
    yield opened
    opened.close()


def add(records: Records, audit: AuditLog, *, id_: str = "a1", people: int = 2) -> None:
    alert = replace(sample_alert(entry="Ada", authorisation="feed"), id=id_)
    RecordsSink(records, min_adjudicators=people, retention=DAY, outcomes=31 * DAY).send(audit.record(alert))


def kinds(folder: Path) -> list[str]:
    return [parse_entry(line).kind for line in (folder / "audit.log").read_bytes().splitlines()]


def test_an_alert_goes_from_people_to_an_outcome(records: Records, audit: AuditLog, tmp_path: Path) -> None:
    add(records, audit)
    records.adjudicate("a1", by="Ann", verdict="same person", audit=audit)
    assert records.alert("a1").case.state == "partly adjudicated"
    assert records.alert("a1").case.visible_adjudications == ()
    records.adjudicate("a1", by="Bob", verdict="same person", audit=audit)
    engaged = records.engage("a1", by="Cem", decision="engage", audit=audit)
    records.close_case("a1", by="Cem", finding="true alert", audit=audit)
    assert engaged.value.officer == "Cem"
    assert engaged.sequence == 4
    [row] = records.alerts("feed")
    assert (row.entry, row.case.state) == ("Ada", "closed")
    assert [each.adjudicator for each in row.case.visible_adjudications] == ["Ann", "Bob"]
    assert kinds(tmp_path) == ["alert", "adjudication", "adjudication", "engagement", "outcome"]
    assert records.alerts("other") == ()


def test_what_may_not_be_decided_leaves_no_trace(records: Records, audit: AuditLog, tmp_path: Path) -> None:
    add(records, audit)
    records.adjudicate("a1", by="Ann", verdict="same person", audit=audit)
    with pytest.raises(AdjudicationError, match="another person"):
        records.adjudicate("a1", by="ann", verdict="same person", audit=audit)
    with pytest.raises(AdjudicationError, match="only while it is confirmed"):
        records.engage("a1", by="Cem", decision="engage", audit=audit)
    with pytest.raises(AdjudicationError, match="there are 0"):
        records.adjudicate("b", by="Ann", verdict="same person", audit=audit)
    assert kinds(tmp_path) == ["alert", "adjudication"]


def test_a_decision_that_cannot_be_logged_is_not_kept(records: Records, audit: AuditLog) -> None:
    add(records, audit)
    audit.close()
    with pytest.raises(AuditError, match="closed"):
        records.adjudicate("a1", by="Ann", verdict="same person", audit=audit)
    assert records.alert("a1").case.adjudications == ()


def test_two_people_at_once_are_both_heard_and_one_person_only_once(
    records: Records, records_url: str, tmp_path: Path
) -> None:
    log = open_audit(tmp_path / "audit.log")
    add(records, log)
    refused: list[str] = []

    def decide(who: str) -> None:
        own_log, own = open_audit(tmp_path / "audit.log"), open_records(records_url)
        try:
            own.adjudicate("a1", by=who, verdict="same person", audit=own_log)
        except AdjudicationError:
            refused.append(who)
        finally:
            own.close()
            own_log.close()

    threads = [threading.Thread(target=decide, args=(who,)) for who in ("Ann", "Bob", "Ann", "ANN")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records.alert("a1").case.state == "confirmed"
    assert len(refused) == 2
    assert {each.adjudicator.casefold() for each in records.alert("a1").case.adjudications} == {"ann", "bob"}
    log.close()


def test_who_was_matched_is_erased_when_its_retention_ends_and_the_decision_stays(
    records: Records, audit: AuditLog
) -> None:
    add(records, audit, people=1)
    records.adjudicate("a1", by="Ann", verdict="different person", audit=audit)
    now = datetime.now(UTC)
    assert records.erase(now=now + timedelta(hours=23)) == 0
    assert records.erase(now=now + timedelta(hours=25)) == 1
    assert records.erase(now=now + timedelta(hours=26)) == 0
    assert (records.alert("a1").entry, records.alert("a1").case.state) == (None, "refuted")


def test_records_open_again_with_what_they_held(records_url: str, audit: AuditLog) -> None:
    first = open_records(records_url)
    add(first, audit)
    for words in ("{}", "never"):
        first.add_deployment("feed", name="Square", profile="research", words=words)
    first.close()
    again = open_records(records_url)
    assert [row.id for row in again.alerts()] == ["a1"]
    assert again.deployments() == {"feed": "{}"}
    again.close()


def test_records_in_a_file_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_records(f"sqlite:///{tmp_path / 'records.sqlite'}").close()
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == ["0o600"]


def test_a_database_out_of_reach_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(AdjudicationError, match=r"records\.sqlite cannot be opened"):
        open_records(f"sqlite:///{tmp_path / 'missing' / 'records.sqlite'}")
    with pytest.raises(AdjudicationError) as caught:
        open_records(f"postgresql+psycopg://somebody:hunter2@/none?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def _decide_without_end(url: str, folder: Path, round_: int) -> None:
    log, records = open_audit(folder / "audit.log"), open_records(url)
    done = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(10_000):
        id_ = f"r{round_}n{number}."
        add(records, log, id_=id_, people=1)
        records.adjudicate(id_, by="Ann", verdict="same person", audit=log)
        os.write(done, f"{id_}\n".encode())


def test_kills_lose_no_acknowledged_adjudication(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    open_records(url).close()
    chance = random.Random(3)
    for round_ in range(40):
        child = os.fork()
        if child == 0:
            try:
                _decide_without_end(url, tmp_path, round_)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    records = open_records(url)
    decided = {row.id for row in records.alerts() if row.case.adjudications}
    records.close()
    written = (tmp_path / "audit.log").read_bytes()
    logged = {
        str(parse_entry(line).details["alert"])
        for line in written[: written.rfind(b"\n") + 1].splitlines()
        if parse_entry(line).kind == "adjudication"
    }
    acknowledged = (tmp_path / "acknowledged").read_text().split()
    assert len(acknowledged) > 20
    assert set(acknowledged) <= decided <= logged


def test_who_decided_is_forgotten_at_its_time_and_what_was_decided_still_counts(
    records: Records, audit: AuditLog
) -> None:
    add(records, audit)
    for name in ("Ann Example", "Bob Example"):
        records.adjudicate("a1", by=name, verdict="same person", audit=audit)
    records.engage("a1", by="Cem Example", decision="engage", audit=audit)
    records.close_case("a1", by="Cem Example", finding="false alert", audit=audit)
    now = datetime.now(UTC)
    assert records.forget(now=now + 30 * DAY) == 0
    assert records.alert("a1").case.adjudications[0].adjudicator == "Ann Example"
    assert records.forget(now=now + 32 * DAY) == 1
    assert records.forget(now=now + 33 * DAY) == 0
    row = records.alert("a1")
    case = row.case
    assert row.entry is None
    assert [each.adjudicator for each in case.adjudications] == ["(erased 1)", "(erased 2)"]
    assert case.engagement is not None
    assert case.outcome is not None
    assert (case.engagement.officer, case.outcome.officer) == ("(erased 1)", "(erased 1)")
    assert (case.state, case.outcome.finding) == ("closed", "false alert")
    for moment in (row.captured_at, case.outcome.at, *(each.at for each in case.adjudications)):
        assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)


def test_records_of_the_first_kind_are_brought_up_to_date_and_forget_in_time(records_url: str) -> None:
    engine = sa.create_engine(records_url)
    config = Config()
    config.set_main_option("script_location", "pylfr.governance:migrations")
    at = utc_text(datetime(2026, 1, 11, 12, tzinfo=UTC))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for id_, authorisation in (("a1", "known"), ("a2", "unknown")):
            connection.execute(
                sa.text(
                    "INSERT INTO alerts VALUES (:id, 1, :authorisation, 'north', :at, :at, 'Ada', 0.6, 0.5, 2, :at)"
                ),
                {"id": id_, "authorisation": authorisation, "at": at},
            )
        connection.execute(
            sa.text("INSERT INTO deployments VALUES ('known', 'Square', 'research', :at, '{}')"), {"at": at}
        )
    engine.dispose()
    opened = open_records(records_url)
    noon = datetime(2026, 1, 11, 12, tzinfo=UTC)
    assert opened.forget(now=noon + 30 * DAY) == 0
    assert opened.forget(now=noon + 31 * DAY) == 1
    assert opened.forget(now=noon + 365 * DAY) == 1
    opened.close()
