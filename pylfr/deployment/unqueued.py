"""Every alert in the log reaches review: one that is in the log alone is found, and queued from there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from pylfr.deployment.instance_lock import running
from pylfr.deployment.resources import Resources
from pylfr.errors import PylfrError
from pylfr.governance.adjudication.replay import Replay, replay
from pylfr.governance.adjudication.review import DECIDING
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.retention.sweeper import SUFFIX, RetentionPolicy, read_sealed
from pylfr.sinks.record import AlertMessage
from pylfr.sinks.review import ReviewRules
from pylfr.types import Event

log = logging.getLogger(__name__)


def queue_unqueued(resources: Resources) -> int:
    """Queue every alert whose run broke off, or ended, before it was in the records; how many there were.

    Alerts of a run that goes on are left to it. A row that was there and is not any more is left to a person: where
    people decided on it, or its run ended with everything delivered. Raises ``AdjudicationError`` where the records are
    away, ``AuditError`` where the log is damaged.
    """
    records, audit = resources.records, resources.audit
    if records is None:
        return 0
    stored = records.stored()
    entries = _unqueued(replay(audit.entries(*DECIDING), stored.words), {row.id for row in stored.alerts}, resources)
    # Whatever people decided on was there.
    decided = {each.alert for each in stored.decisions}
    entries = [each for each in entries if str(each.details["authorisation"]) in stored.words]
    rules = review_rules(resources)
    queued = [
        message.sequence
        for message in messages_again(resources, pictures=False)(entries)
        if message.id not in decided and records.enter(rules.row_of(message, now=resources.now))
    ]
    if queued:
        log.warning("%d alerts were in the audit log and not in the records: they are queued for review", len(queued))
        numbers = ", ".join(str(each) for each in queued)[:2000]
        audit.note(Event(kind="alerts-queued-late", details={"alerts": len(queued), "entries": numbers}))
    return len(queued)


def messages_again(resources: Resources, *, pictures: bool) -> Callable[[list[LogEntry]], list[AlertMessage]]:
    """What makes alerts again from their entries in the log.

    Who was matched is found by the digest of the name, while the person is on the watchlist and where the log has a
    key; the picture is the sealed evidence, as long as it is retained.
    """

    def again(entries: list[LogEntry]) -> list[AlertMessage]:
        names = _names(resources) if entries else {}
        return [
            AlertMessage.of_entry(
                entry,
                entry=names.get(str(entry.details["entry_digest"])),
                crop_jpeg=_crop(resources, str(entry.details["alert"])) if pictures else None,
            )
            for entry in entries
        ]

    return again


def review_rules(resources: Resources) -> ReviewRules:
    """Under what rules alerts of the deployment are queued for review."""
    policy = RetentionPolicy.of(resources.profile)
    return ReviewRules(
        min_adjudicators=resources.profile.min_adjudicators, retention=policy.alerts, outcomes=policy.outcomes
    )


def _unqueued(logged: Replay, known: set[str], resources: Resources) -> list[LogEntry]:
    going_on = running(resources.deployment.audit.path, resources.deployment.name)
    return [
        alert.entry
        for id_, alert in logged.alerts.items()
        if id_ not in known
        and not alert.decisions
        and not alert.is_run_over
        and (going_on is None or going_on == resources.run or alert.entry.run != going_on)
    ]


def _names(resources: Resources) -> dict[str, str]:
    """The names on the watchlist by the digest that the log has of them; none where it cannot be opened any more."""
    names: dict[str, str] = {}
    with suppress(PylfrError):
        for each in resources.read_watchlist().snapshot.listed.values():
            names[resources.audit.keyed_digest(each.name.encode())] = each.name
    return names


def _crop(resources: Resources, alert: str) -> bytes | None:
    """The sealed picture of the probe; None where there is none, or none any more."""
    for sink in resources.deployment.sinks:
        if sink.type != "evidence" or sink.key is None or not sink.key.exists():
            continue
        path = sink.folder / f"{alert}.probe{SUFFIX}"
        with suppress(PylfrError):
            key = resources.evidence_key(sink, expires_at=resources.now)
            if key is not None and path.exists():
                return read_sealed(path, key, now=resources.now)
    return None
