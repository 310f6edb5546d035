"""Alerts to an HTTP receiver: each a POST, retried until it is accepted, by a thread of its own."""

from __future__ import annotations

import contextlib
import http.client
import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pylfr._internal.secrets import redact, require_ascii, resolve_secrets
from pylfr.errors import ConfigError, SinkError
from pylfr.sinks.record import alert_json, require_size
from pylfr.types import Alert, Recorded

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0
# Statuses that are about the message itself (RFC 9110): the same request can never succeed. Any other answer, a wrong
# token (401), a wrong path (404) or a redirect (302) included, can be put right: the alert stays queued.
_NEVER = frozenset({400, 413, 415, 422})
# How much of an answer is read: the status is all that counts.
_ANSWER_BYTES = 4096
# What all queued alerts may hold together.
_QUEUE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    alert_id: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receiver:
    """The resolved address. It holds secrets, so it has no readable form."""

    parts: SplitResult
    secret: str | None
    timeout_s: float

    def __repr__(self) -> str:
        return "_Receiver(***)"

    def post(self, message: _Message, timeout_s: float) -> int:
        """The status of one attempt, which takes at most ``timeout_s`` once connected, however slowly an answer comes.

        Redirects are not followed. Raises ``OSError`` or ``HTTPException`` where there was no answer.
        """
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.hostname or "", self.parts.port, timeout=timeout_s)
        try:
            connection.connect()
            with _cut_off_after(timeout_s, connection.sock):
                connection.request("POST", self._path, body=message.body, headers=self._headers(message))
                response = connection.getresponse()
                # Enough that a small answer is read whole; of an endless one nothing more is taken.
                response.read(_ANSWER_BYTES)
                return response.status
        finally:
            connection.close()

    @property
    def _path(self) -> str:
        return (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")

    def _headers(self, message: _Message) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.alert_id, "User-Agent": "pylfr"}
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret}"
        return headers


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
        self._queued_bytes = 0
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
        require_size(message.body, failed)
        with self._changed:
            if self._closes_at is not None:
                raise SinkError(f"{failed}: the sink is closed")
            if len(self._queue) >= self._capacity or self._queued_bytes + len(message.body) > _QUEUE_BYTES:
                raise SinkError(
                    f"{failed}: {len(self._queue)} alerts are already queued{self._because()}; check the receiver"
                )
            self._queue.append(message)
            self._queued_bytes += len(message.body)
            self._changed.notify_all()

    def close(self) -> None:
        """Deliver what is queued, for a bounded time. Raises ``SinkError`` with the number of undelivered alerts."""
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
            raise SinkError(
                f"alerts not delivered to {self._address}{self._because()}: {lost}, see the audit record",
                undelivered=lost,
            )

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
                    self._queued_bytes -= len(message.body)

    def _next(self) -> _Message | None:
        """The oldest message, left in the queue until it is dealt with; None once there is nothing more to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closes_at is not None)
            return self._queue[0] if self._queue and self._left_s() > 0 else None

    def _attempt(self, message: _Message) -> Literal["accepted", "later", "refused"]:
        try:
            status = self._receiver.post(message, min(self._receiver.timeout_s, max(0.05, self._left_s())))
        except Exception as error:  # whatever one answer does to the HTTP client, the alerts after it are delivered
            # Only the kind of error and its system reason: a message could repeat the address or the secret.
            self._reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        else:
            if 200 <= status < 300:
                return "accepted"
            self._reason = f"status {status}"
            if status in _NEVER:
                log.error("alert %s was refused by %s: status %d", message.alert_id, self._address, status)
                return "refused"
        log.warning("alert %s is queued for %s%s", message.alert_id, self._address, self._because())
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
    variables too. At most ``capacity`` alerts are queued; ``close`` goes on for ``close_s``. Raises ``ConfigError``
    for an address that cannot be posted to, a secret that cannot be sent, and a variable that is not set.
    """
    owner = "the webhook"
    resolved = resolve_secrets(url, name=owner, percent_encoded=True)
    require_ascii(resolved, name=f"the address of {owner}")
    # Shown as it was written: many receivers put their secret into the path.
    address = redact(url)
    parts = _split(resolved, address)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        log.warning("%s sends alerts unencrypted: use https", address)
    if secret is not None:
        secret = resolve_secrets(secret, name=f"the secret of {owner}")
        require_ascii(secret, name=f"the secret of {owner}")
    receiver = _Receiver(parts=parts, secret=secret, timeout_s=timeout_s)
    sink = WebhookSink(receiver, address=address, capacity=capacity, close_s=close_s, pictures=pictures)
    sink.start()
    return sink


def _split(url: str, address: str) -> SplitResult:
    """The parts of a resolved address, whose secrets only ``address`` leaves out. Raises ``ConfigError``."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ConfigError(f"the webhook must have an address with a host and a port, got {address}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ConfigError(f"the webhook must have an address http:// or https://, got {address}")
    if "@" in parts.netloc:
        raise ConfigError(f'the webhook {address} must not carry a password: give it as secret = "${{NAME}}"')
    return parts


@contextlib.contextmanager
def _cut_off_after(seconds: float, connected: socket.socket) -> Iterator[None]:
    """Shut the connection down after so long: a timeout of a socket begins anew with every byte that arrives."""

    def cut_off() -> None:
        # Not as TLS shuts down: that would take the rest of the answer for plain text.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    alarm = threading.Timer(seconds, cut_off)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
