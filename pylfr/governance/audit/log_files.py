"""The log and its checkpoints on the disk, as several processes add to them: what was taken in, line by line."""

from __future__ import annotations

import fcntl
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pylfr._internal.atomic_file import sync_folder
from pylfr.errors import AuditError
from pylfr.governance.audit.chain import GENESIS, Checkpoint, LogEntry, parse_checkpoint, parse_entry
from pylfr.governance.keys.keys import PublicKey

_SEE_VERIFY = "`pylfr audit verify` says more. Keep both files and begin others"
_LONGEST_QUOTE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The last entry of a log: its number and digest; number 0 for an empty log."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An entry that nobody signed, as it was cut off: its number and digest, and how its line began."""

    sequence: int
    digest: str
    line: str


class LogFiles:
    """Where each entry begins, which is the last, and which have no checkpoint. Made by ``open_log_files``.

    For one thread at a time, inside ``locked``. Every method raises ``AuditError`` where the files are damaged.
    """

    def __init__(self, path: Path, descriptor: int, checkpoints: int, public: PublicKey | None) -> None:
        self.path = path
        self._descriptor = descriptor
        self._checkpoints = checkpoints
        self._public = public
        self._size = self._checkpoints_size = 0
        self.head = LogHead(sequence=0, digest=GENESIS)
        self.latest: datetime | None = None
        # Where each entry begins in the file.
        self._starts = array("Q")
        # The digest of each entry that has no checkpoint of its own, by its number.
        self.unsigned: dict[int, str] = {}

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    @property
    def are_checkpoints_apart(self) -> bool:
        """Whether the checkpoints are on another file system than the log; True where there are none."""
        return self._checkpoints < 0 or os.fstat(self._checkpoints).st_dev != os.fstat(self._descriptor).st_dev

    @property
    def signed_head(self) -> LogHead:
        """The last entry that can be believed, of those that were taken in."""
        last = self.head.sequence
        while last in self.unsigned:
            last -= 1
        return LogHead(sequence=last, digest=self.digest_of(last))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing meanwhile."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """May be called more than once."""
        for descriptor in (self._descriptor, self._checkpoints):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._checkpoints = -1

    def append(self, entry: LogEntry, checkpoint: Checkpoint | None) -> None:
        """Add an entry, and then its checkpoint; both are on the disk afterwards, or neither is in its file."""
        line = entry.line()
        self._write(self._descriptor, line)
        if checkpoint is not None:
            signed = checkpoint.line()
            try:
                self._write(self._checkpoints, signed)
            except AuditError:
                os.ftruncate(self._descriptor, self._size)
                raise
            self._checkpoints_size += len(signed)
        self._take(entry, len(line))

    def cut_unsigned(self) -> SetAside | None:
        """Cut off a last entry that has no checkpoint; None where the last has one.

        It was never acknowledged: its writer died, or had no key. Were it left in the chain, the next checkpoint would
        seem to vouch for it.
        """
        number = self.head.sequence
        if number not in self.unsigned:
            return None
        digest, start = self.unsigned.pop(number), self._starts.pop()
        quoted = os.pread(self._descriptor, min(self._size - start, _LONGEST_QUOTE), start)
        os.ftruncate(self._descriptor, start)
        self._size = start
        self.head = LogHead(sequence=number - 1, digest=self.digest_of(number - 1))
        return SetAside(sequence=number, digest=digest, line=quoted.decode("utf-8", "replace").rstrip("\n"))

    def _write(self, descriptor: int, line: bytes) -> None:
        begun_at = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError("the line was cut short")
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, begun_at)
            raise AuditError(f"the audit log {self.path} cannot be written ({error}): recognition stops") from error

    def read_on(self) -> None:
        """Take in what others have added, to the log and to the checkpoints."""
        for line in self._new_lines(self._descriptor, self._size):
            try:
                entry = parse_entry(line)
            except ValueError as error:
                raise self._damaged(str(error)) from error
            if entry.sequence != self.head.sequence + 1 or entry.previous != self.head.digest:
                raise self._damaged(f"entry {entry.sequence} does not follow entry {self.head.sequence}")
            self._take(entry, len(line))
            if self._public is not None:
                self.unsigned[entry.sequence] = entry.digest
        if self._public is not None:
            for line in self._new_lines(self._checkpoints, self._checkpoints_size):
                self._take_checkpoint(line, self._public)
            self._require_signatures()

    def _new_lines(self, descriptor: int, size: int) -> list[bytes]:
        """The lines after ``size``. A last line without its end was never acknowledged: it is cut off."""
        now = os.lseek(descriptor, 0, os.SEEK_END)
        if now < size:
            raise AuditError(f"the audit log {self.path}, or its checkpoints, was cut while in use: recognition stops")
        added = os.pread(descriptor, now - size, size)
        whole = added.rfind(b"\n") + 1
        if whole < len(added):
            os.ftruncate(descriptor, size + whole)
        return added[:whole].splitlines(keepends=True)

    def _take(self, entry: LogEntry, length: int) -> None:
        self._starts.append(self._size)
        self._size += length
        self.head = LogHead(sequence=entry.sequence, digest=entry.digest)
        self.latest = max(self.latest or entry.at, entry.at)

    def _take_checkpoint(self, line: bytes, public: PublicKey) -> None:
        self._checkpoints_size += len(line)
        try:
            checkpoint = parse_checkpoint(line)
        except ValueError as error:
            raise AuditError(f"a checkpoint of {self.path}: {error}; {_SEE_VERIFY}") from error
        if not checkpoint.is_signed_with(public):
            raise AuditError(f"a checkpoint of {self.path} was not signed with the record's key; {_SEE_VERIFY}")
        number = checkpoint.sequence
        known = self.unsigned[number] if number in self.unsigned else self.digest_of(number)
        if number > self.head.sequence:
            raise AuditError(
                f"{self.path} ends at entry {self.head.sequence}, entry {number} had been signed: it was cut off; "
                f"{_SEE_VERIFY}"
            )
        if known != checkpoint.digest:
            raise self._damaged(f"entry {number} is not the one that was signed", line=number)
        self.unsigned.pop(number, None)

    def _require_signatures(self) -> None:
        """At most the last entry may lack a checkpoint, as after a crash; more than one, and none of them is ours."""
        last = self.head.sequence
        if last in self.unsigned and last - 1 in self.unsigned:
            first = last
            while first - 1 in self.unsigned:
                first -= 1
            raise self._damaged(
                f"entries {first} to {last} have no checkpoint: nobody who holds the record's key wrote them, or the "
                "checkpoints were cut",
                line=first,
            )

    def digest_of(self, sequence: int) -> str:
        """The digest of an entry that was taken in."""
        if sequence == self.head.sequence or sequence < 1:
            return self.head.digest if sequence else GENESIS
        if sequence > self.head.sequence:
            return ""
        return self.parsed(self.line(sequence), sequence).digest

    def line(self, number: int) -> bytes:
        """The line of an entry that was taken in."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else self._size
        return os.pread(self._descriptor, end - start, start)

    def lines_after(self, number: int) -> list[bytes]:
        """The lines of the entries after that number."""
        if number >= len(self._starts):
            return []
        start = self._starts[number]
        return os.pread(self._descriptor, self._size - start, start).splitlines()

    def parsed(self, line: bytes, number: int) -> LogEntry:
        """An entry that was taken in, read again."""
        try:
            return parse_entry(line)
        except ValueError as error:
            raise self._damaged(str(error), line=number) from error

    def _damaged(self, why: str, *, line: int | None = None) -> AuditError:
        place = self.head.sequence + 1 if line is None else line
        return AuditError(f"line {place} of {self.path}: {why}; {_SEE_VERIFY}")


def open_log_files(path: Path, checkpoints: Path | None, public: PublicKey | None) -> LogFiles:
    """The log at ``path`` and its ``checkpoints``, made where there are none. Nothing of them is taken in yet.

    Raises ``AuditError`` where they cannot be opened.
    """
    descriptor = _open(path)
    try:
        exported = _open(checkpoints) if checkpoints is not None else -1
    except AuditError:
        os.close(descriptor)
        raise
    return LogFiles(path, descriptor, exported, public)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_folder(path.parent)
        return descriptor
    except OSError as error:
        raise AuditError(
            f"the audit log {path} cannot be opened ({error.strerror}): give a folder to write in"
        ) from error
