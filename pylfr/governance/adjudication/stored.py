"""Rows of the records. They are for queries; the audit log is the evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.adjudication.case import Adjudication, Engagement, Outcome
from pylfr.governance.audit.log_files import LogHead

DecisionTable = Literal["adjudications", "engagements", "outcomes"]


class DamagedRowError(ValueError):
    """A row holds what no release of pylfr writes."""


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


def erased_name(number: int) -> str:
    """What is shown in place of whoever decided, once that was erased."""
    return f"(erased {number})"


def day_of(time: str) -> str:
    """The midnight before a time."""
    return f"{time[:10]}T00:00:00.000Z"
