"""Where the alerts of a deployment go: to the people who decide first, and then to the other sinks it names."""

from __future__ import annotations

from pylfr.deployment.authorise import Terms
from pylfr.deployment.resources import Resources
from pylfr.deployment.sections.sinks import SinkSection
from pylfr.governance.adjudication.database import RecordsSink
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.protocols import Ceiling, Sink
from pylfr.sinks.evidence import open_evidence, open_sealed_evidence
from pylfr.sinks.jsonl import open_jsonl
from pylfr.sinks.mqtt import MqttTls, open_mqtt
from pylfr.sinks.webhook import open_webhook


def open_sinks(resources: Resources, terms: Terms) -> list[Sink]:
    """Every sink of the deployment; they are closed with ``resources``. Raises ``SinkError``.

    Pictures are sealed first, so that they are there when the records put an alert before people; what hands alerts to
    others comes last.
    """
    sinks: list[Sink] = []
    retention = RetentionPolicy.of(terms.profile)
    pictures = [section for section in resources.deployment.sinks if section.type == "evidence"]
    others = [section for section in resources.deployment.sinks if section.type != "evidence"]
    sinks.extend(_opened(section, resources, terms) for section in pictures)
    if resources.records is not None:
        resources.records.add_deployment(
            terms.authority.reference, name=resources.deployment.name, profile=terms.profile.name, words=terms.words()
        )
        sinks.append(
            RecordsSink(
                resources.records,
                min_adjudicators=terms.profile.min_adjudicators,
                retention=retention.alerts,
                outcomes=retention.outcomes,
            )
        )
    sinks.extend(_opened(section, resources, terms) for section in others)
    return sinks


def false_alert_limit(resources: Resources, terms: Terms) -> Ceiling:
    """Pauses a run when reviewers find too many of its alerts false; without records nothing does."""
    if resources.records is None:
        return NoCeiling()
    return FalseAlertCeiling(
        resources.review,
        authorisation=terms.authority.reference,
        since=resources.now,
        ceiling=terms.profile.fpir_ceiling,
    )


def _opened(section: SinkSection, resources: Resources, terms: Terms) -> Sink:
    sink = _open_sink(section, resources, terms)
    resources.closes(sink.close)
    return sink


def _open_sink(section: SinkSection, resources: Resources, terms: Terms) -> Sink:
    match section.type:
        case "jsonl":
            return open_jsonl(section.path)
        case "evidence":
            retention = RetentionPolicy.of(terms.profile).alerts
            key = resources.evidence_key(section, expires_at=terms.authority.ends_at + retention)
            if key is None:
                return open_evidence(section.folder)
            return open_sealed_evidence(section.folder, key, retention=retention)
        case "webhook":
            return open_webhook(section.url, secret=section.secret, pictures=section.pictures)
        case "mqtt":
            return open_mqtt(
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
