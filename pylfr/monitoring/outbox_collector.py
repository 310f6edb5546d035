"""How far every destination of alerts is behind the audit log, which is its outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pylfr._internal.steady_clock import steady_now
from pylfr.errors import PylfrError
from pylfr.sinks.delivery import DeliverySink

_LABELS = ("sink", "to")


class OutboxCollector(Collector):
    """Gives the numbers of sinks that follow the log. Labels are kinds of sinks and their addresses: never a person."""

    def __init__(self, sinks: Sequence[DeliverySink], *, now: Callable[[], datetime] = steady_now) -> None:
        """``sinks`` may grow: each scrape reports those that it holds by then."""
        self._sinks = sinks
        self._now = now

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("pylfr_outbox_alerts", "Alerts that a sink has not confirmed", labels=_LABELS)
        age = GaugeMetricFamily("pylfr_outbox_age_seconds", "Age of the oldest alert that waits, or 0", labels=_LABELS)
        delivered = CounterMetricFamily("pylfr_outbox_delivered", "Alerts that a sink confirmed", labels=_LABELS)
        refused = CounterMetricFamily("pylfr_outbox_refused", "Alerts that a sink refused for good", labels=_LABELS)
        expired = CounterMetricFamily("pylfr_outbox_expired", "Alerts not sent: their retention ended", labels=_LABELS)
        now = self._now()
        for sink in tuple(self._sinks):
            labels = (sink.name, sink.address)
            try:
                backlog = sink.backlog()
            except PylfrError:
                # The log is closed, or damaged: an absent number raises its own alarm.
                continue
            oldest = backlog.oldest_at
            waiting.add_metric(labels, backlog.waiting)
            age.add_metric(labels, 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
            delivered.add_metric(labels, backlog.delivered)
            refused.add_metric(labels, backlog.refused)
            expired.add_metric(labels, backlog.expired)
        yield from (waiting, age, delivered, refused, expired)
