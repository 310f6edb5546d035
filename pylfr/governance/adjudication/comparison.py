"""The records compared with the audit log, row by row: what differs is named, and nobody acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.adjudication.replay import Difference, LoggedAlert, Replay
from pylfr.governance.adjudication.stored import StoredAlert, StoredDecision, StoredRecords, day_of, erased_name

# Scores go through a database and JSON as the shortest text that reads back; the log rounds to six digits.
_SAME_SCORE = 1e-6


def compare(
    logged: Replay, stored: StoredRecords, *, keyed_digest: Callable[[bytes], str] | None = None
) -> Iterator[Difference]:
    """Everything in which the records are not what the log says.

    ``keyed_digest`` is the log's; without it nobody can tell whether the names of who was matched are the true ones.
    """
    rows = {row.id: row for row in stored.alerts}
    decisions: dict[str, list[StoredDecision]] = {}
    for decision in stored.decisions:
        decisions.setdefault(decision.alert, []).append(decision)
    for id_, alert in logged.alerts.items():
        number, row = alert.entry.sequence, f"alerts, {id_}"
        if id_ not in rows:
            what = _missing(alert, has_decisions=id_ in decisions)
            yield Difference(alert=id_, row=row, what=what, entry=number, names_somebody=False)
            continue
        for what in _alert(alert, rows[id_], keyed_digest):
            yield Difference(alert=id_, row=row, what=what, entry=number)
        yield from _decisions(alert, decisions.get(id_, []), is_forgotten=rows[id_].forget_at is None)
    for id_ in rows:
        if id_ not in logged.alerts:
            what = "the log has no such alert: the row was added, or the log was cut"
            yield Difference(alert=id_, row=f"alerts, {id_}", what=what, names_somebody=False, is_log_shorter=True)


def expected_decisions(alert: LoggedAlert) -> tuple[StoredDecision, ...]:
    """The rows that the log's decisions on an alert make."""
    case = alert.case
    rows = [StoredDecision.of(each, number=number) for number, each in enumerate(case.adjudications, start=1)]
    rows += [StoredDecision.of(each) for each in (case.engagement, case.outcome) if each is not None]
    return tuple(rows)


def _missing(alert: LoggedAlert, *, has_decisions: bool) -> str:
    number = alert.entry.sequence
    if alert.decisions or has_decisions:
        return f"missing, though the log has it as entry {number} and people decided on it: the row was deleted"
    if alert.is_run_over:
        return f"missing, though the log has it as entry {number} and its run ended properly: the row was deleted"
    return (
        f"missing; the log has it as entry {number}: it is being queued just now, its run broke off before it was, or "
        "the row was deleted"
    )


def _alert(alert: LoggedAlert, row: StoredAlert, keyed_digest: Callable[[bytes], str] | None) -> Iterator[str]:
    entry, details = alert.entry, alert.entry.details
    day = day_of if row.forget_at is None else str
    pairs: dict[str, tuple[object, object]] = {
        "sequence": (entry.sequence, row.sequence),
        "authorisation": (details["authorisation"], row.authorisation),
        "camera": (details["camera"], row.camera),
        "captured_at": (day(str(details["captured_at"])), row.captured_at),
        "recorded_at": (day(utc_text(entry.at)), row.recorded_at),
        "threshold": (details["threshold"], row.threshold),
        "min_adjudicators": (alert.rules.min_adjudicators, row.min_adjudicators),
    }
    for name, (said, found) in pairs.items():
        if said != found:
            yield f"{name} is {found!r}, in the log {said!r}"
    if abs(float(str(details["score"])) - row.score) > _SAME_SCORE:
        yield f"score is {row.score!r}, in the log {details['score']!r}"
    if (
        row.entry is not None
        and keyed_digest is not None
        and keyed_digest(row.entry.encode()) != details["entry_digest"]
    ):
        yield "who was matched is not the one that the log has"


def _decisions(alert: LoggedAlert, rows: list[StoredDecision], *, is_forgotten: bool) -> Iterator[Difference]:
    expected = {(each.table, each.number): each for each in expected_decisions(alert)}
    found = {(each.table, each.number): each for each in rows}
    id_, entry = alert.case.alert, alert.entry.sequence
    for place in sorted(set(expected) | set(found)):
        table, number = place
        row = f"{table}, {id_}" + (f", verdict {number}" if table == "adjudications" else "")
        if place not in found:
            yield Difference(alert=id_, row=row, what=f"missing; the log has {expected[place].what!r}", entry=entry)
        elif place not in expected:
            what = f"{found[place].what!r} of {found[place].by!r} is not in the log: the row was added"
            yield Difference(alert=id_, row=row, what=what, entry=entry)
        else:
            for what in _decision(expected[place], found[place], is_forgotten=is_forgotten):
                yield Difference(alert=id_, row=row, what=what, entry=entry)


def _decision(said: StoredDecision, found: StoredDecision, *, is_forgotten: bool) -> Iterator[str]:
    if said.what != found.what:
        yield f"{found.what!r}, in the log {said.what!r}"
    if is_forgotten:
        if found.by != erased_name(found.number):
            yield f"by {found.by!r}, whose name was to be erased"
        return
    for name in ("by", "at", "reason", "key", "signature"):
        if getattr(said, name) != getattr(found, name):
            yield f"{name} is {getattr(found, name)!r}, in the log {getattr(said, name)!r}"
