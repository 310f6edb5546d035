"""Alerts and decisions in a database, SQLite by default, PostgreSQL by its URL: for people to query, not to believe.

The audit log is the record. ``pylfr.governance.adjudication.review`` compares these rows with it on every read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.case import Adjudication, Engagement, Outcome
from pylfr.governance.adjudication.schema import ADJUDICATIONS, ALERTS, DEPLOYMENTS, ENGAGEMENTS, LOG_HEADS, OUTCOMES
from pylfr.governance.adjudication.schema_version import require_newest
from pylfr.governance.audit.audit import Clock, LogHead, system_clock

# The comment on a table whose file PostgreSQL has yet to write anew, and how long that waits for others.
_LEFTOVERS, _LOCK_S = "pylfr: rows that were erased are still in the file", 10
DecisionTable = Literal["adjudications", "engagements", "outcomes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """A row of ``alerts``. ``entry`` is None once its retention has ended, ``forget_at`` once deciders were erased."""

    id: str
    sequence: int
    authorisation: str
    camera: str
    captured_at: str
    recorded_at: str
    entry: str | None
    score: float
    threshold: float
    min_adjudicators: int
    erase_at: str
    forget_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """A row of one of the three tables of decisions; ``number`` is the place of a verdict among those of an alert."""

    table: DecisionTable
    alert: str
    number: int
    by: str
    what: str
    at: str
    reason: str
    key: str | None
    signature: str | None

    @classmethod
    def of(cls, decision: Adjudication | Engagement | Outcome, *, number: int = 1) -> StoredDecision:
        """The row that ``decision`` makes."""
        match decision:
            case Adjudication():
                table: DecisionTable = "adjudications"
                by, what = decision.adjudicator, str(decision.verdict)
            case Engagement():
                table, by, what = "engagements", decision.officer, decision.decision
            case Outcome():
                table, by, what = "outcomes", decision.officer, decision.finding
        return cls(
            table=table,
            alert=decision.alert,
            number=number,
            by=by,
            what=what,
            at=utc_text(decision.at),
            reason=decision.reason,
            key=decision.key,
            signature=decision.signature,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecords:
    """Everything in the database at one moment.

    ``words`` are the terms of deployments, JSON, by their authorisation; ``head`` is how far the audit log had come.
    """

    alerts: tuple[StoredAlert, ...]
    decisions: tuple[StoredDecision, ...]
    words: dict[str, str]
    head: LogHead

    def of(self, alert: str) -> StoredRecords:
        """The same with nothing of other alerts."""
        return replace(
            self,
            alerts=tuple(row for row in self.alerts if row.id == alert),
            decisions=tuple(row for row in self.decisions if row.alert == alert),
        )


class Transaction:
    """One transaction on the records: all of it is written, or nothing."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def lock(self, alert: str) -> None:
        """Keep other deciders from this alert until the end of the transaction."""
        self._connection.execute(sa.select(ALERTS.c.id).where(ALERTS.c.id == alert).with_for_update()).all()

    def alert_ids(self) -> tuple[str, ...]:
        """The ids of all alerts, in no order."""
        return tuple(self._connection.execute(sa.select(ALERTS.c.id)).scalars())

    def stored(self, only: Collection[str] | None = None) -> StoredRecords:
        """Everything that is stored; of alerts ``only`` those with these ids where they are given."""
        chosen = sa.select(ALERTS).order_by(ALERTS.c.captured_at, ALERTS.c.id)
        if only is not None:
            chosen = chosen.where(ALERTS.c.id.in_(only))
        alerts = self._connection.execute(chosen).all()
        head = self._connection.execute(sa.select(LOG_HEADS)).one()
        words = self._connection.execute(sa.select(DEPLOYMENTS.c.authorisation, DEPLOYMENTS.c.words)).all()
        return StoredRecords(
            alerts=tuple(StoredAlert(**row._mapping) for row in alerts),
            decisions=tuple(self._decisions(only)),
            words={str(authorisation): str(text) for authorisation, text in words},
            head=LogHead(sequence=head.sequence, digest=head.digest),
        )

    def write(self, row: StoredDecision) -> None:
        """Store a decision, in place of the one with its number where there is one."""
        table, who, what = _TABLES[row.table]
        number = {"number": row.number} if row.table == "adjudications" else {}
        this = table.c.alert == row.alert
        if number:
            this &= table.c.number == row.number
        self._connection.execute(table.delete().where(this))
        values = {
            who: row.by,
            what: row.what,
            "at": row.at,
            "reason": row.reason,
            "key": row.key,
            "signature": row.signature,
        }
        self._connection.execute(table.insert().values(alert=row.alert, **number, **values))

    def remember(self, head: LogHead) -> None:
        """Store how far the log had come: whoever cuts it must cut the records alike."""
        further = LOG_HEADS.c.sequence < head.sequence
        values = {"sequence": head.sequence, "digest": head.digest}
        self._connection.execute(LOG_HEADS.update().where(further).values(**values))

    def replace(self, alerts: list[StoredAlert], decisions: list[StoredDecision], *, gone: list[str]) -> None:
        """Store these alerts with these decisions in place of what there was of them and of ``gone``."""
        ids = [*(row.id for row in alerts), *gone]
        for table in (ADJUDICATIONS, ENGAGEMENTS, OUTCOMES):
            self._connection.execute(table.delete().where(table.c.alert.in_(ids)))
        self._connection.execute(ALERTS.delete().where(ALERTS.c.id.in_(ids)))
        for row in alerts:
            self._connection.execute(ALERTS.insert().values(**asdict(row)))
        for decision in decisions:
            self.write(decision)

    def _decisions(self, only: Collection[str] | None) -> Iterator[StoredDecision]:
        for name, (table, who, what) in _TABLES.items():
            order = (table.c.alert, table.c.number) if name == "adjudications" else (table.c.alert,)
            chosen = sa.select(table).order_by(*order)
            if only is not None:
                chosen = chosen.where(table.c.alert.in_(only))
            for row in self._connection.execute(chosen).all():
                yield StoredDecision(
                    table=name,
                    alert=row.alert,
                    number=row.number if name == "adjudications" else 1,
                    by=getattr(row, who),
                    what=getattr(row, what),
                    at=row.at,
                    reason=row.reason or "",
                    key=row.key,
                    signature=row.signature,
                )


