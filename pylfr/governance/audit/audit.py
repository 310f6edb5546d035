"""Audit before alert: the only place that makes ``Recorded`` values."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.regular_file import reading_file
from pylfr.errors import AuditError
from pylfr.governance.audit.chain import LogEntry, ReadLog, read_log, sign_checkpoint
from pylfr.governance.audit.log_files import LogFiles, LogHead, open_log_files
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.types import Alert, Event, Recorded

Clock = Callable[[], datetime]
Decision = TypeVar("Decision")

# Two machines that share a log, or one that sets its clock, may differ by this much.
_CLOCK_SLACK = timedelta(seconds=2)
# The kind of entry that quotes a line without a checkpoint, for whoever investigates; nothing acts on it.
SET_ASIDE = "unsigned-entry-set-aside"


def system_clock() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


class RehearsalAudit:
    """Counts, and stores nothing: a rehearsal on recorded material leaves no record behind."""

    def __init__(self) -> None:
        self._sequence = 0

    def record(self, alert: Alert) -> Recorded[Alert]:
        self._sequence += 1
        return Recorded(value=alert, sequence=self._sequence, recorded_at=system_clock())

    def note(self, event: Event) -> None:
        """Nothing is stored."""

    def close(self) -> None:
        """Nothing is open."""


class AuditLog:
    """A log that is only ever added to, on disk before a call returns. Several processes and threads may write to one.

    It holds keyed digests of pictures and of names, never a face: erasing evidence does not break the chain. With a
    key every entry is followed by a signed checkpoint in a file elsewhere, and an entry without one is never acted on.
    Made by ``open_audit``.
    """

    def __init__(self, files: LogFiles, key: SigningKey | None, clock: Clock, *, run: str | None = None) -> None:
        self._files = files
        self._run = run
        self._key = key
        self._keyed_digest = keyed_digest_of(key)
        self._clock = clock
        self._lock = threading.RLock()

    @property
    def is_signed(self) -> bool:
        """Whether its entries are signed: nobody is engaged or withdrawn on the strength of a log that is not."""
        return self._key is not None

    @property
    def are_checkpoints_apart(self) -> bool:
        """Whether the checkpoints are on another file system than the log; True where there are none."""
        return self._files.are_checkpoints_apart

    @property
    def head(self) -> LogHead:
        """The last entry that can be believed. Raises ``AuditError`` where the log is damaged."""
        with self._up_to_date() as files:
            return files.signed_head

    def holds(self, head: LogHead) -> bool:
        """Whether the log has that entry, and so is at least as long as it was then."""
        with self._up_to_date() as files:
            return head.sequence <= files.head.sequence and files.digest_of(head.sequence) == head.digest

    def record(self, alert: Alert) -> Recorded[Alert]:
        """Write an alert down for good. Raises ``AuditError`` where that fails: then nobody may see it."""
        entry = self._append("alert", self._details(alert))
        return Recorded(value=alert, sequence=entry.sequence, recorded_at=entry.at)

    def recorded(self, alert: Alert) -> Recorded[Alert] | None:
        """An alert that was recorded before, by its id; None where it was not. Raises ``AuditError`` as ``entries``."""
        for entry in self.entries("alert", about=alert.id):
            return Recorded(value=alert, sequence=entry.sequence, recorded_at=entry.at)
        return None

    def note(self, event: Event) -> None:
        """Write down something that happened. Raises ``AuditError`` where that fails."""
        self._append(event.kind, dict(event.details))

    def decide(self, decision: Decision, event: Event) -> Recorded[Decision]:
        """Write a person's decision down for good, worded as ``event``. Raises ``AuditError`` where that fails."""
        entry = self._append(event.kind, dict(event.details))
        return Recorded(value=decision, sequence=entry.sequence, recorded_at=entry.at)

    def entries(self, *kinds: str, after: int = 0, about: str | None = None) -> Iterator[LogEntry]:
        """The entries of these kinds that can be believed, oldest first; of every kind where none is given.

        Those up to the number ``after`` are left out, and not read; so are those about another alert than ``about``,
        where it is given, and an entry without a checkpoint. Raises ``AuditError`` where the log is damaged.
        """
        with self._up_to_date() as files:
            lines, unsigned = files.lines_after(after), frozenset(files.unsigned)
        wanted = [b'"kind":"%s"' % kind.encode() for kind in kinds]
        alert = canonical(about) if about is not None else b""
        for number, line in enumerate(lines, start=after + 1):
            # Every line was parsed when it was taken in; most are of other kinds, or about other alerts.
            if number in unsigned or (wanted and not any(each in line for each in wanted)):
                continue
            if alert and b'"alert":' in line and alert not in line:
                continue
            entry = self._files.parsed(line, number)
            if (not kinds or entry.kind in kinds) and (about is None or entry.details.get("alert", about) == about):
                yield entry

    def at(self, numbers: Iterable[int]) -> list[LogEntry]:
        """The entries with these numbers that are there and can be believed. Raises ``AuditError`` as ``entries``."""
        with self._up_to_date() as files:
            known = [each for each in numbers if 0 < each <= files.head.sequence and each not in files.unsigned]
            lines = [(files.line(number), number) for number in known]
        return [self._files.parsed(line, number) for line, number in lines]

    def keyed_digest(self, content: bytes) -> str:
        """What the log has in place of ``content``: only the holder of the key can tell whether it is this."""
        return self._keyed_digest(content)

    def close(self) -> None:
        with self._lock:
            self._files.close()

    def follow(self) -> None:
        """Take in what is in the file. Raises ``AuditError`` where it is damaged, or ends later than it is now."""
        with self._up_to_date() as files:
            now = self._clock()
            if files.latest is not None and now < files.latest - _CLOCK_SLACK:
                raise AuditError(
                    f"the clock says {utc_text(now)}, but {files.path} has an entry of {utc_text(files.latest)}: the "
                    "clock ran backwards; set it right"
                )

    def _append(self, kind: str, details: dict[str, Plain]) -> LogEntry:
        with self._up_to_date() as files:
            if aside := files.cut_unsigned():
                quoted: dict[str, Plain] = {
                    "sequence": aside.sequence, "digest": aside.digest, "line": aside.line,
                }  # fmt: skip
                self._write(files, SET_ASIDE, quoted)
            return self._write(files, kind, details)

    def _write(self, files: LogFiles, kind: str, details: dict[str, Plain]) -> LogEntry:
        entry = LogEntry(
            sequence=files.head.sequence + 1,
            at=self._clock(),
            kind=kind,
            details=details,
            previous=files.head.digest,
            run=self._run,
        )
        files.append(entry, sign_checkpoint(entry, self._key) if self._key is not None else None)
        return entry

    @contextmanager
    def _up_to_date(self) -> Iterator[LogFiles]:
        """The files, alone, with whatever others have added taken in."""
        with self._lock:
            if not self._files.is_open:
                raise AuditError(f"the audit log {self._files.path} is closed: nothing can be recorded any more")
            with self._files.locked():
                self._files.read_on()
                yield self._files

    def _details(self, alert: Alert) -> dict[str, Plain]:
        """What the log says of an alert: when and where, against which list, and keyed digests of who and what.

        It is enough to queue and to send the alert again, once somebody says who has that digest.
        """
        return {
            "alert": alert.id,
            "camera": alert.camera,
            "captured_at": utc_text(alert.captured_at),
            "track": alert.track_id,
            "score": round(alert.score, 6),
            "threshold": alert.threshold,
            "calibrated": alert.calibrated,
            "box": " ".join(f"{side:.1f}" for side in alert.box),
            "model": alert.model,
            "watchlist_revision": alert.watchlist_revision,
            "authorisation": alert.authorisation,
            "entry_digest": self.keyed_digest(alert.entry.encode()),
            "crop_digest": self.keyed_digest(alert.crop.tobytes()),
        }


