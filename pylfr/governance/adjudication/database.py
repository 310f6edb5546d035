"""Alerts and what people decided about them, in a database: SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict, cast, get_args

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError, SinkError
from pylfr.governance.adjudication.case import Adjudication, Case, Decision, Engagement, Finding, Outcome, Verdict
from pylfr.governance.adjudication.schema import ADJUDICATIONS, ALERTS, DEPLOYMENTS, ENGAGEMENTS, OUTCOMES
from pylfr.governance.adjudication.signatures import require_decider, sign_decision
from pylfr.governance.audit.audit import AuditLog, Clock, system_clock
from pylfr.governance.keys.keys import SigningKey
from pylfr.types import Alert, Event, Recorded

# Alembic keeps the migration under way in a variable of its module.
_MIGRATION = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert as it is kept: the facts, no picture. ``entry`` is None once its retention has ended."""

    id: str
    authorisation: str
    camera: str
    captured_at: datetime
    entry: str | None
    score: float
    threshold: float
    case: Case


class Records:
    """The database. A decision is acknowledged when it stands here and in the audit log. Made by ``open_records``."""

    def __init__(self, engine: sa.Engine, *, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self, recorded: Recorded[Alert], *, min_adjudicators: int, retention: timedelta, outcomes: timedelta
    ) -> None:
        """Take in an alert that waits for people: who was matched stays for ``retention``, who decided ``outcomes``."""
        alert = recorded.value
        with self._writing() as connection:
            connection.execute(
                ALERTS.insert().values(
                    id=alert.id,
                    sequence=recorded.sequence,
                    authorisation=alert.authorisation,
                    camera=alert.camera,
                    captured_at=utc_text(alert.captured_at),
                    recorded_at=utc_text(recorded.recorded_at),
                    entry=alert.entry,
                    score=alert.score,
                    threshold=alert.threshold,
                    min_adjudicators=min_adjudicators,
                    erase_at=utc_text(recorded.recorded_at + retention),
                    forget_at=utc_text(recorded.recorded_at + outcomes),
                )
            )

    def alerts(self, authorisation: str | None = None) -> tuple[AlertRow, ...]:
        """Every alert, the oldest first; of one authorisation where it is named."""
        wanted = sa.select(ALERTS).order_by(ALERTS.c.captured_at, ALERTS.c.id)
        if authorisation is not None:
            wanted = wanted.where(ALERTS.c.authorisation == authorisation)
        with self._engine.connect() as connection:
            return tuple(_alert(row, _case(connection, row)) for row in connection.execute(wanted).all())

    def alert(self, id_: str) -> AlertRow:
        """The alert whose id is, or begins with, ``id_``. Raises ``AdjudicationError`` where it is not just one."""
        with self._engine.connect() as connection:
            return _find(connection, id_)

    def adjudicate(
        self, id_: str, *, by: str, verdict: Verdict, audit: AuditLog, key: SigningKey | None = None
    ) -> Recorded[Adjudication]:
        """Record one person's verdict, signed with their ``key`` where the authorisation names who may decide.

        Raises ``AdjudicationError`` where it is not theirs to give.
        """
        with self._writing() as connection:
            row = _find(connection, id_, lock=True)
            case, at = row.case, self._clock()
            signed = _signature(connection, row, key, "adjudication", by, verdict, at)
            decided = Adjudication(alert=case.alert, adjudicator=by, verdict=verdict, at=at, **signed)
            number = len(case.adjudicate(decided).adjudications)
            connection.execute(
                ADJUDICATIONS.insert().values(
                    alert=case.alert, number=number, adjudicator=by, verdict=verdict, at=utc_text(at), **signed
                )
            )
            return audit.decide(decided, Event(kind="adjudication", details=_said(case.alert, by, verdict, at, signed)))

    def engage(
        self, id_: str, *, by: str, decision: Decision, audit: AuditLog, key: SigningKey | None = None
    ) -> Recorded[Engagement]:
        """Record the decision to engage or not: what acts needs what this returns."""
        with self._writing() as connection:
            row = _find(connection, id_, lock=True)
            case, at = row.case, self._clock()
            signed = _signature(connection, row, key, "engagement", by, decision, at)
            decided = Engagement(alert=case.alert, officer=by, decision=decision, at=at, **signed)
            case.engage(decided)
            connection.execute(
                ENGAGEMENTS.insert().values(alert=case.alert, officer=by, decision=decision, at=utc_text(at), **signed)
            )
            return audit.decide(decided, Event(kind="engagement", details=_said(case.alert, by, decision, at, signed)))

    def close_case(
        self, id_: str, *, by: str, finding: Finding, audit: AuditLog, key: SigningKey | None = None
    ) -> Recorded[Outcome]:
        """Record what it turned out to be."""
        with self._writing() as connection:
            row = _find(connection, id_, lock=True)
            case, at = row.case, self._clock()
            signed = _signature(connection, row, key, "outcome", by, finding, at)
            decided = Outcome(alert=case.alert, officer=by, finding=finding, at=at, **signed)
            case.close(decided)
            connection.execute(
                OUTCOMES.insert().values(alert=case.alert, officer=by, finding=finding, at=utc_text(at), **signed)
            )
            return audit.decide(decided, Event(kind="outcome", details=_said(case.alert, by, finding, at, signed)))

    def count_false(self, authorisation: str, *, since: datetime) -> int:
        """How many alerts recorded since then people have refuted, or found to be false afterwards."""
        different = sa.select(ADJUDICATIONS.c.alert).where(ADJUDICATIONS.c.verdict == "different person")
        false = sa.select(OUTCOMES.c.alert).where(OUTCOMES.c.finding == "false alert")
        wanted = (
            sa.select(sa.func.count())
            .select_from(ALERTS)
            .where(ALERTS.c.authorisation == authorisation, ALERTS.c.recorded_at >= utc_text(since))
            .where(ALERTS.c.id.in_(different) | ALERTS.c.id.in_(false))
        )
        with self._engine.connect() as connection:
            return int(connection.execute(wanted).scalar_one())

    def erase(self, *, now: datetime) -> int:
        """Erase who was matched from alerts whose retention has ended; how many there were."""
        with self._writing() as connection:
            over = ALERTS.c.erase_at <= utc_text(now), ALERTS.c.entry.is_not(None)
            return connection.execute(ALERTS.update().where(*over).values(entry=None)).rowcount

    def forget(self, *, now: datetime) -> int:
        """Erase who decided on alerts whose outcomes are over, and the hour of all of it; how many alerts there were.

        What was decided stays: it counts, and names nobody.
        """
        with self._writing() as connection:
            over = connection.execute(sa.select(ALERTS).where(ALERTS.c.forget_at <= utc_text(now))).all()
            for row in over:
                day = {"captured_at": _day(row.captured_at), "recorded_at": _day(row.recorded_at)}
                cleared = {**day, "erase_at": _day(row.erase_at), "entry": None, "forget_at": None}
                connection.execute(ALERTS.update().where(ALERTS.c.id == row.id).values(**cleared))
                for table, who in ((ADJUDICATIONS, "adjudicator"), (ENGAGEMENTS, "officer"), (OUTCOMES, "officer")):
                    for each in connection.execute(sa.select(table).where(table.c.alert == row.id)).all():
                        number = each.number if table is ADJUDICATIONS else 1
                        this = (table.c.alert == row.id) & (table.c[who] == getattr(each, who))
                        nobody = {who: f"(erased {number})", "at": _day(each.at), "key": None, "signature": None}
                        connection.execute(table.update().where(this).values(**nobody))
        return len(over)

    def add_deployment(self, authorisation: str, *, name: str, profile: str, words: str) -> None:
        """Keep under what words, JSON, a deployment runs; once, however often it is started."""
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

    def deployments(self) -> dict[str, str]:
        """The words, JSON, of every deployment by the reference of its authorisation, in the order of first runs."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(DEPLOYMENTS).order_by(DEPLOYMENTS.c.first_run_at))
            return {str(row.authorisation): str(row.words) for row in rows}

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection


class RecordsSink:
    """A ``Sink`` that puts alerts before people, under the rules of one deployment."""

    def __init__(self, records: Records, *, min_adjudicators: int, retention: timedelta, outcomes: timedelta) -> None:
        self._records = records
        self._min_adjudicators = min_adjudicators
        self._retention = retention
        self._outcomes = outcomes

    def send(self, recorded: Recorded[Alert]) -> None:
        try:
            self._records.add(
                recorded,
                min_adjudicators=self._min_adjudicators,
                retention=self._retention,
                outcomes=self._outcomes,
            )
        except sa.exc.SQLAlchemyError as error:
            raise SinkError(f"alert {recorded.value.id} cannot be put before people: {error}") from error

    def close(self) -> None:
        self._records.close()


def open_records(url: str, *, clock: Clock = system_clock) -> Records:
    """The records at ``url`` (``sqlite:///records.sqlite``, ``postgresql+psycopg://user@host/base``), up to date.

    Raises ``AdjudicationError`` where the database cannot be reached.
    """
    try:
        # Parameters of a statement that fails are who was matched and who decided: no message repeats them.
        engine = sa.create_engine(url, hide_parameters=True)
    except (sa.exc.ArgumentError, ImportError, ValueError) as error:
        raise AdjudicationError(
            f"the records' url cannot be used ({type(error).__name__}): write it like postgresql+psycopg://user@host/base"
        ) from None
    if engine.dialect.name == "sqlite":
        _keep_private(engine.url.database)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    config = Config()
    config.set_main_option("script_location", "pylfr.governance:migrations")
    try:
        with _MIGRATION, engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        raise AdjudicationError(
            f"the records at {engine.url.set(query={}).render_as_string()} cannot be opened: {reason}"
        ) from error
    return Records(engine, clock=clock)


def _keep_private(file: str | None) -> None:
    """Make the file as its owner's alone, for it names who was matched; SQLite's own files beside it take after it."""
    if file and file != ":memory:":
        # What stands in the way is said when the database is opened.
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


def _find(connection: sa.Connection, id_: str, *, lock: bool = False) -> AlertRow:
    wanted = sa.select(ALERTS).where(ALERTS.c.id.startswith(id_, autoescape=True))
    rows = connection.execute(wanted.with_for_update() if lock else wanted).all()
    if len(rows) != 1:
        raise AdjudicationError(f"there must be one alert that begins with {id_!r}, there are {len(rows)}")
    return _alert(rows[0], _case(connection, rows[0]))


def _case(connection: sa.Connection, row: sa.Row[tuple[object, ...]]) -> Case:
    alert = str(row.id)
    verdicts = connection.execute(
        sa.select(ADJUDICATIONS).where(ADJUDICATIONS.c.alert == alert).order_by(ADJUDICATIONS.c.number)
    ).all()
    engaged = connection.execute(sa.select(ENGAGEMENTS).where(ENGAGEMENTS.c.alert == alert)).one_or_none()
    closed = connection.execute(sa.select(OUTCOMES).where(OUTCOMES.c.alert == alert)).one_or_none()
    return Case(
        alert=alert,
        min_adjudicators=row.min_adjudicators,
        adjudications=tuple(
            Adjudication(
                alert=alert,
                adjudicator=each.adjudicator,
                verdict=cast("Verdict", _one_of(each.verdict, get_args(Verdict))),
                at=datetime.fromisoformat(each.at),
                key=each.key,
                signature=each.signature,
            )
            for each in verdicts
        ),
        engagement=None
        if engaged is None
        else Engagement(
            alert=alert,
            officer=engaged.officer,
            decision=cast("Decision", _one_of(engaged.decision, get_args(Decision))),
            at=datetime.fromisoformat(engaged.at),
            key=engaged.key,
            signature=engaged.signature,
        ),
        outcome=None
        if closed is None
        else Outcome(
            alert=alert,
            officer=closed.officer,
            finding=cast("Finding", _one_of(closed.finding, get_args(Finding))),
            at=datetime.fromisoformat(closed.at),
            key=closed.key,
            signature=closed.signature,
        ),
    )


def _alert(row: sa.Row[tuple[object, ...]], case: Case) -> AlertRow:
    return AlertRow(
        id=case.alert,
        authorisation=row.authorisation,
        camera=row.camera,
        captured_at=datetime.fromisoformat(row.captured_at),
        entry=row.entry,
        score=row.score,
        threshold=row.threshold,
        case=case,
    )


def _one_of(word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise AdjudicationError(f"the records say {word!r} where one of {', '.join(words)} belongs: they were changed")
    return word


def _day(time: str) -> str:
    """The midnight before a time."""
    return f"{time[:10]}T00:00:00.000Z"


class _Signed(TypedDict):
    key: str | None
    signature: str | None


def _signature(
    connection: sa.Connection, row: AlertRow, key: SigningKey | None, kind: str, by: str, what: str, at: datetime
) -> _Signed:
    """Whoever decides is one of those whom the authorisation names, and signs; nothing where it names none."""
    words = connection.execute(
        sa.select(DEPLOYMENTS.c.words).where(DEPLOYMENTS.c.authorisation == row.authorisation)
    ).scalar_one_or_none()
    require_decider(json.loads(words).get("people", {}) if words is not None else {}, by, key)
    if key is None:
        return {"key": None, "signature": None}
    signature = sign_decision(key, kind=kind, alert=row.id, by=by, what=what, at=at)
    return {"key": key.public.text, "signature": signature}


def _said(alert: str, by: str, what: str, at: datetime, signed: _Signed) -> dict[str, str]:
    said = {"alert": alert, "by": by, "what": what}
    if signed["key"] is None or signed["signature"] is None:
        return said
    return {**said, "decided_at": utc_text(at), "key": signed["key"], "signature": signed["signature"]}
