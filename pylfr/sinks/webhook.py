"""Alerts to an HTTP receiver: each a POST, which its answer confirms."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pylfr._internal.secrets import redact, require_ascii, resolve_secrets
from pylfr.errors import ConfigError
from pylfr.sinks.delivery import DeliveryError
from pylfr.sinks.record import AlertMessage

log = logging.getLogger(__name__)

# Statuses that are about the message itself (RFC 9110): the same request can never succeed. Any other answer, a wrong
# token (401), a wrong path (404) or a redirect (302) included, can be put right: the alert stays queued.
_NEVER = frozenset({400, 413, 415, 422})
# How much of an answer is read: the status is all that counts.
_ANSWER_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A ``Destination`` by HTTP. Its resolved address holds secrets, so it has no readable form."""

    address: str
    parts: SplitResult
    secret: str | None
    pictures: bool

    def __repr__(self) -> str:
        return "Receiver(***)"

    def deliver(self, message: AlertMessage, timeout_s: float) -> None:
        try:
            status = self._post(message, timeout_s)
        except Exception as error:  # whatever one answer does to the HTTP client, the alerts after it are delivered
            # Only the kind of error and its system reason: a message could repeat the address or the secret.
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise DeliveryError(reason) from None
        if not 200 <= status < 300:
            raise DeliveryError(f"status {status}", is_final=status in _NEVER)

    def close(self) -> None:
        """Each attempt has a connection of its own."""

    def _post(self, message: AlertMessage, timeout_s: float) -> int:
        """The status of one attempt, which takes at most ``timeout_s`` once connected, however slowly an answer comes.

        Redirects are not followed. Raises ``OSError`` or ``HTTPException`` where there was no answer.
        """
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.hostname or "", self.parts.port, timeout=timeout_s)
        try:
            connection.connect()
            with _cut_off_after(timeout_s, connection.sock):
                connection.request("POST", self._path, body=message.json().encode(), headers=self._headers(message))
                response = connection.getresponse()
                # Enough that a small answer is read whole; of an endless one nothing more is taken.
                response.read(_ANSWER_BYTES)
                return response.status
        finally:
            connection.close()

    @property
    def _path(self) -> str:
        return (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")

    def _headers(self, message: AlertMessage) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message.id, "User-Agent": "pylfr"}
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret}"
        return headers


def webhook_of(url: str, *, secret: str | None = None, pictures: bool = False) -> Receiver:
    """The receiver at ``url``, which gets each alert as a POST of JSON.

    ``secret``, best as ``${NAME}`` of an environment variable, is sent as ``Authorization: Bearer``; ``url`` may name
    variables too. Raises ``ConfigError`` for an address that cannot be posted to, a secret that cannot be sent, and a
    variable that is not set.
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
    return Receiver(address=address, parts=parts, secret=secret, pictures=pictures)


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
