"""Alerts and decisions in a database, SQLite by default, PostgreSQL by its URL: for people to query, not to believe.

The audit log is the record. ``pylfr.governance.adjudication.review`` compares these rows with it on every read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.erasure_keys import ErasureKeys
from pylfr.governance.adjudication.row_seals import RowSeals
from pylfr.governance.adjudication.schema import ADJUDICATIONS, ALERTS, DEPLOYMENTS, ENGAGEMENTS, OUTCOMES
from pylfr.governance.adjudication.schema_version import require_newest
from pylfr.governance.adjudication.stored import DamagedRowError, StoredAlert, StoredRecords, day_of, erased_name
from pylfr.governance.adjudication.transaction import TABLES_OF_DECISIONS, Transaction
from pylfr.governance.audit.audit import Clock, system_clock

# The comment on a table whose file PostgreSQL has yet to write anew, and how long that waits for others.
_LEFTOVERS, _LOCK_S = "pylfr: rows that were erased are still in the file", 10
# What a database raises that cannot be used; a damaged SQLite file breaks even the words in which SQLite says so.
_UNUSABLE = (sa.exc.SQLAlchemyError, UnicodeDecodeError, DamagedRowError)


class Records:
    """The database. Made by ``open_records``."""

    def __init__(self, engine: sa.Engine, *, clock: Clock, seals: RowSeals) -> None:
        self._engine = engine
        self._clock = clock
        self._seals = seals

    @property
    def clock(self) -> Clock:
        return self._clock

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction, which is undone where the block raises.

        Raises ``AdjudicationError`` where the database is away, locked or full, as every other method does.
        """
        with self._writing() as connection:
            yield Transaction(connection, self._seals)

    def enter(self, row: StoredAlert) -> bool:
        """Queue an alert for review; False where it is queued already, which changes nothing."""
        known = sa.select(ALERTS.c.id).where(ALERTS.c.id == row.id)
        try:
            with self._writing() as connection:
                if connection.execute(known).one_or_none() is not None:
                    return False
                connection.execute(ALERTS.insert().values(**asdict(self._seals.alert(row))))
        except sa.exc.IntegrityError:
            # Somebody else entered it between the question and the answer.
            return False
        return True

    def stored(self) -> StoredRecords:
        """Everything that is stored, as it is: compare it with the log before anybody acts on it."""
        with self.transaction() as transaction:
            return transaction.stored()

    def erase(self, *, now: datetime) -> int:
        """Erase who was matched from alerts whose retention has ended; how many there were."""
        with self._writing() as connection:
            over = ALERTS.c.erase_at <= utc_text(now), ALERTS.c.entry.is_not(None)
            erased = connection.execute(ALERTS.update().where(*over).values(entry=None)).rowcount
            if erased:
                self._note_leftovers(connection)
        self._rewrite()
        return erased

    def forget(self, *, now: datetime) -> int:
        """Erase who decided on alerts whose outcomes are over, and the hour of all of it; how many alerts there were.

        What was decided stays: it counts, and names nobody.
        """
        with self._writing() as connection:
            over = connection.execute(sa.select(ALERTS).where(ALERTS.c.forget_at <= utc_text(now))).all()
            for row in over:
                day = {"captured_at": day_of(row.captured_at), "recorded_at": day_of(row.recorded_at)}
                cleared = {**day, "erase_at": day_of(row.erase_at), "entry": None, "forget_at": None}
                connection.execute(ALERTS.update().where(ALERTS.c.id == row.id).values(**cleared))
                for table, who, _ in TABLES_OF_DECISIONS.values():
                    for each in connection.execute(sa.select(table).where(table.c.alert == row.id)).all():
                        number = each.number if table is ADJUDICATIONS else 1
                        this = (table.c.alert == row.id) & (table.c[who] == getattr(each, who))
                        erased = {"reason": "", "key": None, "signature": None}
                        nobody = {who: erased_name(number), "at": day_of(each.at), **erased}
                        connection.execute(table.update().where(this).values(**nobody))
            if over:
                self._note_leftovers(connection)
        self._rewrite()
        return len(over)

    def _note_leftovers(self, connection: sa.Connection) -> None:
        """Note, in the transaction that erases, that PostgreSQL leaves the old rows in its files until a rewrite."""
        if self._engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"COMMENT ON TABLE alerts IS '{_LEFTOVERS}'")

    def _rewrite(self) -> None:
        """Write the files of the tables anew where something was erased since, also before a crash.

        Raises ``AdjudicationError`` where others use them all the time: the next sweep tries again.
        """
        if self._engine.dialect.name != "postgresql":
            return
        with self._explained(), self._engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            said = alone.exec_driver_sql("SELECT obj_description('alerts'::regclass, 'pg_class')").scalar_one()
            if said != _LEFTOVERS:
                return
            alone.exec_driver_sql(f"SET lock_timeout = '{_LOCK_S}s'")
            try:
                for table in (ALERTS, ADJUDICATIONS, ENGAGEMENTS, OUTCOMES):
                    alone.exec_driver_sql(f"VACUUM FULL {table.name}")
                alone.exec_driver_sql("COMMENT ON TABLE alerts IS NULL")
            finally:
                alone.exec_driver_sql("RESET lock_timeout")

    def add_deployment(self, authorisation: str, *, name: str, profile: str, words: str) -> None:
        """Store under what terms, JSON, a deployment runs; once, however often it is started."""
        with self._writing() as connection:
            known = sa.select(DEPLOYMENTS.c.authorisation).where(DEPLOYMENTS.c.authorisation == authorisation)
            if connection.execute(known).one_or_none() is None:
                connection.execute(
                    DEPLOYMENTS.insert().values(
                        authorisation=authorisation,
                        name=name,
                        profile=profile,
                        first_run_at=utc_text(self._clock()),
                        words=words,
                    )
                )

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except _UNUSABLE as error:
            raise AdjudicationError(
                f"the records at {_shown(self._engine.url)} cannot be used: {_reason(error)}; an alert that is in the "
                "log is queued as soon as they can be"
            ) from error


