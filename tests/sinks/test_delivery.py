"""Whatever a destination does, the engine does not wait, each alert arrives in the end, and the record says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from pylfr.errors import AuditError, SinkError
from pylfr.sinks import delivery
from pylfr.sinks.delivery import DeliveryError, DeliverySink, start_delivery
from pylfr.sinks.pending import PendingInMemory
from pylfr.sinks.record import AlertMessage
from pylfr.types import Event
from tests.samples import sample_alert
from tests.sinks.test_record import recorded_alert

PATIENCE_S = 20.0


class Somewhere:
    """A destination whose ``answers`` are raised in turn; afterwards it takes everything."""

    address = "somewhere"
    pictures = False

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.taken: list[str] = []
        self.is_closed = False

    def deliver(self, message: AlertMessage, timeout_s: float) -> None:
        assert timeout_s > 0
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(message.id)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY_S", 0.001)


def send(sink: DeliverySink, number: int) -> None:
    sink.send(recorded_alert(replace(sample_alert(), id=f"id-{number}")))


def wait(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_trouble_that_lasts_is_recorded_once_and_so_is_its_end() -> None:
    events: list[Event] = []
    somewhere = Somewhere(*[DeliveryError("it is away") for _ in range(6)], RuntimeError("a mistake of ours"))
    sink = start_delivery(somewhere, PendingInMemory(capacity=9), name="test", note=events.append)
    send(sink, 1)
    send(sink, 2)
    wait(lambda: len(somewhere.taken) == 2)
    sink.close()
    assert somewhere.taken == ["id-1", "id-2"]
    assert somewhere.is_closed
    assert [each.kind for each in events] == ["delivery-delayed", "delivery-resumed"]
    assert events[0].details["because"] == "it is away"
    assert events[0].details["to"] == events[1].details["to"] == "somewhere"


def test_a_moments_trouble_is_not_recorded() -> None:
    events: list[Event] = []
    sink = start_delivery(
        Somewhere(DeliveryError("busy")), PendingInMemory(capacity=9), name="test", note=events.append
    )
    send(sink, 1)
    sink.close()
    assert events == []


def test_a_refusal_for_good_is_recorded_and_counted() -> None:
    events: list[Event] = []
    somewhere = Somewhere(DeliveryError("status 400", is_final=True))
    sink = start_delivery(somewhere, PendingInMemory(capacity=9), name="test", note=events.append)
    send(sink, 1)
    send(sink, 2)
    with pytest.raises(SinkError, match=r"alerts not delivered to somewhere \(status 400\): 1, see") as lost:
        sink.close()
    assert (lost.value.undelivered, somewhere.taken) == (1, ["id-2"])
    assert [(each.kind, each.details["alert"]) for each in events] == [("delivery-refused", "id-1")]


def test_a_log_that_cannot_be_written_does_not_end_delivery() -> None:
    def full(_: Event) -> None:
        raise AuditError("the audit log cannot be written")

    somewhere = Somewhere(*[DeliveryError("it is away") for _ in range(4)])
    sink = start_delivery(somewhere, PendingInMemory(capacity=9), name="test", note=full)
    send(sink, 1)
    sink.close()
    assert somewhere.taken == ["id-1"]


def test_a_destination_that_hangs_holds_up_neither_the_engine_nor_the_end() -> None:
    let_go = threading.Event()

    class Frozen(Somewhere):
        def deliver(self, message: AlertMessage, timeout_s: float) -> None:
            let_go.wait(PATIENCE_S)
            super().deliver(message, timeout_s)

    sink = start_delivery(Frozen(), PendingInMemory(capacity=9), name="test", close_s=0.1)
    began = time.monotonic()
    send(sink, 1)
    send(sink, 2)
    with pytest.raises(SinkError, match="alerts not delivered to somewhere: 2, see the audit record"):
        sink.close()
    assert time.monotonic() - began < PATIENCE_S / 2
    let_go.set()
