"""Audit before alert: the only place that makes ``Recorded`` values."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pylfr._internal.atomic_file import sync_folder
from pylfr._internal.canonical_json import Plain, canonical, utc_text
from pylfr._internal.regular_file import reading_file
from pylfr.errors import AuditError
from pylfr.governance.audit.chain import (
    GENESIS,
    LogEntry,
    ReadLog,
    parse_checkpoint,
    parse_entry,
    read_log,
    sign_checkpoint,
)
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.types import Alert, Event, Recorded

Clock = Callable[[], datetime]
Decision = TypeVar("Decision")

# Two machines that share a log, or one that sets its clock, may differ by this much.
_CLOCK_SLACK = timedelta(seconds=2)
_SEE_VERIFY = "`pylfr audit verify` says more. Keep both files and begin others"
# The kind of entry that quotes a line without a checkpoint, for whoever investigates; nothing acts on it.
SET_ASIDE = "unsigned-entry-set-aside"
_LONGEST_QUOTE = 4096


def system_clock() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The last entry of a log: its number and digest; number 0 for an empty log."""

    sequence: int
    digest: str


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

    def __init__(
        self,
        path: Path,
        descriptor: int,
        key: SigningKey | None,
        checkpoints: int,
        clock: Clock,
        *,
        run: str | None = None,
    ) -> None:
        self._path = path
        self._run = run
        self._descriptor = descriptor
        self._key = key
        self._public = key.public if key is not None else None
        self._keyed_digest = keyed_digest_of(key)
        self._checkpoints = checkpoints
        self._clock = clock
        self._lock = threading.RLock()
        self._size = self._checkpoints_size = 0
        self._head = LogHead(sequence=0, digest=GENESIS)
        self._latest: datetime | None = None
        # Where each entry begins in the file.
        self._starts = array("Q")
        # The digest of each entry that has no checkpoint of its own, by its number.
        self._unsigned: dict[int, str] = {}

    @property
    def is_signed(self) -> bool:
        """Whether its entries are signed: nobody is engaged or withdrawn on the strength of a log that is not."""
        return self._key is not None

    @property
    def are_checkpoints_apart(self) -> bool:
        """Whether the checkpoints are on another file system than the log; True where there are none."""
        return self._checkpoints < 0 or os.fstat(self._checkpoints).st_dev != os.fstat(self._descriptor).st_dev

    @property
    def head(self) -> LogHead:
        """The last entry that can be believed. Raises ``AuditError`` where the log is damaged."""
        with self._alone():
            self._read_on()
            last = self._head.sequence
            while last in self._unsigned:
                last -= 1
            return LogHead(sequence=last, digest=self._digest_of(last))

    def holds(self, head: LogHead) -> bool:
        """Whether the log has that entry, and so is at least as long as it was then."""
        with self._alone():
            self._read_on()
            return head.sequence <= self._head.sequence and self._digest_of(head.sequence) == head.digest

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
        with self._alone():
            self._read_on()
            lines, unsigned = self._lines_after(after), frozenset(self._unsigned)
        wanted = [b'"kind":"%s"' % kind.encode() for kind in kinds]
        alert = canonical(about) if about is not None else b""
        for number, line in enumerate(lines, start=after + 1):
            # Every line was parsed when it was taken in; most are of other kinds, or about other alerts.
            if number in unsigned or (wanted and not any(each in line for each in wanted)):
                continue
            if alert and b'"alert":' in line and alert not in line:
                continue
            entry = self._parsed(line, number)
            if (not kinds or entry.kind in kinds) and (about is None or entry.details.get("alert", about) == about):
                yield entry

    def at(self, numbers: Iterable[int]) -> list[LogEntry]:
        """The entries with these numbers that are there and can be believed. Raises ``AuditError`` as ``entries``."""
        with self._alone():
            self._read_on()
            last, unsigned = self._head.sequence, self._unsigned
            lines = [
                (self._line(number), number) for number in numbers if 0 < number <= last and number not in unsigned
            ]
        return [self._parsed(line, number) for line, number in lines]

    def keyed_digest(self, content: bytes) -> str:
        """What the log has in place of ``content``: only the holder of the key can tell whether it is this."""
        return self._keyed_digest(content)

    def close(self) -> None:
        with self._lock:
            for descriptor in (self._descriptor, self._checkpoints):
                if descriptor >= 0:
                    os.close(descriptor)
            self._descriptor = self._checkpoints = -1

    def follow(self) -> None:
        """Take in what is in the file. Raises ``AuditError`` where it is damaged, or ends later than it is now."""
        with self._alone():
            self._read_on()
            now = self._clock()
            if self._latest is not None and now < self._latest - _CLOCK_SLACK:
                raise AuditError(
                    f"the clock says {utc_text(now)}, but {self._path} has an entry of {utc_text(self._latest)}: the "
                    "clock ran backwards; set it right"
                )

    def _append(self, kind: str, details: dict[str, Plain]) -> LogEntry:
        with self._alone():
            self._read_on()
            self._set_aside_unsigned()
            return self._write_entry(kind, details)

    def _write_entry(self, kind: str, details: dict[str, Plain]) -> LogEntry:
        entry = LogEntry(
            sequence=self._head.sequence + 1,
            at=self._clock(),
            kind=kind,
            details=details,
            previous=self._head.digest,
            run=self._run,
        )
        line = entry.line()
        self._write(self._descriptor, line)
        if self._key is not None:
            checkpoint = sign_checkpoint(entry, self._key).line()
            try:
                self._write(self._checkpoints, checkpoint)
            except AuditError:
                os.ftruncate(self._descriptor, self._size)
                raise
            self._checkpoints_size += len(checkpoint)
        self._take(entry, len(line))
        return entry

    def _set_aside_unsigned(self) -> None:
        """Replace a last entry that has no checkpoint by a signed note that quotes it.

        It was never acknowledged: its writer died, or had no key. Were it left in the chain, the next checkpoint would
        seem to vouch for it.
        """
        number = self._head.sequence
        if number not in self._unsigned:
            return
        digest, start = self._unsigned.pop(number), self._starts.pop()
        quoted = (
            os.pread(self._descriptor, min(self._size - start, _LONGEST_QUOTE), start)
            .decode("utf-8", "replace")
            .rstrip("\n")
        )
        os.ftruncate(self._descriptor, start)
        self._size = start
        self._head = LogHead(sequence=number - 1, digest=self._digest_of(number - 1))
        self._write_entry(SET_ASIDE, {"sequence": number, "digest": digest, "line": quoted})

    def _write(self, descriptor: int, line: bytes) -> None:
        begun_at = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError("the line was cut short")
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, begun_at)
            raise AuditError(f"the audit log {self._path} cannot be written ({error}): recognition stops") from error

    def _read_on(self) -> None:
        """Take in what others have added, to the log and to the checkpoints."""
        for line in self._new_lines(self._descriptor, self._size):
            try:
                entry = parse_entry(line)
            except ValueError as error:
                raise self._damaged(str(error)) from error
            if entry.sequence != self._head.sequence + 1 or entry.previous != self._head.digest:
                raise self._damaged(f"entry {entry.sequence} does not follow entry {self._head.sequence}")
            self._take(entry, len(line))
            if self._public is not None:
                self._unsigned[entry.sequence] = entry.digest
        if self._public is not None:
            for line in self._new_lines(self._checkpoints, self._checkpoints_size):
                self._take_checkpoint(line, self._public)
            self._require_signatures()

    def _new_lines(self, descriptor: int, size: int) -> list[bytes]:
        """The lines after ``size``. A last line without its end was never acknowledged: it is cut off."""
        now = os.lseek(descriptor, 0, os.SEEK_END)
        if now < size:
            raise AuditError(f"the audit log {self._path}, or its checkpoints, was cut while in use: recognition stops")
        added = os.pread(descriptor, now - size, size)
        whole = added.rfind(b"\n") + 1
        if whole < len(added):
            os.ftruncate(descriptor, size + whole)
        return added[:whole].splitlines(keepends=True)

    def _take(self, entry: LogEntry, length: int) -> None:
        self._starts.append(self._size)
        self._size += length
        self._head = LogHead(sequence=entry.sequence, digest=entry.digest)
        self._latest = max(self._latest or entry.at, entry.at)

    def _take_checkpoint(self, line: bytes, public: PublicKey) -> None:
        self._checkpoints_size += len(line)
        try:
            checkpoint = parse_checkpoint(line)
        except ValueError as error:
            raise AuditError(f"a checkpoint of {self._path}: {error}; {_SEE_VERIFY}") from error
        if not checkpoint.is_signed_with(public):
            raise AuditError(f"a checkpoint of {self._path} was not signed with the record's key; {_SEE_VERIFY}")
        number = checkpoint.sequence
        known = self._unsigned[number] if number in self._unsigned else self._digest_of(number)
        if number > self._head.sequence:
            raise AuditError(
                f"{self._path} ends at entry {self._head.sequence}, entry {number} had been signed: it was cut off; "
                f"{_SEE_VERIFY}"
            )
        if known != checkpoint.digest:
            raise self._damaged(f"entry {number} is not the one that was signed", line=number)
        self._unsigned.pop(number, None)

    def _require_signatures(self) -> None:
        """At most the last entry may lack a checkpoint, as after a crash; more than one, and none of them is ours."""
        last = self._head.sequence
        if last in self._unsigned and last - 1 in self._unsigned:
            first = last
            while first - 1 in self._unsigned:
                first -= 1
            raise self._damaged(
                f"entries {first} to {last} have no checkpoint: nobody who holds the record's key wrote them, or the "
                "checkpoints were cut",
                line=first,
            )

    def _digest_of(self, sequence: int) -> str:
        """The digest of an entry that was taken in."""
        if sequence == self._head.sequence or sequence < 1:
            return self._head.digest if sequence else GENESIS
        if sequence > self._head.sequence:
            return ""
        return self._parsed(self._line(sequence), sequence).digest

    def _line(self, number: int) -> bytes:
        """The line of an entry that was taken in."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else self._size
        return os.pread(self._descriptor, end - start, start)

    def _lines_after(self, number: int) -> list[bytes]:
        """The lines of the entries after that number."""
        if number >= len(self._starts):
            return []
        start = self._starts[number]
        return os.pread(self._descriptor, self._size - start, start).splitlines()

    def _parsed(self, line: bytes, number: int) -> LogEntry:
        """An entry that was taken in, read again."""
        try:
            return parse_entry(line)
        except ValueError as error:
            raise self._damaged(str(error), line=number) from error

    def _damaged(self, why: str, *, line: int | None = None) -> AuditError:
        place = self._head.sequence + 1 if line is None else line
        return AuditError(f"line {place} of {self._path}: {why}; {_SEE_VERIFY}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            if self._descriptor < 0:
                raise AuditError(f"the audit log {self._path} is closed: nothing can be recorded any more")
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

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
    descriptor = _open(path)
    try:
        exported = _open(checkpoints) if checkpoints is not None else -1
    except AuditError:
        os.close(descriptor)
        raise
    log = AuditLog(path, descriptor, key, exported, clock, run=run)
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


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_folder(path.parent)
        return descriptor
    except OSError as error:
        raise AuditError(
            f"the audit log {path} cannot be opened ({error.strerror}): give a folder to write in"
        ) from error
