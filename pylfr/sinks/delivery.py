"""Carries alerts to one destination on a thread of its own, in order, each until it is confirmed: at least once."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pylfr.errors import PylfrError, SinkError
from pylfr.governance.adjudication.replay import UNFINISHED
from pylfr.sinks.pending import PendingAlerts, PendingInMemory
from pylfr.sinks.record import AlertMessage, require_size
from pylfr.types import Alert, Event, Recorded

log = logging.getLogger(__name__)

_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 30.0
# After so many failures in a row the record says that alerts are delayed: a moment's trouble is none.
_DELAYED_AFTER = 3


class DeliveryError(Exception):
    """An alert was not taken: for now, or, where this ``is_final``, ever. The reason names no secret."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Destination(Protocol):
    """Somewhere alerts go."""

    @property
    def address(self) -> str:
        """Its name in messages, without secrets."""
        ...

    @property
    def pictures(self) -> bool:
        """Whether it gets the probe's crop too."""
        ...

    def deliver(self, message: AlertMessage, timeout_s: float) -> None:
        """Hand over one alert within about ``timeout_s``. Raises ``DeliveryError`` where it was not confirmed."""
        ...

    def close(self) -> None:
        """Nothing follows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryBacklog:
    """How far one destination is: alerts that wait, since when the oldest does, and what became of the others.

    ``delivered``, ``refused`` (for good) and ``expired`` (their retention had ended) count since this process began.
    """

    waiting: int
    oldest_at: datetime | None
    delivered: int
    refused: int
    expired: int


class DeliverySink:
    """A ``Sink`` whose engine never waits for the destination, however that fails. Made by ``start_delivery``."""

    def __init__(
        self,
        destination: Destination,
        pending: PendingAlerts,
        *,
        name: str,
        timeout_s: float,
        close_s: float,
        note: Callable[[Event], None],
    ) -> None:
        self._destination = destination
        self._pending = pending
        self.name = name
        self._timeout_s = timeout_s
        self._close_s = close_s
        self._note = note
        self._changed = threading.Condition()
        self._delivered = self._refused = self._expired = 0
        self._reason = ""
        self._is_delayed = False
        self._closes_at: float | None = None
        # A destination that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._deliver, name=f"pylfr-{name}", daemon=True)

    def __repr__(self) -> str:
        return f"DeliverySink({self._destination.address!r})"

    @property
    def address(self) -> str:
        """Where it delivers to, without secrets."""
        return self._destination.address

    def backlog(self) -> DeliveryBacklog:
        """How far it is now. May be called from any thread. Raises ``AuditError`` where the log cannot be read."""
        return DeliveryBacklog(
            waiting=self._pending.count(),
            oldest_at=self._pending.oldest_at(),
            delivered=self._delivered,
            refused=self._refused,
            expired=self._expired,
        )

    def start(self) -> None:
        self._thread.start()

    def send(self, recorded: Recorded[Alert]) -> None:
        message = AlertMessage.of(recorded, pictures=self._destination.pictures)
        failed = f"alert {message.id} cannot be sent to {self._destination.address}"
        require_size(message.json().encode(), failed)
        with self._changed:
            if self._closes_at is not None:
                raise SinkError(f"{failed}: the sink is closed")
            try:
                self._pending.put(message)
            except SinkError as error:
                raise SinkError(f"{failed}: {error}{self._because()}; check it") from None
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what waits, for a bounded time. Raises ``SinkError`` with the number of undelivered alerts."""
        with self._changed:
            if self._closes_at is not None:
                return
            self._closes_at = time.monotonic() + self._close_s
            self._changed.notify_all()
        self._thread.join(self._close_s)
        self._destination.close()
        left = self._pending.count()
        if left:
            self._say(UNFINISHED, waiting=left, because=self._reason)
        given_up = self._refused + self._expired
        if left or given_up:
            what_becomes = self._pending.what_becomes if left else "see the audit record"
            raise SinkError(
                f"alerts not delivered to {self._destination.address}{self._because()}: {left + given_up}, "
                f"{what_becomes}",
                undelivered=left + given_up,
            )

    def _because(self) -> str:
        return f" ({self._reason})" if self._reason else ""

    def _deliver(self) -> None:
        failures = carried = 0
        while True:
            try:
                message = self._next()
                self._say_expired()
                if message is None:
                    return
                is_done = self._attempt(message)
            except Exception as error:  # the log cannot be read just now, or is closed: the alert stays in it
                self._reason = f"{type(error).__name__}"
                is_done = False
            if not is_done:
                failures, carried = failures + 1, 0
                if failures == _DELAYED_AFTER:
                    self._say_delayed()
                if not self._pause(failures):
                    return
                continue
            failures, carried = 0, carried + 1
            if self._is_delayed and not self._pending.count():
                self._say_resumed(carried)

    def _next(self) -> AlertMessage | None:
        """The oldest alert, as soon as there is one; None once the sink is closed and there is nothing more to do."""
        while True:
            with self._changed:
                message = self._pending.first()
                if message is not None:
                    return message if self._left_s() > 0 else None
                if self._closes_at is not None:
                    return None
                self._changed.wait()

    def _attempt(self, message: AlertMessage) -> bool:
        """Whether the alert is dealt with: delivered, or refused for good."""
        address = self._destination.address
        try:
            self._destination.deliver(message, min(self._timeout_s, max(0.05, self._left_s())))
        except DeliveryError as error:
            self._reason = str(error)
            if not error.is_final:
                log.warning("alert %s waits for %s (%s)", message.id, address, error)
                return False
            self._refused += 1
            log.error("alert %s was refused by %s: %s", message.id, address, error)
            self._say("delivery-refused", alert=message.id, because=str(error))
        else:
            self._delivered += 1
        self._pending.done(message)
        return True

    def _pause(self, failures: int) -> bool:
        """Wait before the next attempt, shorter where the sink is being closed; whether there is time for one."""
        delay_s = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        until = time.monotonic() + delay_s
        with self._changed:
            self._changed.wait_for(lambda: self._closes_at is not None, timeout=delay_s)
            if self._closes_at is not None:
                rest_s = min(until - time.monotonic(), _FIRST_RETRY_S, self._left_s())
                self._changed.wait(timeout=max(0.0, rest_s))
            return self._left_s() > 0

    def _left_s(self) -> float:
        return float("inf") if self._closes_at is None else self._closes_at - time.monotonic()

    def _say_delayed(self) -> None:
        self._is_delayed = True
        self._say("delivery-delayed", waiting=self._pending.count(), because=self._reason)

    def _say_resumed(self, carried: int) -> None:
        self._is_delayed = False
        self._say("delivery-resumed", alerts=carried)

    def _say_expired(self) -> None:
        expired = self._pending.take_expired()
        if expired:
            self._expired += expired
            log.error("%d alerts were not sent to %s: their retention has ended", expired, self._destination.address)
            self._say("delivery-expired", alerts=expired)

    def _say(self, kind: str, **details: str | int) -> None:
        try:
            self._note(Event(kind=kind, details={"to": self._destination.address, **details}))
        except PylfrError as error:  # the engine finds out too; what is delivered meanwhile is not lost by it
            log.error("%s could not be recorded: %s", kind, error)


def start_delivery(
    destination: Destination,
    pending: PendingAlerts,
    *,
    name: str,
    timeout_s: float = 5.0,
    close_s: float = 10.0,
    note: Callable[[Event], None] = lambda _: None,
) -> DeliverySink:
    """A sink that carries alerts to ``destination``; its thread ``name`` starts here, with what an earlier run left.

    ``close`` goes on for ``close_s``; ``note`` writes into the record when alerts are delayed, refused or given up.
    """
    sink = DeliverySink(destination, pending, name=name, timeout_s=timeout_s, close_s=close_s, note=note)
    sink.start()
    return sink


def deliver_from_memory(
    destination: Destination, *, capacity: int = 256, timeout_s: float = 5.0, close_s: float = 10.0
) -> DeliverySink:
    """As ``start_delivery``, for a run without an audit log: at most ``capacity`` alerts are queued, in memory."""
    pending = PendingInMemory(capacity=capacity)
    return start_delivery(destination, pending, name="delivery", timeout_s=timeout_s, close_s=close_s)
