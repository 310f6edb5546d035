"""People decide on alerts: what they see is replayed from the signed log, and what they decide is in it first.

The records are compared with the log on every read. Where they differ, nobody decides on that alert, nobody is engaged
on it, and the difference names the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypedDict, TypeVar

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.case import Adjudication, Decision, Engagement, Finding, Outcome, Verdict
from pylfr.governance.adjudication.comparison import compare, expected_decisions
from pylfr.governance.adjudication.database import Records
from pylfr.governance.adjudication.replay import UNFINISHED, Difference, LoggedAlert, replay
from pylfr.governance.adjudication.reviewed import AlertRow, Reviewed, reviewed_of, with_cut
from pylfr.governance.adjudication.signatures import DECISIONS, Signer, require_decider, signature_by
from pylfr.governance.adjudication.stored import StoredAlert, StoredDecision, StoredRecords
from pylfr.governance.adjudication.transaction import Transaction
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.types import Event, Recorded

# The kinds of entries that decide, and what they are about.
DECIDING = ("deployed", "alert", UNFINISHED, "run-ended", *DECISIONS)
Decided = TypeVar("Decided", Adjudication, Engagement, Outcome)


class Review:
    """What people see of alerts and decide on them, over the records and the log of one deployment.

    Every decision raises ``AdjudicationError`` where it is not theirs to take, the case is not there yet, or the
    records are not what the log says.
    """

    def __init__(self, records: Records, audit: AuditLog) -> None:
        self._records = records
        self._audit = audit
        # The digests of a log without a key mean something in one process only.
        self._keyed_digest = audit.keyed_digest if audit.is_signed else None

    def read(self) -> Reviewed:
        """All alerts and all differences."""
        with self._records.transaction() as transaction:
            stored = transaction.stored()
            logged = replay(self._audit.entries(*DECIDING), stored.words)
        reviewed = reviewed_of(logged, stored, self._keyed_digest)
        return reviewed if self._audit.holds(stored.head) else with_cut(reviewed, stored.head)

    def alerts(self, authorisation: str | None = None) -> tuple[AlertRow, ...]:
        """Every alert, the oldest first; of one authorisation where it is named."""
        return tuple(row for row in self.read().alerts if authorisation in (None, row.authorisation))

    def alert(self, id_: str) -> AlertRow:
        """The alert whose id is, or begins with, ``id_``. Raises ``AdjudicationError`` where it is not just one."""
        rows = {row.id: row for row in self.read().alerts}
        return rows[_only(id_, rows)]

    def adjudicate(
        self, id_: str, *, by: str, verdict: Verdict, reason: str = "", key: Signer | None = None
    ) -> Recorded[Adjudication]:
        """Record one person's verdict, signed with their ``key`` where the authorisation names who may decide."""
        return self._adjudicate("adjudication", id_, by, verdict, reason, key)

    def amend_verdict(
        self, id_: str, *, by: str, verdict: Verdict, reason: str, key: Signer | None = None
    ) -> Recorded[Adjudication]:
        """Record that a person's own verdict was mistaken, why, and what it is instead. The first one stays logged."""
        return self._adjudicate("verdict-amended", id_, by, verdict, reason, key)

    def engage(
        self, id_: str, *, by: str, decision: Decision, reason: str = "", key: Signer | None = None
    ) -> Recorded[Engagement]:
        """Record the decision to engage or not: what acts needs what this returns."""
        if not self._audit.is_signed:
            raise AdjudicationError(
                "nobody is engaged on the strength of a log that is not signed: give [audit] key and checkpoints"
            )
        with self._deciding(id_) as (transaction, alert):
            at, signed = self._signed("engagement", alert, by, decision, reason, key)
            decided = Engagement(alert=alert.case.alert, officer=by, decision=decision, at=at, reason=reason, **signed)
            alert.case.engage(decided)
            return self._record("engagement", transaction, decided, _details(decided, by, decision), number=1)

    def close_case(
        self, id_: str, *, by: str, finding: Finding, reason: str = "", key: Signer | None = None
    ) -> Recorded[Outcome]:
        """Record what it turned out to be, also where nobody was engaged."""
        return self._close("outcome", id_, by, finding, reason, key)

    def amend_outcome(
        self, id_: str, *, by: str, finding: Finding, reason: str, key: Signer | None = None
    ) -> Recorded[Outcome]:
        """Record that an outcome was mistaken, why, and what it is instead. The first one stays logged."""
        return self._close("outcome-amended", id_, by, finding, reason, key)

    def restore(self, *, by: str) -> tuple[Difference, ...]:
        """Store again what the log has, in place of whatever differs, and log that; what differed.

        Who was matched cannot be restored: the log has no names. Raises ``AdjudicationError`` where the terms of a
        deployment are missing, or the log is shorter than the records know: a person must look first.
        """
        with self._records.transaction() as transaction:
            stored = transaction.stored()
            logged = replay(self._audit.entries(*DECIDING), stored.words)
            reviewed = reviewed_of(logged, stored, self._keyed_digest)
            if any(each.alert is None for each in reviewed.differences):
                raise AdjudicationError(f"this cannot be restored: {_named(reviewed.differences)}")
            if not self._audit.holds(stored.head):
                raise AdjudicationError("the log is shorter than the records know: it was cut, and is not the truth")
            ids = {each.alert for each in reviewed.differences}
            rows = {row.id: row for row in stored.alerts}
            again = [
                _restored(alert, rows.get(id_), self._keyed_digest)
                for id_, alert in logged.alerts.items()
                if id_ in ids
            ]
            decisions = [each for row in again for each in expected_decisions(logged.alerts[row.id])]
            gone = [id_ for id_ in ids if id_ is not None and id_ not in logged.alerts]
            transaction.replace(again, decisions, gone=gone)
            for each in reviewed.differences:
                details = {"by": by, "alert": each.alert, "row": each.row, "what": each.what}
                self._audit.note(Event(kind="records-restored", details=details))
            transaction.remember(self._audit.head)
        return reviewed.differences

    def _adjudicate(
        self, kind: str, id_: str, by: str, verdict: Verdict, reason: str, key: Signer | None
    ) -> Recorded[Adjudication]:
        with self._deciding(id_) as (transaction, alert):
            at, signed = self._signed(kind, alert, by, verdict, reason, key)
            given = Adjudication(
                alert=alert.case.alert, adjudicator=by, verdict=verdict, at=at, reason=reason, **signed
            )
            case = (alert.case.adjudicate if kind == "adjudication" else alert.case.amend_verdict)(given)
            number = case.adjudications.index(given) + 1
            details = _details(given, by, verdict) | _amended(kind, alert, by)
            return self._record(kind, transaction, given, details, number=number)

    def _close(
        self, kind: str, id_: str, by: str, finding: Finding, reason: str, key: Signer | None
    ) -> Recorded[Outcome]:
        with self._deciding(id_) as (transaction, alert):
            at, signed = self._signed(kind, alert, by, finding, reason, key)
            decided = Outcome(alert=alert.case.alert, officer=by, finding=finding, at=at, reason=reason, **signed)
            (alert.case.close if kind == "outcome" else alert.case.amend_outcome)(decided)
            details = _details(decided, by, finding) | _amended(kind, alert, None)
            return self._record(kind, transaction, decided, details, number=1)

    @contextmanager
    def _deciding(self, id_: str) -> Iterator[tuple[Transaction, LoggedAlert]]:
        """The one alert of that id, locked for this decision, in which records and log agree."""
        with self._records.transaction() as transaction:
            wanted = self._id(id_)
            transaction.lock(wanted)
            stored = transaction.stored(only=[wanted])
            entries = tuple(self._audit.entries(*DECIDING, about=wanted))
            if _catch_up(transaction, entries, stored, wanted):
                stored = transaction.stored(only=[wanted])
            logged = replay(entries, stored.words)
            alert = logged.alerts[wanted]
            found = [
                each
                for each in (*logged.differences, *compare(logged, stored, keyed_digest=self._keyed_digest))
                if each.alert == wanted or (each.alert is None and alert.authorisation in each.row)
            ]
            if not self._audit.holds(stored.head):
                raise AdjudicationError("the log is shorter than the records know: it was cut; nothing is decided")
            if found:
                raise AdjudicationError(
                    f"the records are not what the log says, so nothing is decided: row {_named(found)}; "
                    "`pylfr audit verify --records` shows all of it, `pylfr alerts restore` takes the log's word"
                )
            yield transaction, alert

    def _id(self, begins: str) -> str:
        """The id of the alert whose id is, or begins with, this."""
        if any(True for _ in self._audit.entries("alert", about=begins)):
            return begins
        return _only(begins, (str(entry.details["alert"]) for entry in self._audit.entries("alert")))

    def _signed(
        self, kind: str, alert: LoggedAlert, by: str, what: str, reason: str, key: Signer | None
    ) -> tuple[datetime, _Signed]:
        """Whoever decides is one of those whom the authorisation names, and signs; nothing where it names none."""
        now = self._records.clock()
        require_decider(alert.rules.people, by, key)
        if what in alert.rules.reasons_for and not reason.strip():
            raise AdjudicationError(f"the policy asks why: give the reason for {what!r}")
        if key is None:
            return now, {"key": None, "signature": None}
        at, signature = signature_by(key, kind=kind, alert=alert.case.alert, by=by, what=what, reason=reason, now=now)
        return at, {"key": key.public.text, "signature": signature}

    def _record(
        self, kind: str, transaction: Transaction, decided: Decided, details: dict[str, str], *, number: int
    ) -> Recorded[Decided]:
        transaction.write(StoredDecision.of(decided, number=number))
        recorded = self._audit.decide(decided, Event(kind=kind, details=details))
        transaction.remember(self._audit.head)
        return recorded


