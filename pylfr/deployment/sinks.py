"""Where the alerts of a deployment go: to the people who decide, and to the other sinks it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pylfr._internal.steady_clock import steady_now
from pylfr.deployment.authorise import Terms
from pylfr.deployment.config import Deployment
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.sinks import EvidenceSection, MqttSection, SinkSection, WebhookSection
from pylfr.deployment.unqueued import messages_again, review_rules
from pylfr.governance.adjudication.database import Records
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.protocols import Ceiling, Sink
from pylfr.sinks.delivery import DeliverySink, Destination, start_delivery
from pylfr.sinks.evidence import open_evidence, open_sealed_evidence
from pylfr.sinks.jsonl import open_jsonl
from pylfr.sinks.mqtt import MqttTls, broker_of
from pylfr.sinks.pending import CursorInMemory, PendingInLog, open_cursor
from pylfr.sinks.review import ReviewQueue
from pylfr.sinks.webhook import webhook_of


def open_sinks(resources: Resources, terms: Terms) -> list[Sink]:
    """Every sink of the deployment; they are closed with ``resources``. Raises ``SinkError``.

    Pictures are sealed first, so that they are there when the records queue an alert for review. The records, webhooks
    and brokers follow the audit log, each on a thread of its own: what one has not confirmed is carried on later.
    """
    sections = resources.deployment.sinks
    _forget_cursors(resources.deployment, [each for each in sections if isinstance(each, WebhookSection | MqttSection)])
    sinks: list[Sink] = []
    for opened in _opened(sections, resources, terms):
        resources.closes(opened.close)
        if isinstance(opened, DeliverySink):
            resources.deliveries.append(opened)
        sinks.append(opened)
    return sinks


def false_alert_limit(resources: Resources, terms: Terms, *, since: datetime | None = None) -> Ceiling:
    """Pauses a run when reviewers find too many of its alerts false; without records nothing does.

    ``since`` is when the run began, if that was an earlier start.
    """
    if resources.records is None:
        return NoCeiling()
    return FalseAlertCeiling(
        resources.audit,
        authorisation=terms.authority.reference,
        words=terms.words(),
        since=since or resources.now,
        ceiling=terms.profile.fpir_ceiling,
    )


def _opened(sections: Sequence[SinkSection], resources: Resources, terms: Terms) -> Iterator[Sink]:
    for section in sections:
        if section.type == "evidence":
            yield _evidence(section, resources, terms)
    if resources.records is not None:
        yield _review_sink(resources, resources.records, terms)
    for section in sections:
        if section.type == "jsonl":
            yield open_jsonl(section.path)
        elif section.type != "evidence":
            yield _delivery(section, resources, terms)


def _review_sink(resources: Resources, records: Records, terms: Terms) -> Sink:
    """Queues alerts for review; what earlier runs left in the log alone is there by now (``require_whole_record``)."""
    authorisation = terms.authority.reference
    records.add_deployment(
        authorisation, name=resources.deployment.name, profile=terms.profile.name, words=terms.words()
    )
    pending = PendingInLog(
        lambda after: resources.audit.entries("alert", after=after),
        messages_again(resources, pictures=False),
        CursorInMemory(resources.audit.head.sequence, frozenset([authorisation])),
        retention=None,
        clock=steady_now,
    )
    queue = ReviewQueue(records, review_rules(resources), clock=steady_now)
    return start_delivery(queue, pending, name="records", note=resources.audit.note)


def _delivery(section: WebhookSection | MqttSection, resources: Resources, terms: Terms) -> Sink:
    """Hands alerts over to another system, from the first that it has not confirmed."""
    cursor = _cursor_path(resources.deployment, section)
    pending = PendingInLog(
        lambda after: resources.audit.entries("alert", after=after),
        messages_again(resources, pictures=section.pictures),
        open_cursor(cursor, authorisation=terms.authority.reference, head=resources.audit.head.sequence),
        retention=RetentionPolicy.of(terms.profile).alerts,
        clock=steady_now,
    )
    return start_delivery(_destination(section), pending, name=section.type, note=resources.audit.note)


def _destination(section: WebhookSection | MqttSection) -> Destination:
    if section.type == "webhook":
        return webhook_of(section.url, secret=section.secret, pictures=section.pictures)
    return broker_of(
        section.host,
        port=section.port,
        prefix=section.prefix,
        username=section.username,
        password=section.password,
        tls=MqttTls(
            ca=section.ca,
            certificate=section.certificate,
            private_key=section.private_key,
            passphrase=section.passphrase,
        )
        if section.tls
        else None,
        pictures=section.pictures,
    )


def _evidence(section: EvidenceSection, resources: Resources, terms: Terms) -> Sink:
    retention = RetentionPolicy.of(terms.profile).alerts
    key = resources.evidence_key(section, expires_at=terms.authority.ends_at + retention)
    if key is None:
        return open_evidence(section.folder)
    return open_sealed_evidence(section.folder, key, retention=retention)


def _cursor_path(deployment: Deployment, section: WebhookSection | MqttSection) -> Path:
    """Where it is written how far a destination is, which is known by its address as the deployment writes it."""
    where = section.url if section.type == "webhook" else f"{section.host}:{section.port}/{section.prefix}"
    return _cursors(deployment, f"{section.type}-{_short(where)}")


def _forget_cursors(deployment: Deployment, sections: Sequence[WebhookSection | MqttSection]) -> None:
    """Forget destinations that are not named any more: one that is named again later gets nothing of before."""
    named = {_cursor_path(deployment, section) for section in sections}
    pattern = _cursors(deployment, "*")
    for path in pattern.parent.glob(pattern.name):
        if path not in named:
            path.unlink(missing_ok=True)


def _cursors(deployment: Deployment, which: str) -> Path:
    path = deployment.audit.path
    return path.with_name(f".{path.name}.{_short(deployment.name)}.{which}.delivered")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
