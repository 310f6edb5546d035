"""What a deployment runs under, as numbers: until when it is authorised, its record, and who has it."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pylfr.deployment.resources import Resources
from pylfr.errors import PylfrError


class GovernanceCollector(Collector):
    """Gives the numbers of one deployment's authority and record. A part that cannot be read is left out."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def collect(self) -> Iterator[Metric]:
        for part in (self._authorisation, self._record, self._receiver, self._key):
            try:
                yield from tuple(part())
            except PylfrError:
                # Closed with its engine, destroyed, or damaged: an absent number raises its own alarm.
                continue

    def _authorisation(self) -> Iterator[Metric]:
        permit = self._resources.deployment.authorisation
        ends_at = permit.ends_at if permit is not None else self._resources.signed.authorisation.ends_at
        yield GaugeMetricFamily(
            "pylfr_authorisation_end_timestamp_seconds", "When recognition must stop", value=ends_at.timestamp()
        )

    def _record(self) -> Iterator[Metric]:
        entries = self._resources.audit.head.sequence
        yield CounterMetricFamily("pylfr_audit_entries", "Entries of the audit log", value=entries)

    def _receiver(self) -> Iterator[Metric]:
        exporter = self._resources.exporter
        if exporter is not None:
            received = exporter.received
            yield GaugeMetricFamily(
                "pylfr_checkpoint_receiver_up",
                "1 while the other machine takes checkpoints",
                value=float(received is not None),
            )
            if received is not None:
                yield GaugeMetricFamily(
                    "pylfr_checkpoints_received", "Checkpoints on the other machine", value=received.sequence
                )

    def _key(self) -> Iterator[Metric]:
        key = self._resources.watchlist_key_file
        if key is not None:
            yield GaugeMetricFamily(
                "pylfr_watchlist_key_expiry_timestamp_seconds",
                "When the watchlist's key is destroyed",
                value=key.expires_at.timestamp(),
            )