class _Signed(TypedDict):
    key: str | None
    signature: str | None


def _details(decided: Adjudication | Engagement | Outcome, by: str, what: str) -> dict[str, str]:
    """What the log says of a decision."""
    details = {
        "alert": decided.alert,
        "by": by,
        "what": what,
        "reason": decided.reason,
        "decided_at": utc_text(decided.at),
    }
    if decided.key is not None and decided.signature is not None:
        details |= {"key": decided.key, "signature": decided.signature}
    return details


def _amended(kind: str, alert: LoggedAlert, by: str | None) -> dict[str, str]:
    """The number of the entry that an amendment replaces: the last verdict of ``by``, or without a name the outcome."""
    if kind not in ("verdict-amended", "outcome-amended"):
        return {}
    earlier = [
        each.entry.sequence
        for each in alert.decisions
        if (isinstance(each.decision, Outcome) if by is None else _is_verdict_of(by, each.decision))
    ]
    return {"amends": str(earlier[-1])}


def _is_verdict_of(by: str, decision: Adjudication | Engagement | Outcome) -> bool:
    return isinstance(decision, Adjudication) and identity_of(decision.adjudicator) == identity_of(by)


def _only(id_: str, alerts: Iterable[str]) -> str:
    found = [alert for alert in alerts if alert.startswith(id_)]
    if len(found) != 1:
        raise AdjudicationError(f"there must be one alert that begins with {id_!r}, there are {len(found)}")
    return found[0]


