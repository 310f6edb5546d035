"""Sends checkpoints to a receiver on another machine while they are written, and compares the log with what is there.

It reads the file of checkpoints, so that those of every process that writes to the log are sent.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pylfr._internal.trusted import client_context
from pylfr.errors import AuditError
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import parse_checkpoint
from pylfr.governance.audit.log_files import LogHead
from pylfr.governance.audit.receiver import MOST_BYTES, parse_head
from pylfr.governance.keys.keys import PublicKey
from pylfr.types import Event

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_LONGEST_PAUSE_S = 30.0
_FLUSH_S = 5.0


class AwayError(Exception):
    """The receiver did not answer, or not as one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverClient:
    """Where checkpoints of one log go: ``url`` is http(s)://host:port; ``ca`` is trusted in place of the system's."""

    url: str
    key: PublicKey
    ca: Path | None = None
    timeout_s: float = 5.0

    def head(self) -> LogHead:
        """The last checkpoint that is there. Raises ``AwayError`` where it does not answer."""
        return self._ask("GET", "head", b"")

    def send(self, lines: list[bytes]) -> LogHead:
        """Send checkpoints and give the last one that is there.

        Raises ``AwayError`` where it does not answer, ``AuditError`` where it has others than these.
        """
        return self._ask("POST", "checkpoints", b"".join(lines))

    def _ask(self, method: str, what: str, body: bytes) -> LogHead:
        parts = urlsplit(self.url)
        try:
            host, port = parts.hostname or "", parts.port
            connection = (
                http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=client_context(self.ca))
                if parts.scheme == "https"
                else http.client.HTTPConnection(host, port, timeout=self.timeout_s)
            )
            try:
                connection.request(method, f"{parts.path.rstrip('/')}/v1/{self.key.fingerprint}/{what}", body)
                answer = connection.getresponse()
                content = answer.read(MOST_BYTES)
            finally:
                connection.close()
            if answer.status == http.HTTPStatus.CONFLICT:
                raise AuditError(
                    f"the checkpoint receiver {self.url} has other checkpoints than this log ({content[:200]!r}): the "
                    "log was cut or written anew; keep both for whoever investigates"
                )
            if answer.status != http.HTTPStatus.OK:
                raise AwayError(f"status {answer.status}: {content[:200]!r}")
            return parse_head(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AwayError(str(error) or type(error).__name__) from error


class CheckpointExporter:
    """Keeps a receiver up to date with a file of checkpoints, from a thread of its own.

    A receiver that is away for a while is logged, tried again, and given what it missed. Start it once; ``close`` sends
    what is left.
    """

    def __init__(self, audit: AuditLog, checkpoints: Path, client: ReceiverClient) -> None:
        self._audit = audit
        self._checkpoints = checkpoints
        self._client = client
        self._received: LogHead | None = None
        self._why_away = "it was not asked yet"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pylfr-checkpoints", daemon=True)

    def start(self) -> None:
        """Compare the log with what the receiver has, and send from now on.

        Raises ``AuditError`` where the log lacks what was received. A receiver that is away is tried again later.
        """
        try:
            self._compare()
        except AwayError as error:
            self._say_away(error)
        self._thread.start()

    def require_compared(self) -> None:
        """Raise ``AuditError`` unless the receiver has answered since the start."""
        if self._received is None:
            raise AuditError(
                f"the checkpoint receiver {self._client.url} is away ({self._why_away}), so that nobody can tell "
                "whether the log was cut: start it, or take checkpoint_receiver out of [audit] and have that signed"
            )

    @property
    def received(self) -> LogHead | None:
        """The last checkpoint that the receiver has; None while it is away."""
        return self._received

    def close(self) -> None:
        """Send what is left, for 5 s at most, and stop."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join(_FLUSH_S)

    def _run(self) -> None:
        pause = _LOOK_EVERY_S
        until: float | None = None
        while True:
            stopping = self._stopped.wait(pause)
            if stopping and until is None:
                until = time.monotonic() + _FLUSH_S
            try:
                if self._received is None:
                    self._compare()
                    self._audit.note(Event(kind="checkpoint-receiver-back", details={}))
                sent = self._send()
                pause = _LOOK_EVERY_S
                if stopping and not sent:
                    return
            except AwayError as error:
                if self._received is not None:
                    self._received = None
                    self._say_away(error)
                pause = min(2 * max(pause, _LOOK_EVERY_S), _LONGEST_PAUSE_S)
                if stopping:
                    return
            except AuditError as error:
                # The log is closed or damaged, or the receiver contradicts it: no start goes past that.
                log.error("checkpoints are not sent any more: %s", error)
                return
            if until is not None and time.monotonic() >= until:
                return

    def _say_away(self, error: AwayError) -> None:
        self._why_away = str(error)
        self._audit.note(Event(kind="checkpoint-receiver-away", details={"why": self._why_away[:200]}))

    def _compare(self) -> None:
        head = self._client.head()
        if not self._audit.holds(head):
            raise AuditError(
                f"the checkpoint receiver {self._client.url} has entry {head.sequence} of this log, which is gone or "
                "another: the log was cut or written anew; keep it for whoever investigates"
            )
        self._received = head

    def _send(self) -> bool:
        """Send what the receiver has not; whether there was anything."""
        received = self._received.sequence if self._received is not None else 0
        content = self._checkpoints.read_bytes()
        lines = [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
        fresh: list[bytes] = []
        size = 0
        # The newest are at the end; in a long file most were sent before.
        for line in reversed(lines):
            if parse_checkpoint(line).sequence <= received:
                break
            fresh.append(line)
        fresh.reverse()
        batch = []
        for line in fresh:
            size += len(line)
            if size > MOST_BYTES:
                break
            batch.append(line)
        if batch:
            self._received = self._client.send(batch)
        return bool(batch)