def open_records(url: str, *, clock: Clock = system_clock, keys: ErasureKeys | None = None) -> Records:
    """The records at ``url`` (``sqlite:///records.sqlite``, ``postgresql+psycopg://user@host/base``), made where empty.

    With ``keys`` whatever names somebody is encrypted before the database gets it.

    Raises ``AdjudicationError`` where the database cannot be reached, and where its tables are of another form: they
    are changed by `pylfr records upgrade` alone, never by a look.
    """
    engine = connect_records(url)
    try:
        with engine.begin() as connection:
            require_newest(connection)
    except _UNUSABLE as error:
        engine.dispose()
        raise AdjudicationError(f"the records at {_shown(engine.url)} cannot be opened: {_reason(error)}") from error
    except AdjudicationError:
        engine.dispose()
        raise
    return Records(engine, clock=clock, seals=RowSeals(keys))


def connect_records(url: str) -> sa.Engine:
    """The database at ``url``, whatever is in it. Raises ``AdjudicationError`` for a url that cannot be used."""
    try:
        # Parameters of a statement that fails are who was matched and who decided: no message repeats them.
        # A server that was restarted has closed the connections of before: each is tried before it is used.
        engine = sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:
        raise AdjudicationError(
            f"the records' url cannot be used ({type(error).__name__}): write it like postgresql+psycopg://user@host/base"
        ) from None
    if engine.dialect.name == "sqlite":
        _make_private(engine.url.database)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _shown(url: sa.URL) -> str:
    """The address without its password, and without options, which may hold one."""
    return url.set(query={}).render_as_string()


def _reason(error: Exception) -> str:
    return (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0]


def _make_private(file: str | None) -> None:
    """Make the file as its owner's alone, for it names who was matched; SQLite's own files beside it take after it."""
    if file and file != ":memory:":
        # What prevents it is reported when the database is opened.
        with suppress(OSError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare_sqlite(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    # The driver's own transactions begin too late to keep two deciders apart; what is erased is overwritten.
    setattr(connection, "isolation_level", None)  # noqa: B010 - the protocol's type does not name it
    cursor = connection.cursor()
    for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = EXTRA", "busy_timeout = 10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
