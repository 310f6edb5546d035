"""Alerts that a destination has not confirmed yet: in memory for a rehearsal, otherwise in the audit log itself."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pylfr._internal.atomic_file import write_whole
from pylfr._internal.canonical_json import Plain, canonical
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import integer_of, parse_object, text_of
from pylfr.errors import SinkError
from pylfr.governance.audit.chain import LogEntry
from pylfr.sinks.record import AlertMessage

log = logging.getLogger(__name__)

# What all alerts that one destination has not confirmed may take in memory together.
_MOST_BYTES = 64 * 2**20
# So many are read from the log at once by a destination that is behind.
_PAGE = 256


class PendingAlerts(Protocol):
    """The alerts of one destination in their order, from the first that it has not confirmed. For several threads."""

    @property
    def what_becomes(self) -> str:
        """What becomes of those that are left at the end of a run, in words."""
        ...

    def put(self, message: AlertMessage) -> None:
        """Take in an alert that was just recorded. Raises ``SinkError`` where it would be lost."""
        ...

    def first(self) -> AlertMessage | None:
        """The oldest alert that is not done; None where there is none."""
        ...

    def done(self, message: AlertMessage) -> None:
        """The alert that ``first`` gave was confirmed, or never can be."""
        ...

    def count(self) -> int:
        """How many are not done."""
        ...

    def oldest_at(self) -> datetime | None:
        """When the oldest of them was recorded; None where there is none. Gives up nothing."""
        ...

    def take_expired(self) -> int:
        """How many were given up because their retention had ended, since the last call."""
        ...


class PendingInMemory:
    """At most ``capacity`` alerts, which are lost with the process: a rehearsal leaves nothing on a disk."""

    what_becomes = "see the audit record"

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._held: deque[AlertMessage] = deque()
        self._bytes = 0

    def put(self, message: AlertMessage) -> None:
        with self._lock:
            if len(self._held) >= self._capacity or self._bytes + message.size_bytes > _MOST_BYTES:
                raise SinkError(f"{len(self._held)} alerts are already queued")
            self._held.append(message)
            self._bytes += message.size_bytes

    def first(self) -> AlertMessage | None:
        with self._lock:
            return self._held[0] if self._held else None

    def done(self, message: AlertMessage) -> None:
        with self._lock:
            if self._held and self._held[0] is message:
                self._bytes -= self._held.popleft().size_bytes

    def count(self) -> int:
        return len(self._held)

    def oldest_at(self) -> datetime | None:
        with self._lock:
            return self._held[0].recorded_at if self._held else None

    def take_expired(self) -> int:
        return 0


class Cursor(Protocol):
    """How far into the audit log a destination has confirmed its alerts."""

    @property
    def sequence(self) -> int: ...

    def covers(self, authorisation: str) -> bool:
        """Whether the alerts of this authorisation go to the destination."""
        ...

    def move(self, sequence: int) -> None: ...


class PendingInLog:
    """The alerts of the audit log after a cursor: what is in the log cannot be lost, by a kill or by a full disk.

    Those of the running process are in memory too, as far as there is room; others are made again from their entries.
    ``complete`` does that for a page of entries: it adds who was matched and a picture, where these can still be had.
    What is older than ``retention`` is given up and counted; None gives up nothing.
    """

    what_becomes = "they are in the audit log, and the next start goes on with them"

    def __init__(
        self,
        entries: Callable[[int], Iterator[LogEntry]],
        complete: Callable[[list[LogEntry]], list[AlertMessage]],
        cursor: Cursor,
        *,
        retention: timedelta | None,
        clock: Callable[[], datetime],
    ) -> None:
        """``entries`` gives the alerts of the log after a number."""
        self._entries = entries
        self._complete = complete
        self._cursor = cursor
        self._retention = retention
        self._clock = clock
        self._lock = threading.RLock()
        self._held: deque[AlertMessage] = deque()
        self._bytes = 0
        # The last entry that is in memory, or done; where the log may hold more, this is behind.
        self._last = cursor.sequence
        self._is_behind = True
        self._expired = 0

    def put(self, message: AlertMessage) -> None:
        with self._lock:
            if self._is_behind or message.sequence <= self._last:
                return
            if self._bytes + message.size_bytes > _MOST_BYTES:
                self._is_behind = True
                return
            self._hold(message)

    def first(self) -> AlertMessage | None:
        with self._lock:
            while True:
                if not self._held and self._is_behind:
                    self._read_on()
                if not self._held:
                    return None
                message = self._held[0]
                if self._retention is None or self._clock() < message.recorded_at + self._retention:
                    return message
                self._expired += 1
                self.done(message)

    def done(self, message: AlertMessage) -> None:
        with self._lock:
            if self._held and self._held[0] is message:
                self._bytes -= self._held.popleft().size_bytes
                self._cursor.move(message.sequence)

    def count(self) -> int:
        with self._lock:
            if not self._is_behind:
                return len(self._held)
            return sum(1 for _ in self._ours(self._cursor.sequence))

    def oldest_at(self) -> datetime | None:
        with self._lock:
            if self._held:
                return self._held[0].recorded_at
            if not self._is_behind:
                return None
            return next((entry.at for entry in self._ours(self._cursor.sequence)), None)

    def take_expired(self) -> int:
        with self._lock:
            expired, self._expired = self._expired, 0
            return expired

    def _read_on(self) -> None:
        page = []
        for entry in self._ours(self._last):
            page.append(entry)
            if len(page) == _PAGE:
                break
        for message in self._complete(page):
            self._hold(message)
        # An alert that is being recorded just now is put, or was on this page.
        self._is_behind = len(page) == _PAGE

    def _ours(self, after: int) -> Iterator[LogEntry]:
        for entry in self._entries(after):
            if self._cursor.covers(str(entry.details.get("authorisation"))):
                yield entry

    def _hold(self, message: AlertMessage) -> None:
        self._held.append(message)
        self._bytes += message.size_bytes
        self._last = message.sequence


class CursorInMemory:
    """For a destination that can say itself what it has; ``authorisations`` are those whose alerts it gets."""

    def __init__(self, sequence: int, authorisations: frozenset[str]) -> None:
        self._authorisations = authorisations
        self.sequence = sequence

    def covers(self, authorisation: str) -> bool:
        return authorisation in self._authorisations

    def move(self, sequence: int) -> None:
        self.sequence = sequence


class CursorFile:
    """A cursor that outlives the process. Made by ``open_cursor``."""

    def __init__(self, path: Path, sequence: int, authorisations: frozenset[str]) -> None:
        self._path = path
        self._authorisations = authorisations
        self._is_unwritten = False
        self.sequence = sequence

    def covers(self, authorisation: str) -> bool:
        return authorisation in self._authorisations

    def move(self, sequence: int) -> None:
        """Go on to ``sequence``. Where that cannot be written, what comes after is sent again by the next start."""
        self.sequence = sequence
        try:
            self.write()
        except OSError as error:
            if not self._is_unwritten:
                log.error(
                    "%s cannot be written (%s): what was delivered since is sent again after a restart",
                    self._path,
                    error.strerror,
                )
            self._is_unwritten = True
        else:
            self._is_unwritten = False

    def write(self) -> None:
        """Write it down. Raises ``OSError``."""
        said: dict[str, Plain] = {"sequence": self.sequence, "authorisations": [*sorted(self._authorisations)]}
        write_whole(self._path, canonical(said) + b"\n")


def open_cursor(path: Path, *, authorisation: str, head: int) -> CursorFile:
    """The cursor in ``path``; a new one begins at ``head``, the last entry of the log now.

    Alerts of ``authorisation``, and of those that named the same destination before, go there. A file that is damaged
    is begun anew at the first entry: what is sent twice has the same id. Raises ``SinkError`` where it cannot be
    written.
    """
    try:
        said = parse_object(read_file(path), "sequence", "authorisations")
        named = said["authorisations"]
        if not isinstance(named, list):
            raise ValueError("authorisations must be a list")
        known = frozenset(text_of(each, "authorisation") for each in named)
        sequence = min(integer_of(said["sequence"], "sequence"), head)
    except FileNotFoundError:
        known, sequence = frozenset(), head
    except (OSError, ValueError) as error:
        log.error("%s cannot be read (%s): alerts of this authorisation are sent again", path, error)
        known, sequence = frozenset(), 0
    cursor = CursorFile(path, sequence, known | {authorisation})
    try:
        cursor.write()
    except OSError as error:
        raise SinkError(f"{path} cannot be written ({error.strerror}): make that folder writable") from error
    return cursor