_TABLES: dict[DecisionTable, tuple[sa.Table, str, str]] = {
    "adjudications": (ADJUDICATIONS, "adjudicator", "verdict"),
    "engagements": (ENGAGEMENTS, "officer", "decision"),
    "outcomes": (OUTCOMES, "officer", "finding"),
}


class Records:
    """The database. Made by ``open_records``."""

    def __init__(self, engine: sa.Engine, *, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def clock(self) -> Clock:
        return self._clock

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction, which is undone where the block raises.

        Raises ``AdjudicationError`` where the database is away, locked or full, as every other method does.
        """
        with self._writing() as connection:
            yield Transaction(connection)

    def enter(self, row: StoredAlert) -> bool:
        """Queue an alert for review; False where it is queued already, which changes nothing."""
        known = sa.select(ALERTS.c.id).where(ALERTS.c.id == row.id)
        try:
            with self._writing() as connection:
                if connection.execute(known).one_or_none() is not None:
                    return False
                connection.execute(ALERTS.insert().values(**asdict(row)))
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
                for table, who, _ in _TABLES.values():
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
        except sa.exc.SQLAlchemyError as error:
            raise AdjudicationError(
                f"the records at {_shown(self._engine.url)} cannot be used: {_reason(error)}; an alert that is in the "
                "log is queued as soon as they can be"
            ) from error


def open_records(url: str, *, clock: Clock = system_clock) -> Records:
    """The records at ``url`` (``sqlite:///records.sqlite``, ``postgresql+psycopg://user@host/base``), made where empty.

    Raises ``AdjudicationError`` where the database cannot be reached, and where its tables are of another form: they
    are changed by `pylfr records upgrade` alone, never by a look.
    """
    engine = connect_records(url)
    try:
        with engine.begin() as connection:
            require_newest(connection)
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise AdjudicationError(f"the records at {_shown(engine.url)} cannot be opened: {_reason(error)}") from error
    except AdjudicationError:
        engine.dispose()
        raise
    return Records(engine, clock=clock)


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


def _reason(error: sa.exc.SQLAlchemyError) -> str:
    return (str(getattr(error, "orig", error)).splitlines() or [type(error).__name__])[0]


def erased_name(number: int) -> str:
    """What is shown in place of whoever decided, once that was erased."""
    return f"(erased {number})"


def day_of(time: str) -> str:
    """The midnight before a time."""
    return f"{time[:10]}T00:00:00.000Z"


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
