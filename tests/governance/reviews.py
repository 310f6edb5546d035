"""Alerts that wait for people, in records and in a signed log, under terms that the records hold."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pylfr._internal.canonical_json import digest
from pylfr.governance.adjudication.database import Records
from pylfr.governance.audit.audit import AuditLog, Clock, open_audit, system_clock
from pylfr.governance.audit.chain import LogEntry, parse_entry
from pylfr.governance.authorisation.authority import Authorisation, plain_fields
from pylfr.governance.keys.keys import make_key, read_signing_key
from pylfr.sinks.record import AlertMessage
from pylfr.sinks.review import ReviewRules
from pylfr.types import Alert, Event, Recorded
from tests.governance.samples import authorisation
from tests.samples import sample_alert

DAY = timedelta(hours=24)
# Whoever gives a name may decide; two people under the one, one person under the other.
TWO_PEOPLE = authorisation(people={})
ONE_PERSON = authorisation(people={}, profile="research")


def signed_log(folder: Path, *, clock: Clock = system_clock) -> AuditLog:
    """A log in ``folder`` under a key of its own."""
    key = folder / "record.key"
    if not key.exists():
        make_key(key)
    return open_audit(folder / "audit.log", key=read_signing_key(key), checkpoints=folder / "elsewhere", clock=clock)


def entries_of(folder: Path) -> list[LogEntry]:
    return [parse_entry(line) for line in (folder / "audit.log").read_bytes().splitlines()]


def deploy(records: Records, audit: AuditLog, terms: Authorisation = TWO_PEOPLE) -> None:
    """What a start writes down of the terms that it runs under."""
    fields = plain_fields(terms)
    audit.note(Event(kind="deployed", details={"authorisation": terms.reference, "terms": digest(fields)}))
    records.add_deployment(terms.reference, name=terms.deployment, profile=terms.profile, words=words_of(terms))


def words_of(terms: Authorisation) -> str:
    """The terms as the records hold them."""
    return json.dumps(plain_fields(terms), ensure_ascii=False)


def queue(
    records: Records, audit: AuditLog, *, id_: str = "a1", terms: Authorisation = TWO_PEOPLE, entry: str = "Ada"
) -> None:
    """An alert, recorded and queued for review."""
    recorded = audit.record(replace(sample_alert(entry=entry, authorisation=terms.reference), id=id_))
    enter(records, recorded, people=1 if terms.profile == "research" else 2)


def enter(
    records: Records,
    recorded: Recorded[Alert],
    *,
    people: int = 2,
    retention: timedelta = DAY,
    outcomes: timedelta = 31 * DAY,
) -> None:
    """Queue an alert for review."""
    rules = ReviewRules(min_adjudicators=people, retention=retention, outcomes=outcomes)
    assert records.enter(rules.row_of(AlertMessage.of(recorded), now=recorded.recorded_at))
