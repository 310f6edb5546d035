"""One transaction on the records: what is read and written in it, row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict

import sqlalchemy as sa

from pylfr.governance.adjudication.row_seals import RowSeals
from pylfr.governance.adjudication.schema import ADJUDICATIONS, ALERTS, DEPLOYMENTS, ENGAGEMENTS, LOG_HEADS, OUTCOMES
from pylfr.governance.adjudication.stored import (
    DamagedRowError,
    DecisionTable,
    StoredAlert,
    StoredDecision,
    StoredRecords,
)
from pylfr.governance.audit.log_files import LogHead

# Each table of decisions with its columns of who decided and what.
TABLES_OF_DECISIONS: dict[DecisionTable, tuple[sa.Table, str, str]] = {
    "adjudications": (ADJUDICATIONS, "adjudicator", "verdict"),
    "engagements": (ENGAGEMENTS, "officer", "decision"),
    "outcomes": (OUTCOMES, "officer", "finding"),
}


class Transaction:
    """One transaction on the records: all of it is written, or nothing."""

    def __init__(self, connection: sa.Connection, seals: RowSeals) -> None:
        self._connection = connection
        self._seals = seals

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
            alerts=tuple(self._seals.opened_alert(StoredAlert(**row._mapping)) for row in alerts),
            decisions=tuple(self._decisions(only)),
            words={str(authorisation): str(text) for authorisation, text in words},
            head=_head(head.sequence, head.digest),
        )

    def write(self, row: StoredDecision) -> None:
        """Store a decision, in place of the one with its number where there is one."""
        forget_at = self._connection.execute(sa.select(ALERTS.c.forget_at).where(ALERTS.c.id == row.alert)).scalar()
        row = self._seals.decision(row, forget_at=forget_at)
        table, who, what = TABLES_OF_DECISIONS[row.table]
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
            self._connection.execute(ALERTS.insert().values(**asdict(self._seals.alert(row))))
        for decision in decisions:
            self.write(decision)

    def _decisions(self, only: Collection[str] | None) -> Iterator[StoredDecision]:
        for name, (table, who, what) in TABLES_OF_DECISIONS.items():
            order = (table.c.alert, table.c.number) if name == "adjudications" else (table.c.alert,)
            chosen = sa.select(table).order_by(*order)
            if only is not None:
                chosen = chosen.where(table.c.alert.in_(only))
            for row in self._connection.execute(chosen).all():
                found = StoredDecision(
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
                yield self._seals.opened_decision(found)


def _head(sequence: object, digest: object) -> LogHead:
    if not isinstance(sequence, int) or not isinstance(digest, str):
        raise DamagedRowError("the recorded head of the audit log must be a number and a digest")
    return LogHead(sequence=sequence, digest=digest)
