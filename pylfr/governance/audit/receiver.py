"""Stores the checkpoints of logs on another machine, out of reach of whoever takes over the first.

The protocol is HTTP. A sender is known by the record's key: only its signature makes a checkpoint, so no password is
needed, and nothing that is sent is secret. Checkpoints are only ever added.

- ``GET /v1/FINGERPRINT/head`` gives ``{"sequence": 7, "digest": "..."}``, the last checkpoint; sequence 0 for none
- ``POST /v1/FINGERPRINT/checkpoints`` takes checkpoints, one per line, in order, and answers with the new head once
  they are on the disk; 409 where one contradicts a stored one, or does not follow it
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pylfr._internal.atomic_file import sync_folder
from pylfr._internal.canonical_json import canonical
from pylfr._internal.private_folder import make_private_folder
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import integer_of, parse_object, text_of
from pylfr.errors import AuditError
from pylfr.governance.audit.chain import GENESIS, Checkpoint, parse_checkpoint
from pylfr.governance.audit.log_files import LogHead
from pylfr.governance.keys.keys import PublicKey

MOST_BYTES = 1 << 20
_LARGEST_STORE = 1 << 32
_PATIENCE_S = 10.0

# Each takes a thread. A sender needs one for moments.
MOST_CONNECTIONS = 256

_Request = socket.socket | tuple[bytes, socket.socket]
_Address = tuple[str, int] | str


class ConflictError(Exception):
    """A checkpoint contradicts one that was received before, or does not follow it."""


class CheckpointStore:
    """The checkpoints of one log, in one file that is only added to. Safe for concurrent use."""

    def __init__(self, path: Path, key: PublicKey) -> None:
        self._path = path
        self._key = key
        self._lock = threading.Lock()
        self._digests: dict[int, str] = {}
        self._last = 0

    def load(self) -> None:
        """Read what was received before. Raises ``AuditError`` for no file, damage and foreign lines."""
        try:
            if not self._path.exists():
                self._path.touch(mode=0o600)
                sync_folder(self._path.parent)
            content = read_file(self._path, largest=_LARGEST_STORE)
        except OSError as error:
            raise AuditError(f"the checkpoints {self._path} cannot be read: {error.strerror}") from error
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            # A torn last line was never acknowledged.
            os.truncate(self._path, len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                self._take(self._checked(line))
            except (ValueError, ConflictError) as error:
                raise AuditError(f"{self._path}, line {number}: {error}") from error

    @property
    def head(self) -> LogHead:
        """The last checkpoint; number 0 where there is none."""
        return LogHead(sequence=self._last, digest=self._digests.get(self._last, GENESIS))

    def add(self, lines: Iterable[bytes]) -> LogHead:
        """Store these checkpoints, all of them or none, and give the last one that is on the disk.

        Those that are stored already change nothing. Raises ``ValueError`` for anything that is no checkpoint of this
        log, ``ConflictError`` for one that contradicts another, ``OSError`` where the disk refuses.
        """
        with self._lock:
            fresh: list[Checkpoint] = []
            last = self._last
            for line in lines:
                checkpoint = self._checked(line)
                if checkpoint.sequence <= self._last:
                    self._require_same(checkpoint)
                    continue
                if checkpoint.sequence <= last:
                    raise ConflictError(f"checkpoint {checkpoint.sequence} does not follow checkpoint {last}")
                last = checkpoint.sequence
                fresh.append(checkpoint)
            if fresh:
                self._path.touch(mode=0o600)
                with self._path.open("ab") as file:
                    file.write(b"".join(checkpoint.line() for checkpoint in fresh))
                    file.flush()
                    os.fsync(file.fileno())
                for checkpoint in fresh:
                    self._take(checkpoint)
            return self.head

    def _checked(self, line: bytes) -> Checkpoint:
        checkpoint = parse_checkpoint(line)
        if not checkpoint.is_signed_with(self._key):
            raise ValueError("it was not signed with this log's key")
        return checkpoint

    def _require_same(self, checkpoint: Checkpoint) -> None:
        if self._digests.get(checkpoint.sequence) != checkpoint.digest:
            raise ConflictError(f"entry {checkpoint.sequence} is not the one that was received before")

    def _take(self, checkpoint: Checkpoint) -> None:
        if checkpoint.sequence <= self._last:
            raise ConflictError(f"checkpoint {checkpoint.sequence} does not follow checkpoint {self._last}")
        self._digests[checkpoint.sequence] = checkpoint.digest
        self._last = checkpoint.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The certificate that the receiver shows, and its private key, as PEM files."""

    certificate: Path
    private_key: Path


