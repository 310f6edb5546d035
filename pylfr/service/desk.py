"""Alerts as their readers may see them, and what people decide on them: the service's view of one deployment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pylfr._internal.parts import in_parts
from pylfr.errors import AdjudicationError, VaultError
from pylfr.governance.adjudication.case import Adjudication, Engagement, Outcome
from pylfr.governance.adjudication.followed import FollowedReview
from pylfr.governance.adjudication.replay import Difference
from pylfr.governance.adjudication.review import Review
from pylfr.governance.adjudication.reviewed import AlertRow
from pylfr.governance.adjudication.signatures import GivenSignature
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.governance.keys.vault import VaultKey
from pylfr.governance.retention.sweeper import SUFFIX, read_sealed
from pylfr.service.access import Caller
from pylfr.service.feed import MOST_EVENTS, FeedEvent, Told
from pylfr.service.views import AlertView, DecisionView, SignedEngagement, SignedOutcome, SignedVerdict
from pylfr.types import Event

Part = Literal["probe", "reference", "scene"]

# What pages are told of as it happens, besides alerts; of a decision only that there is one.
_DECIDED = ("adjudication", "verdict-amended", "engagement", "outcome", "outcome-amended")
_TOLD = ("alert", *_DECIDED, "run-began", "run-ended", "threshold-raised", "withdrawn", "erased")
# Rows of so many entries are in memory at once.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFolder:
    """Where sealed pictures are, and the key that opens them."""

    folder: Path
    key: VaultKey


class Desk:
    """Reads and decides through ``Review``, which believes the signed log alone. Safe for many threads.

    ``followed`` finds and counts alerts; a reader is shown none but through ``view``.
    """

    def __init__(
        self,
        review: Review,
        followed: FollowedReview,
        audit: AuditLog,
        *,
        deployment: str,
        evidence: Callable[[], Sequence[EvidenceFolder]],
        category_of: Callable[[str], str | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._review = review
        self.followed = followed
        self._audit = audit
        self._deployment = deployment
        self._evidence = evidence
        self._category_of = category_of
        self._clock = clock

    def view(self, row: AlertRow, reader: Caller | None = None) -> AlertView:
        """An alert as ``reader`` may see it; without one, as whoever has not decided yet may."""
        return self._view(row, identity_of(reader.name) if reader is not None else None)

    def alert(self, id_: str, reader: Caller) -> AlertView:
        """One alert. Raises ``KeyError`` where there is none of that id."""
        return self.view(self._row(id_), reader)

    def picture(self, id_: str, part: Part, reader: Caller) -> bytes:
        """A part of an alert's evidence as a JPEG; that ``reader`` saw it is in the log first.

        Raises ``KeyError`` where there is no such alert, ``VaultError`` where the picture was erased.
        """
        row = self._row(id_)
        for each in self._evidence():
            path = each.folder / f"{row.id}.{part}{SUFFIX}"
            if path.exists():
                picture = read_sealed(path, each.key, now=self._clock())
                self._audit.note(
                    Event(kind="picture-viewed", details={"alert": row.id, "part": part, "by": reader.name})
                )
                return picture
        raise VaultError(f"there is no sealed {part} picture of alert {row.id}: it was erased, or none was sealed")

    def adjudicate(self, id_: str, given: SignedVerdict, reader: Caller) -> AlertView:
        """Record a signed verdict. Raises ``AdjudicationError`` where it is not the reader's to give."""
        row, key = self._row(id_), _signature(given, reader)
        record = self._review.amend_verdict if given.amends else self._review.adjudicate
        record(row.id, by=reader.name, verdict=given.what, reason=given.reason, key=key)
        return self.alert(row.id, reader)

    def engage(self, id_: str, given: SignedEngagement, reader: Caller) -> AlertView:
        """Record a signed decision to engage or not."""
        row = self._row(id_)
        self._review.engage(
            row.id, by=reader.name, decision=given.what, reason=given.reason, key=_signature(given, reader)
        )
        return self.alert(row.id, reader)

    def close(self, id_: str, given: SignedOutcome, reader: Caller) -> AlertView:
        """Record a signed outcome."""
        row, key = self._row(id_), _signature(given, reader)
        record = self._review.amend_outcome if given.amends else self._review.close_case
        record(row.id, by=reader.name, finding=given.what, reason=given.reason, key=key)
        return self.alert(row.id, reader)

    def events(self, after: int) -> Told:
        """What pages are told of the log after entry ``after``: nothing that could lead who has yet to decide."""
        covered = self.followed.read().sequence
        found = self._audit.entries(*_TOLD, after=after)
        # Of a long log no more is made ready than is held.
        entries = deque((each for each in found if each.sequence <= covered), maxlen=MOST_EVENTS + 1)
        is_complete = covered >= self._audit.head.sequence
        events = [event for some in in_parts(entries, _AT_ONCE) for event in self._told(some)]
        return Told(events=events, is_complete=is_complete)

    def differences(self) -> tuple[Difference, ...]:
        """Everything in which the records differ from the log: all of both is read and compared."""
        return self._review.read().differences

    def _told(self, entries: Sequence[LogEntry]) -> Iterator[FeedEvent]:
        rows = self.followed.rows(str(each.details["alert"]) for each in entries if "alert" in each.details)
        for entry in entries:
            number, row = entry.sequence, rows.get(str(entry.details.get("alert", "")))
            if row is None:
                told = {name: value for name, value in entry.details.items() if name in ("camera", "event", "because")}
                yield FeedEvent(id=number, kind=entry.kind, data=told)
            elif entry.kind == "alert":
                yield FeedEvent(id=number, kind="alert", data=self.view(row).model_dump(mode="json"))
            else:
                yield FeedEvent(id=number, kind="decided", data={"alert": row.id, "state": row.case.state})

    def _row(self, id_: str) -> AlertRow:
        return self.followed.rows([id_])[id_]

    def _view(self, row: AlertRow, reader: str | None) -> AlertView:
        case = row.case
        mine = next((each for each in case.adjudications if identity_of(each.adjudicator) == reader), None)
        is_settled = case.state not in ("open", "partly adjudicated")
        sees_score = is_settled or mine is not None
        return AlertView(
            id=row.id,
            deployment=self._deployment,
            camera=row.camera,
            captured_at=row.captured_at,
            possible_match=row.entry,
            category=self._category_of(row.entry) if row.entry is not None else None,
            state=case.state,
            verdicts_in=len(case.adjudications),
            verdicts_needed=case.min_adjudicators,
            mine=_decision(mine),
            verdicts=[_said(each) for each in case.visible_adjudications] if is_settled else None,
            score=round(row.score, 3) if sees_score else None,
            threshold=row.threshold if sees_score else None,
            engagement=_decision(case.engagement),
            outcome=_decision(case.outcome),
            erase_at=row.erase_at,
            pictures=[part for part in get_args(Part) if self._has(row.id, part)],
            reasons_for=sorted(row.reasons_for),
            differences=[f"{each.row}: {each.what}" for each in row.differences],
        )

    def _has(self, id_: str, part: Part) -> bool:
        return any((each.folder / f"{id_}.{part}{SUFFIX}").exists() for each in self._evidence())


def _signature(given: SignedVerdict | SignedEngagement | SignedOutcome, reader: Caller) -> GivenSignature:
    if reader.person is None:
        raise AdjudicationError("a program decides nothing: only people do")
    return GivenSignature(public=reader.person.key, signature=given.signature, at=given.decided_at)


def _decision(decided: Adjudication | Engagement | Outcome | None) -> DecisionView | None:
    return None if decided is None else _said(decided)


def _said(decided: Adjudication | Engagement | Outcome) -> DecisionView:
    match decided:
        case Adjudication():
            by, what = decided.adjudicator, str(decided.verdict)
        case Engagement():
            by, what = decided.officer, str(decided.decision)
        case Outcome():
            by, what = decided.officer, str(decided.finding)
    return DecisionView(by=by, what=what, at=decided.at, reason=decided.reason)