def keyed_digest_of(key: SigningKey | None) -> Callable[[bytes], str]:
    """What a log has in place of pictures and names: HMAC-SHA256 under the record's key, or a random one without it."""
    secret = key.derived(b"pylfr audit digests") if key is not None else secrets.token_bytes(32)
    return lambda content: hmac.new(secret, content, hashlib.sha256).hexdigest()


def open_audit(
    path: Path,
    *,
    key: SigningKey | None = None,
    checkpoints: Path | None = None,
    clock: Clock = system_clock,
    run: str | None = None,
) -> AuditLog:
    """The audit log at ``path``, made where there is none. ``run`` is written into each entry, where it is given.

    ``key`` signs a checkpoint of every entry into the file ``checkpoints``, which belongs on another machine's disk;
    without it the log is chained but not signed. Raises ``AuditError`` where it is damaged, out of reach, shorter than
    its checkpoints, has more than one entry that nobody signed, or has an entry later than now: a clock that runs
    backwards would let expired things live.
    """
    if (key is None) != (checkpoints is None):
        raise ValueError("checkpoints are signed and stored elsewhere: give both key and checkpoints, or neither")
    files = open_log_files(path, checkpoints, key.public if key is not None else None)
    log = AuditLog(files, key, clock, run=run)
    try:
        log.follow()
    except BaseException:
        log.close()
        raise
    return log


def read_audit(path: Path, *, checkpoints: Path | None = None, key: PublicKey | None = None) -> ReadLog:
    """What an audit log holds and what is wrong with it, between two entries of whoever writes to it meanwhile.

    Raises ``AuditError`` where a file cannot be read.
    """
    try:
        with reading_file(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            read = read_log(file.read(), _content(checkpoints), key)
            is_apart = checkpoints is None or checkpoints.stat().st_dev != os.fstat(file.fileno()).st_dev
            return replace(read, are_checkpoints_apart=is_apart)
    except OSError as error:
        raise AuditError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    with reading_file(path) as file:
        return file.read()