def _catch_up(transaction: Transaction, entries: tuple[LogEntry, ...], stored: StoredRecords, alert: str) -> bool:
    """Store decisions that were logged after the records had last seen the log: a crash came between the two."""
    logged = replay(entries, stored.words)
    if not any(each.alert == alert for each in compare(logged, stored)):
        return False
    before = replay(
        (each for each in entries if each.kind not in DECISIONS or each.sequence <= stored.head.sequence), stored.words
    )
    if any(each.alert == alert for each in compare(before, stored)):
        return False
    for row in expected_decisions(logged.alerts[alert]):
        transaction.write(row)
    return True


def _restored(alert: LoggedAlert, row: StoredAlert | None, keyed_digest: Callable[[bytes], str] | None) -> StoredAlert:
    """The row of an alert as the log has it; who was matched and when that is erased, as far as the row is true."""
    details, recorded_at = alert.entry.details, utc_text(alert.entry.at)
    entry = row.entry if row is not None else None
    if entry is not None and keyed_digest is not None and keyed_digest(entry.encode()) != details["entry_digest"]:
        entry = None
    return StoredAlert(
        id=alert.case.alert,
        sequence=alert.entry.sequence,
        authorisation=alert.authorisation,
        camera=str(details["camera"]),
        captured_at=str(details["captured_at"]),
        recorded_at=recorded_at,
        entry=entry,
        score=float(str(details["score"])),
        threshold=float(str(details["threshold"])),
        min_adjudicators=alert.rules.min_adjudicators,
        erase_at=row.erase_at if row is not None else recorded_at,
        forget_at=(row.forget_at if row is not None else None) or recorded_at,
    )


def _named(differences: Iterable[Difference]) -> str:
    """The rows that differ; not how, which may be a verdict that the next person must not know."""
    return "; ".join(dict.fromkeys(each.row for each in differences))
