"""How far a sink is behind the log: what waits and since when, what it took, refused, and never got."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from pylfr.errors import SinkError
from pylfr.monitoring.outbox_collector import OutboxCollector
from pylfr.sinks import delivery
from pylfr.sinks.delivery import DeliveryError, start_delivery
from pylfr.sinks.pending import PendingInMemory
from tests.samples import sample_alert
from tests.sinks.test_delivery import Somewhere, wait
from tests.sinks.test_record import recorded_alert


def test_what_waits_is_counted_with_its_age_and_so_is_what_became_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 30.0)
    first, second, third = (recorded_alert(replace(sample_alert(), id=f"id-{number}")) for number in range(3))
    somewhere = Somewhere(DeliveryError("never", is_final=True))
    sink = start_delivery(somewhere, PendingInMemory(capacity=9), name="webhook", close_s=0.0)
    registry = CollectorRegistry()
    registry.register(OutboxCollector([sink], now=lambda: third.recorded_at + timedelta(seconds=90)))

    def number(name: str) -> float | None:
        return registry.get_sample_value(f"pylfr_outbox_{name}", {"sink": "webhook", "to": "somewhere"})

    assert (number("alerts"), number("age_seconds")) == (0, 0)
    sink.send(first)
    sink.send(second)
    wait(lambda: somewhere.taken == [second.value.id])
    wait(lambda: number("alerts") == 0)
    somewhere.answers.append(DeliveryError("away"))
    sink.send(third)
    wait(lambda: not somewhere.answers)
    assert (number("alerts"), number("age_seconds")) == (1, 90)
    assert (number("delivered_total"), number("refused_total"), number("expired_total")) == (1, 1, 0)
    with pytest.raises(SinkError):
        sink.close()