class CheckpointReceiver(ThreadingHTTPServer):
    """Serves the stores of several logs, by the fingerprints of their keys. Made by ``open_receiver``."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], stores: dict[str, CheckpointStore]) -> None:
        super().__init__(address, _Handler)
        self.stores = stores
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request(self, request: _Request, client_address: _Address) -> None:
        """Serve a connection on a thread of its own; one too many is closed, and its sender tries again."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._room.release()
            raise

    def process_request_thread(self, request: _Request, client_address: _Address) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: _Request, client_address: _Address) -> None:
        """Say nothing of a connection that broke, or was no TLS; anything else is a mistake of this program."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: CheckpointReceiver
    timeout = _PATIENCE_S
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        store = self._store("head")
        if store is not None:
            self._answer(HTTPStatus.OK, store.head)

    def do_POST(self) -> None:
        store = self._store("checkpoints")
        if store is None:
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send 1 to {MOST_BYTES} bytes, with their length")
            return
        try:
            self._answer(HTTPStatus.OK, store.add(self.rfile.read(int(length)).splitlines()))
        except ConflictError as error:
            self._answer(HTTPStatus.CONFLICT, str(error))
        except ValueError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            self._answer(HTTPStatus.INSUFFICIENT_STORAGE, f"it cannot be stored: {error.strerror}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the base class
        """Nothing is logged of a request."""

    def _store(self, what: str) -> CheckpointStore | None:
        parts = self.path.split("/")
        store = self.server.stores.get(parts[2]) if len(parts) == 4 and parts[1] == "v1" and parts[3] == what else None
        if store is None:
            self.close_connection = True
            self._answer(HTTPStatus.NOT_FOUND, "no such log is received here")
        return store

    def _answer(self, status: HTTPStatus, content: LogHead | str) -> None:
        body = (
            canonical({"sequence": content.sequence, "digest": content.digest})
            if isinstance(content, LogHead)
            else canonical({"error": content})
        )
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def open_receiver(
    folder: Path, keys: Iterable[PublicKey], *, host: str, port: int, tls: Tls | None = None
) -> CheckpointReceiver:
    """A receiver for the logs of these keys, each in a file of ``folder`` named by its fingerprint.

    ``serve_forever`` runs it; port 0 takes any that is free. Raises ``AuditError`` where a file is damaged, or the
    address or the certificate cannot be used.
    """
    stores = {}
    try:
        make_private_folder(folder)
        for key in keys:
            stores[key.fingerprint] = CheckpointStore(folder / f"{key.fingerprint}.checkpoints", key)
            stores[key.fingerprint].load()
        receiver = CheckpointReceiver((host, port), stores)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.private_key)
            # Whoever connects and says nothing must not keep the others waiting: its own thread shakes hands.
            receiver.socket = context.wrap_socket(receiver.socket, server_side=True, do_handshake_on_connect=False)
    except OSError as error:
        raise AuditError(f"checkpoints cannot be received at {host}:{port} into {folder}: {error}") from error
    return receiver


def parse_head(content: bytes) -> LogHead:
    """The head that a receiver answered with. Raises ``ValueError`` for anything else."""
    try:
        fields = parse_object(content, "sequence", "digest")
        return LogHead(sequence=integer_of(fields["sequence"], "sequence"), digest=text_of(fields["digest"], "digest"))
    except ValueError as error:
        raise ValueError(f"it is no head of a log: {error}") from error
