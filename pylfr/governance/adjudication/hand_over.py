"""The hand-over of a shift: whoever takes over names every open alert, and signs for having seen that it is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pylfr._internal.canonical_json import canonical, utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.case import State
from pylfr.governance.adjudication.reviewed import AlertRow
from pylfr.governance.adjudication.signatures import Signer, require_decider, require_recent, signature_over, verifies
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import Flaw, LogEntry
from pylfr.governance.authorisation.enrolment import identity_of
from pylfr.types import Event

HAND_OVER = "hand-over"
_FORMAT = "pylfr-hand-over-1"
# What somebody still has to decide.
OPEN: frozenset[State] = frozenset({"open", "partly adjudicated", "confirmed", "engaged"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """``by`` took over from ``taken_from`` at ``at``, and acknowledged the ``alerts`` that were open, by their ids."""

    by: str
    taken_from: str
    alerts: tuple[str, ...]
    at: datetime


def open_alerts(rows: Iterable[AlertRow]) -> tuple[AlertRow, ...]:
    """Those on which somebody still has to decide, in the order given."""
    return tuple(row for row in rows if row.case.state in OPEN)


def hand_over_text(hand_over: HandOver) -> bytes:
    """What whoever takes over signs."""
    alerts = sorted(hand_over.alerts)
    return canonical([_FORMAT, hand_over.by, hand_over.taken_from, utc_text(hand_over.at), *alerts])


def take_over(
    hand_over: HandOver,
    *,
    open_now: Iterable[str],
    people: Mapping[str, str],
    key: Signer,
    now: datetime,
    audit: AuditLog,
) -> None:
    """Record a hand-over, signed by who takes over.

    Raises ``AdjudicationError`` unless both are among ``people`` (anybody, where nobody is named), and the alerts are
    exactly those that are ``open_now``.
    """
    require_decider(people, hand_over.by, key)
    if people and identity_of(hand_over.taken_from) not in {identity_of(name) for name in people}:
        raise AdjudicationError(
            f"{hand_over.taken_from!r} hands over nothing here: the authorisation names {', '.join(sorted(people))}"
        )
    if identity_of(hand_over.by) == identity_of(hand_over.taken_from):
        raise AdjudicationError(f"{hand_over.by!r} cannot take over from themselves: name who hands over")
    require_recent("hand-over", hand_over.at, now)
    waiting, acknowledged = frozenset(open_now), frozenset(hand_over.alerts)
    if waiting != acknowledged:
        raise AdjudicationError(
            f"{len(waiting)} alerts are open, {len(waiting & acknowledged)} of them were acknowledged and "
            f"{len(acknowledged - waiting)} others: look at all that are open, and sign again"
        )
    entry: dict[str, str | int] = {
        "by": hand_over.by,
        "from": hand_over.taken_from,
        "alerts": " ".join(sorted(hand_over.alerts)),
        "count": len(hand_over.alerts),
        "decided_at": utc_text(hand_over.at),
        "key": key.public.text,
        "signature": signature_over(hand_over_text(hand_over), "hand-over", hand_over.by, key),
    }
    audit.note(Event(kind=HAND_OVER, details=entry))


def hand_over_of(entry: LogEntry) -> HandOver:
    """The hand-over that an entry of the log is."""
    details = entry.details
    return HandOver(
        by=str(details.get("by")),
        taken_from=str(details.get("from")),
        alerts=tuple(str(details.get("alerts")).split()),
        at=datetime.fromisoformat(str(details.get("decided_at"))),
    )


def verify_hand_overs(log: Iterable[LogEntry], people: Mapping[str, str] | None) -> Iterator[Flaw]:
    """Every hand-over in the log that is not of who is named in it."""
    known = {identity_of(name): text for name, text in (people or {}).items()}
    for line, entry in enumerate(log, start=1):
        if entry.kind != HAND_OVER:
            continue
        by, key = str(entry.details.get("by")), str(entry.details.get("key"))
        if known and known.get(identity_of(by)) != key:
            yield Flaw(line=line, what=f"the hand-over is signed with a key that is not that of {by!r}")
        elif not _verifies(entry, key):
            yield Flaw(line=line, what=f"the hand-over is not the one that {by!r} signed")


def _verifies(entry: LogEntry, key: str) -> bool:
    try:
        text = hand_over_text(hand_over_of(entry))
    except ValueError:
        return False
    return verifies(key, text, str(entry.details.get("signature")))
