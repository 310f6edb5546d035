"""Alerts as they are shown: what the log says, what the records add, and where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.adjudication.case import Case
from pylfr.governance.adjudication.comparison import compare
from pylfr.governance.adjudication.replay import Difference, LoggedAlert, Replay, replay
from pylfr.governance.adjudication.stored import StoredAlert, StoredRecords, day_of, erased_name
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.audit.log_files import LogHead


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert as it is shown: the facts, no picture. ``entry`` is None once its retention has ended.

    ``case`` is replayed from the log; where the records have anything else, ``differences`` says so. ``reasons_for``
    are the decisions that must give their reason.
    """

    id: str
    authorisation: str
    camera: str
    captured_at: datetime
    entry: str | None
    score: float
    threshold: float
    case: Case
    differences: tuple[Difference, ...] = ()
    erase_at: datetime | None = None
    reasons_for: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """Every alert that the log has, the oldest first, and everything in which the records differ from the log."""

    alerts: tuple[AlertRow, ...]
    differences: tuple[Difference, ...]


def review_log(
    entries: Iterable[LogEntry], stored: StoredRecords, *, keyed_digest: Callable[[bytes], str] | None = None
) -> Reviewed:
    """The alerts of a log, with what the records add to them, and how the two differ.

    ``entries`` are those that can be believed; ``keyed_digest`` is the log's, known to the holder of the record's key.
    """
    entries = tuple(entries)
    reviewed = reviewed_of(replay(entries, stored.words), stored, keyed_digest)
    head = stored.head
    if not head.sequence or any((each.sequence, each.digest) == (head.sequence, head.digest) for each in entries):
        return reviewed
    return with_cut(reviewed, head)


def reviewed_of(logged: Replay, stored: StoredRecords, keyed_digest: Callable[[bytes], str] | None) -> Reviewed:
    """As ``review_log``, of a log that was replayed."""
    differences = (*logged.differences, *compare(logged, stored, keyed_digest=keyed_digest))
    rows = {row.id: row for row in stored.alerts}
    alerts = [
        _shown(alert, rows.get(id_), tuple(each for each in differences if each.alert == id_))
        for id_, alert in logged.alerts.items()
    ]
    return Reviewed(alerts=tuple(sorted(alerts, key=lambda row: (row.captured_at, row.id))), differences=differences)


def with_cut(reviewed: Reviewed, head: LogHead) -> Reviewed:
    """The same, and that the log lacks ``head``, which the records had seen."""
    return replace(reviewed, differences=(cut_off(head), *reviewed.differences))


def cut_off(head: LogHead) -> Difference:
    """The difference that the log lacks ``head``, which the records had seen."""
    what = f"the records had seen entry {head.sequence} of the log, which is gone: the log was cut, or written anew"
    return Difference(alert=None, row="log_heads", what=what, names_somebody=False, is_log_shorter=True)


def _shown(alert: LoggedAlert, row: StoredAlert | None, differences: tuple[Difference, ...]) -> AlertRow:
    details = alert.entry.details
    captured_at, case = str(details["captured_at"]), alert.case
    if row is not None and row.forget_at is None:
        captured_at, case = day_of(captured_at), _forgotten(case)
    return AlertRow(
        id=case.alert,
        authorisation=alert.authorisation,
        camera=str(details["camera"]),
        captured_at=datetime.fromisoformat(captured_at),
        entry=row.entry if row is not None else None,
        score=float(str(details["score"])),
        threshold=float(str(details["threshold"])),
        case=case,
        differences=differences,
        erase_at=datetime.fromisoformat(row.erase_at) if row is not None and row.entry is not None else None,
        reasons_for=alert.rules.reasons_for,
    )


def _forgotten(case: Case) -> Case:
    """A case without who decided, and without the hour."""

    def day(at: datetime) -> datetime:
        return datetime.fromisoformat(day_of(utc_text(at)))

    nobody: _Nobody = {"reason": "", "key": None, "signature": None}
    return replace(
        case,
        adjudications=tuple(
            replace(each, adjudicator=erased_name(number), at=day(each.at), **nobody)
            for number, each in enumerate(case.adjudications, start=1)
        ),
        engagement=None
        if case.engagement is None
        else replace(case.engagement, officer=erased_name(1), at=day(case.engagement.at), **nobody),
        outcome=None
        if case.outcome is None
        else replace(case.outcome, officer=erased_name(1), at=day(case.outcome.at), **nobody),
    )


class _Nobody(TypedDict):
    reason: str
    key: None
    signature: None
