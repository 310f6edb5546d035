"""Audit before alert: the only place that makes ``Recorded`` values."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pylfr._internal.atomic_file import sync_folder
from pylfr._internal.canonical_json import Plain, utc_text
from pylfr.errors import AuditError
from pylfr.governance.audit.chain import GENESIS, LogEntry, parse_entry, sign_checkpoint
from pylfr.governance.keys.keys import SigningKey
from pylfr.types import Alert, Event, Recorded

Clock = Callable[[], datetime]
Decision = TypeVar("Decision")

# Two machines that share a log, or one that sets its clock, may differ by this much.
_CLOCK_SLACK = timedelta(seconds=2)


def system_clock() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


class RehearsalAudit:
    """Counts, and keeps nothing: a rehearsal on recorded material leaves no record behind."""

    def __init__(self) -> None:
        self._sequence = 0

    def record(self, alert: Alert) -> Recorded[Alert]:
        self._sequence += 1
        return Recorded(value=alert, sequence=self._sequence, recorded_at=system_clock())

    def note(self, event: Event) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


class AuditLog:
    """A log that is only ever added to, on disk before a call returns. Several processes may write to one.

    It holds keyed digests of pictures and of names, never a face: erasing evidence does not break the chain. With a
    key every entry is followed by a signed checkpoint in a file elsewhere. Made by ``open_audit``.
    """

    def __init__(self, path: Path, descriptor: int, key: SigningKey | None, checkpoints: int, clock: Clock) -> None:
        self._path = path
        self._descriptor = descriptor
        self._key = key
        self._digest_key = key.derived(b"pylfr audit digests") if key is not None else secrets.token_bytes(32)
        self._checkpoints = checkpoints
        self._clock = clock
        self._size = 0
        self._sequence = 0
        self._digest = GENESIS
        self._latest: datetime | None = None

    def record(self, alert: Alert) -> Recorded[Alert]:
        """Write the alert down for good. Raises ``AuditError`` where that fails: then nobody may see it."""
        entry = self._append("alert", self._details(alert))
        return Recorded(value=alert, sequence=entry.sequence, recorded_at=entry.at)

    def note(self, event: Event) -> None:
        """Write down something that happened. Raises ``AuditError`` where that fails."""
        self._append(event.kind, dict(event.details))

    def decide(self, decision: Decision, event: Event) -> Recorded[Decision]:
        """Write a person's decision down for good, as ``event`` says it. Raises ``AuditError`` where that fails."""
        entry = self._append(event.kind, dict(event.details))
        return Recorded(value=decision, sequence=entry.sequence, recorded_at=entry.at)

    def entries(self, kind: str) -> Iterator[LogEntry]:
        """What the log says of one kind, oldest first, up to now. Raises ``AuditError`` where it is damaged."""
        with self._alone():
            self._read_on()
        for line in os.pread(self._descriptor, self._size, 0).splitlines():
            # Every line was parsed when it was taken in; most are of other kinds.
            if b'"kind":"%s"' % kind.encode() in line and (entry := parse_entry(line)).kind == kind:
                yield entry

    def keyed_digest(self, content: bytes) -> str:
        """What the log says in place of ``content``: only the holder of the key can tell whether it is this."""
        return hmac.new(self._digest_key, content, hashlib.sha256).hexdigest()

    def close(self) -> None:
        for descriptor in (self._descriptor, self._checkpoints):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._checkpoints = -1

    def follow(self) -> None:
        """Take in what is in the file. Raises ``AuditError`` where it is damaged, or ends later than it is now."""
        with self._alone():
            self._read_on()
            _drop_torn_line(self._checkpoints)
            now = self._clock()
            if self._latest is not None and now < self._latest - _CLOCK_SLACK:
                raise AuditError(
                    f"the clock says {utc_text(now)}, but {self._path} has an entry of {utc_text(self._latest)}: the "
                    "clock ran backwards; set it right"
                )

    def _append(self, kind: str, details: dict[str, Plain]) -> LogEntry:
        with self._alone():
            self._read_on()
            entry = LogEntry(
                sequence=self._sequence + 1, at=self._clock(), kind=kind, details=details, previous=self._digest
            )
            self._write(self._descriptor, entry.line())
            self._take(entry, len(entry.line()))
            if self._key is not None:
                _drop_torn_line(self._checkpoints)
                self._write(self._checkpoints, sign_checkpoint(entry, self._key).line())
        return entry

    def _write(self, descriptor: int, line: bytes) -> None:
        begun_at = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError("the line was cut short")
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, begun_at)
            raise AuditError(f"the audit record {self._path} cannot be written ({error}): recognition stops") from error

    def _read_on(self) -> None:
        """Take in what others have added. A last line without its end was never acknowledged: its writer died."""
        size = os.lseek(self._descriptor, 0, os.SEEK_END)
        if size == self._size:
            return
        if size < self._size:
            raise AuditError(f"the audit record {self._path} was cut while it was in use: recognition stops")
        added = os.pread(self._descriptor, size - self._size, self._size)
        whole = added.rfind(b"\n") + 1
        if whole < len(added):
            os.ftruncate(self._descriptor, self._size + whole)
        for line in added[:whole].splitlines(keepends=True):
            try:
                entry = parse_entry(line)
            except ValueError as error:
                raise self._damaged(str(error)) from error
            if entry.sequence != self._sequence + 1 or entry.previous != self._digest:
                raise self._damaged(f"entry {entry.sequence} does not follow entry {self._sequence}")
            self._take(entry, len(line))

    def _take(self, entry: LogEntry, length: int) -> None:
        self._size += length
        self._sequence, self._digest = entry.sequence, entry.digest
        self._latest = max(self._latest or entry.at, entry.at)

    def _damaged(self, why: str) -> AuditError:
        return AuditError(
            f"line {self._sequence + 1} of {self._path}: {why}; `pylfr audit verify` says more. Keep the file and "
            "begin another"
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._descriptor < 0:
            raise AuditError(f"the audit record {self._path} is closed: nothing can be recorded any more")
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _details(self, alert: Alert) -> dict[str, Plain]:
        """What the record holds of an alert: when and where, against which list, and keyed digests of who and what."""
        return {
            "alert": alert.id,
            "camera": alert.camera,
            "captured_at": utc_text(alert.captured_at),
            "track": alert.track_id,
            "score": round(alert.score, 6),
            "threshold": alert.threshold,
            "model": alert.model,
            "watchlist_revision": alert.watchlist_revision,
            "authorisation": alert.authorisation,
            "entry_digest": self.keyed_digest(alert.entry.encode()),
            "crop_digest": self.keyed_digest(alert.crop.tobytes()),
        }


def open_audit(
    path: Path, *, key: SigningKey | None = None, checkpoints: Path | None = None, clock: Clock = system_clock
) -> AuditLog:
    """The audit log at ``path``, made where there is none.

    ``key`` signs a checkpoint of every entry into the file ``checkpoints``, which belongs on another machine's disk;
    without it the log is chained but not signed. Raises ``AuditError`` where it is damaged, out of reach, or has an
    entry later than now: a clock that runs backwards would let expired things live.
    """
    if (key is None) != (checkpoints is None):
        raise ValueError("checkpoints are signed and kept elsewhere: give both key and checkpoints, or neither")
    descriptor = _open(path)
    try:
        exported = _open(checkpoints) if checkpoints is not None else -1
    except AuditError:
        os.close(descriptor)
        raise
    log = AuditLog(path, descriptor, key, exported, clock)
    try:
        log.follow()
    except BaseException:
        log.close()
        raise
    return log


def _drop_torn_line(descriptor: int) -> None:
    """Drop what a writer left that died in the middle of a line."""
    if descriptor < 0:
        return
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_folder(path.parent)
        return descriptor
    except OSError as error:
        raise AuditError(
            f"the audit record {path} cannot be opened ({error.strerror}): give a folder to write in"
        ) from error
