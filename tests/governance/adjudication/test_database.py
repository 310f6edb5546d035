"""Records are rows that repeat the log: they open again, are their owner's alone, and forget in time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication import database
from pylfr.governance.adjudication.database import Records, open_records
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.schema_version import newest_version, upgrade
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import GENESIS
from pylfr.governance.audit.log_files import LogHead
from tests.governance.reviews import DAY, ONE_PERSON, TWO_PEOPLE, deploy, queue, signed_log
from tests.postgres import Postgres


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = signed_log(tmp_path)
    yield log
    log.close()


@pytest.fixture
def records(records_url: str) -> Iterator[Records]:
    opened = open_records(records_url)
    yield opened
    opened.close()


def test_who_was_matched_is_erased_when_its_retention_ends_and_the_decision_stays(
    records: Records, audit: AuditLog
) -> None:
    deploy(records, audit, ONE_PERSON)
    queue(records, audit, terms=ONE_PERSON)
    review = Review(records, audit)
    review.adjudicate("a1", by="Ann", verdict="different person")
    now = datetime.now(UTC)
    assert records.erase(now=now + timedelta(hours=23)) == 0
    assert records.erase(now=now + timedelta(hours=25)) == 1
    assert records.erase(now=now + timedelta(hours=26)) == 0
    row = review.alert("a1")
    assert (row.entry, row.case.state, row.differences) == (None, "refuted", ())


def test_records_open_again_with_what_they_held(records_url: str, audit: AuditLog) -> None:
    first = open_records(records_url)
    deploy(first, audit)
    queue(first, audit)
    first.add_deployment(TWO_PEOPLE.reference, name="Square", profile="research", words="never")
    with first.transaction() as transaction:
        transaction.remember(LogHead(sequence=2, digest="ab" * 32))
        transaction.remember(LogHead(sequence=1, digest=GENESIS))
    first.close()
    again = open_records(records_url)
    stored = again.stored()
    assert [row.id for row in stored.alerts] == ["a1"]
    assert list(stored.words) == [TWO_PEOPLE.reference]
    assert "never" not in stored.words.values()
    assert stored.head == LogHead(sequence=2, digest="ab" * 32)
    again.close()


def test_records_in_a_file_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_records(f"sqlite:///{tmp_path / 'records.sqlite'}").close()
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == ["0o600"]


def test_a_damaged_row_and_a_damaged_file_are_named_in_one_error(tmp_path: Path) -> None:
    path = tmp_path / "records.sqlite"
    records = open_records(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("UPDATE log_heads SET sequence = 'first'")
    with (
        pytest.raises(AdjudicationError, match=r"records\.sqlite cannot be used: the recorded head"),
        records.transaction() as work,
    ):
        work.stored()
    records.close()
    # SQLite repeats the name of a table in its complaint, which is then no text.
    path.write_bytes(path.read_bytes().replace(b"TABLE alerts", b"TABLE al\xccrts"))
    with pytest.raises(AdjudicationError, match=r"records\.sqlite cannot be opened"):
        open_records(f"sqlite:///{path}")


def test_a_database_out_of_reach_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(AdjudicationError, match=r"records\.sqlite cannot be opened"):
        open_records(f"sqlite:///{tmp_path / 'missing' / 'records.sqlite'}")
    with pytest.raises(AdjudicationError) as caught:
        open_records(f"postgresql+psycopg://somebody:hunter2@/none?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_who_decided_is_forgotten_at_its_time_and_what_was_decided_still_counts(
    records: Records, audit: AuditLog
) -> None:
    deploy(records, audit)
    queue(records, audit)
    review = Review(records, audit)
    for name in ("Ann Example", "Bob Example"):
        review.adjudicate("a1", by=name, verdict="same person", reason="the scar")
    review.engage("a1", by="Cem Example", decision="engage")
    review.close_case("a1", by="Cem Example", finding="false alert")
    now = datetime.now(UTC)
    assert records.forget(now=now + 30 * DAY) == 0
    assert review.alert("a1").case.adjudications[0].adjudicator == "Ann Example"
    assert records.forget(now=now + 32 * DAY) == 1
    assert records.forget(now=now + 33 * DAY) == 0
    row = review.alert("a1")
    case = row.case
    assert (row.entry, row.differences) == (None, ())
    assert [each.reason for each in case.adjudications] == ["", ""]
    assert [each.adjudicator for each in case.adjudications] == ["(erased 1)", "(erased 2)"]
    assert case.engagement is not None
    assert case.outcome is not None
    assert (case.engagement.officer, case.outcome.officer) == ("(erased 1)", "(erased 1)")
    assert (case.state, case.outcome.finding) == ("closed", "false alert")
    for moment in (row.captured_at, case.outcome.at, *(each.at for each in case.adjudications)):
        assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)


def test_records_of_the_first_kind_are_changed_by_command_alone_and_forget_in_time(records_url: str) -> None:
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
    with pytest.raises(AdjudicationError, match="have the form 0001"):
        open_records(records_url)
    with engine.begin() as connection:
        upgrade(connection, newest_version())
    engine.dispose()
    opened = open_records(records_url)
    noon = datetime(2026, 1, 11, 12, tzinfo=UTC)
    assert opened.forget(now=noon + 30 * DAY) == 0
    assert opened.forget(now=noon + 31 * DAY) == 1
    assert opened.forget(now=noon + 365 * DAY) == 1
    opened.close()


def test_what_postgresql_erased_is_in_none_of_its_tables_files_even_where_the_rewrite_failed_at_first(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = postgres_server.new_url()
    with closing(signed_log(tmp_path)) as audit, closing(open_records(url)) as records:
        deploy(records, audit)
        for number in range(3):
            queue(records, audit, id_=f"a{number}.", entry="Ada Lovelace of Nowhere")
        Review(records, audit).adjudicate("a1.", by="Ann Reviewer", verdict="same person", reason="the very same ear")
        assert b"Ada Lovelace of Nowhere" in tables_of(records, postgres_server)
        later = datetime.now(UTC) + 40 * DAY
        with closing(open_records(url)) as other, other.transaction() as transaction:
            assert len(transaction.stored().alerts) == 3
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(database, "_LOCK_S", 0.1)
                with pytest.raises(AdjudicationError, match="lock timeout"):
                    records.erase(now=later)
        # As after a crash between erasing and rewriting.
        assert b"Ada Lovelace of Nowhere" in tables_of(records, postgres_server)
        assert records.erase(now=later) == 0
        assert b"Ada Lovelace of Nowhere" not in tables_of(records, postgres_server)
        assert b"the very same ear" in tables_of(records, postgres_server)
        assert records.forget(now=later) == 3
        left = tables_of(records, postgres_server)
        assert b"Ann Reviewer" not in left
        assert b"the very same ear" not in left


def tables_of(records: Records, server: Postgres) -> bytes:
    """The files of the tables as they are on the disk."""
    with records._engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.exec_driver_sql("CHECKPOINT")
        files = [
            alone.exec_driver_sql(f"SELECT pg_relation_filepath('{table}')").scalar_one()
            for table in ("alerts", "adjudications")
        ]
    return b"".join((server.folder / "base" / str(file)).read_bytes() for file in files)
