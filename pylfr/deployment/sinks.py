"""Where the alerts of a deployment go: before people first, and then to whoever else is named."""

from __future__ import annotations

from datetime import datetime

from pylfr.deployment.authorise import Terms, evidence_key_of, records_of
from pylfr.deployment.config import Deployment, SinkSection
from pylfr.governance.adjudication.database import RecordsSink
from pylfr.governance.adjudication.false_alert_limit import FalseAlertCeiling, NoCeiling
from pylfr.governance.retention.sweeper import RetentionPolicy
from pylfr.protocols import Ceiling, Sink
from pylfr.sinks.evidence import open_evidence, open_sealed_evidence
from pylfr.sinks.jsonl import open_jsonl
from pylfr.sinks.mqtt import MqttTls, open_mqtt
from pylfr.sinks.webhook import open_webhook


def open_records_sink(deployment: Deployment, terms: Terms, now: datetime) -> tuple[list[Sink], Ceiling]:
    """Where alerts wait for people, before they go anywhere else, and what people found false pauses the run."""
    records = records_of(deployment)
    if records is None:
        return [], NoCeiling()
    records.add_deployment(
        terms.authority.reference, name=deployment.name, profile=terms.profile.name, words=terms.words()
    )
    sink = RecordsSink(
        records,
        min_adjudicators=terms.profile.min_adjudicators,
        retention=RetentionPolicy.of(terms.profile).alerts,
        outcomes=RetentionPolicy.of(terms.profile).outcomes,
    )
    ceiling = FalseAlertCeiling(
        records, authorisation=terms.authority.reference, since=now, ceiling=terms.profile.fpir_ceiling
    )
    return [sink], ceiling


def open_sink(section: SinkSection, terms: Terms, now: datetime) -> Sink:
    """One more place for recorded alerts; evidence is sealed where the deployment has a key. Raises ``SinkError``."""
    match section.type:
        case "jsonl":
            return open_jsonl(section.path)
        case "evidence":
            retention = RetentionPolicy.of(terms.profile).alerts
            key = evidence_key_of(section, expires_at=terms.authority.ends_at + retention, now=now)
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
