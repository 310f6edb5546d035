"""Alerts to an HTTP receiver: each a POST, tried again until it is taken, by a thread of its own."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pylfr._internal.secrets import redact, resolve_secrets
from pylfr.errors import ConfigError, SinkError
from pylfr.sinks.record import alert_json
from pylfr.types import Alert, Recorded

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0
# Statuses that say "later", RFC 9110 and RFC 6585: the same request may succeed; any other refusal stays one.
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    alert_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receiver:
    """Where to, resolved: holds secrets, so it has no readable form."""

    parts: SplitResult
    secret: str | None
    timeout_s: float

    def __repr__(self) -> str:
        return "_Receiver(***)"

    def post(self, message: _Message, timeout_s: float) -> int:
        """The status of one attempt. Raises ``OSError`` or ``HTTPException`` where there was none."""
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.hostname or "", self.parts.port, timeout=timeout_s)
        try:
            path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
            headers = {"Content-Type": "application/json", "Idempotency-Key": message.alert_id, "User-Agent": "pylfr"}
            if self.secret is not None:
                headers["Authorization"] = f"Bearer {self.secret}"
            connection.request("POST", path, body=message.body, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


class WebhookSink:
    """Takes alerts into a bounded queue and delivers them in order. Made by ``open_webhook``."""

    def __init__(self, receiver: _Receiver, *, address: str, capacity: int, close_s: float, pictures: bool) -> None:
        self._receiver = receiver
        self._address = address
        self._capacity = capacity
        self._close_s = close_s
        self._pictures = pictures
        self._changed = threading.Condition()
        self._queue: deque[_Message] = deque()
        self._refused: list[str] = []
        self._reason = ""
        self._closes_at: float | None = None
        self._thread = threading.Thread(target=self._deliver, name="pylfr-webhook", daemon=True)

    def __repr__(self) -> str:
        return f"WebhookSink({self._address!r})"

    def start(self) -> None:
        self._thread.start()

    def send(self, recorded: Recorded[Alert]) -> None:
        message = _Message(alert_id=recorded.value.id, body=alert_json(recorded, pictures=self._pictures).encode())
        failed = f"alert {message.alert_id} cannot be sent to {self._address}"
        with self._changed:
            if self._closes_at is not None:
                raise SinkError(
                    f"alert {message.alert_id} cannot be sent to {self._address}: the sink was closed before"
                )
            if len(self._queue) >= self._capacity:
                raise SinkError(
                    f"{failed}: {len(self._queue)} alerts already wait{self._because()}; see to the receiver"
                )
            self._queue.append(message)
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what waits, for a bounded time. Raises ``SinkError`` saying how many alerts were not delivered."""
        with self._changed:
            if self._closes_at is not None:
                return
            self._closes_at = time.monotonic() + self._close_s
            self._changed.notify_all()
        self._thread.join(self._close_s)
        with self._changed:
            lost = len(self._queue) + len(self._refused)
            # The thread may still wait for an answer: whatever comes now is too late.
            self._queue.clear()
        if lost:
            raise SinkError(f"alerts not delivered to {self._address}{self._because()}: {lost}, see the audit record")

    def _because(self) -> str:
        return f" ({self._reason})" if self._reason else ""

    def _deliver(self) -> None:
        failures = 0
        while (message := self._next()) is not None:
            outcome = self._attempt(message)
            with self._changed:
                if outcome == "later":
                    failures += 1
                    self._pause(failures)
                    continue
                failures = 0
                if outcome == "refused":
                    self._refused.append(message.alert_id)
                if self._queue:
                    self._queue.popleft()

    def _next(self) -> _Message | None:
        """The oldest message, left in the queue until it is dealt with; None once there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closes_at is not None)
            return self._queue[0] if self._queue and self._left_s() > 0 else None

    def _attempt(self, message: _Message) -> Literal["taken", "later", "refused"]:
        try:
            status = self._receiver.post(message, min(self._receiver.timeout_s, max(0.05, self._left_s())))
        except (OSError, http.client.HTTPException) as error:
            # Only the kind of error and its system reason: a message could repeat the address.
            self._reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        else:
            if 200 <= status < 300:
                return "taken"
            self._reason = f"status {status}"
            if status not in _LATER:
                log.error("alert %s was refused by %s: status %d", message.alert_id, self._address, status)
                return "refused"
        log.warning("alert %s waits for %s%s", message.alert_id, self._address, self._because())
        return "later"

    def _pause(self, failures: int) -> None:
        """Wait before the next attempt; shorter where the sink is being closed. Holds ``changed``."""
        delay_s = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        until = time.monotonic() + delay_s
        self._changed.wait_for(lambda: self._closes_at is not None, timeout=delay_s)
        if self._closes_at is not None:
            rest_s = min(until - time.monotonic(), _FIRST_RETRY_S, self._left_s())
            self._changed.wait(timeout=max(0.0, rest_s))

    def _left_s(self) -> float:
        return float("inf") if self._closes_at is None else self._closes_at - time.monotonic()


def open_webhook(
    url: str,
    *,
    secret: str | None = None,
    pictures: bool = False,
    capacity: int = 256,
    timeout_s: float = 5.0,
    close_s: float = 10.0,
) -> WebhookSink:
    """A sink that POSTs each alert to ``url`` as JSON; its thread starts here.

    ``secret``, best as ``${NAME}`` of an environment variable, is sent as ``Authorization: Bearer``; ``url`` may name
    variables too. ``capacity`` alerts may wait; ``close`` goes on for ``close_s``. Raises ``ConfigError`` for an
    address that is not http or https, and for a variable that is not set.
    """
    owner = "the webhook"
    parts = urlsplit(resolve_secrets(url, name=owner, percent_encoded=True))
    # Shown as it was written: many receivers put their secret into the path.
    address = redact(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{owner} must have an address http:// or https://, got {address}")
    if "@" in parts.netloc:
        raise ConfigError(f'{owner} {address} must not carry a password: give it as secret = "${{NAME}}"')
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        log.warning("%s sends alerts unencrypted: use https", address)
    receiver = _Receiver(
        parts=parts,
        secret=None if secret is None else resolve_secrets(secret, name=f"the secret of {owner}"),
        timeout_s=timeout_s,
    )
    sink = WebhookSink(receiver, address=address, capacity=capacity, close_s=close_s, pictures=pictures)
    sink.start()
    return sink
