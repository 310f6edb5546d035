"""Who was taken off a watchlist, as the signed log has it: nobody of them is looked for, whatever file is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pylfr.errors import WatchlistError
from pylfr.gallery.watchlist.digests import references_of
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.audit.log_files import LogHead

WITHDRAWN: Final = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawnEntry:
    """One withdrawal: the watchlist's identity, the entry's number on it, and keyed digests of its references."""

    watchlist: str
    entry: int
    references: frozenset[str]
    logged: LogEntry

    @classmethod
    def of(cls, logged: LogEntry) -> WithdrawnEntry:
        """What an entry of the log says. Those of the first version have no digests of references."""
        details = logged.details
        return cls(
            watchlist=str(details["watchlist"]),
            entry=int(str(details["entry"])),
            references=frozenset(str(details.get("reference_digests", "")).split()),
            logged=logged,
        )


class WithdrawnEntries:
    """Everybody whom the log of a deployment has as withdrawn. It follows the log. Safe for concurrent use.

    Only entries with a checkpoint of their own count: nobody is taken off by whoever can merely write to the file.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._read: tuple[LogHead | None, tuple[WithdrawnEntry, ...]] = (None, ())

    def all(self) -> tuple[WithdrawnEntry, ...]:
        """All withdrawals, the oldest first; none in an unsigned log. Raises ``AuditError`` as the log does."""
        if not self._audit.is_signed:
            return ()
        head = self._audit.head
        read_at, read = self._read
        if head != read_at:
            read = tuple(map(WithdrawnEntry.of, self._audit.entries(WITHDRAWN)))
            self._read = (head, read)
        return read

    def numbers(self, identity: str) -> frozenset[int]:
        """The numbers of the entries that were withdrawn from the watchlist of that identity."""
        return frozenset(each.entry for each in self.all() if each.watchlist == identity)

    def require_none(self, connection: sqlite3.Connection, path: Path) -> None:
        """Raise ``WatchlistError`` where somebody who was withdrawn is on an open watchlist."""
        found = self.found_in(connection)
        if found:
            entries = ", ".join(str(logged.sequence) for *_, logged in found)
            raise WatchlistError(
                f"watchlist {path} holds {len(found)} entries that were withdrawn (entries {entries} of the log): it "
                "was sealed again with them; seal one without them"
            )

    def found_in(self, connection: sqlite3.Connection) -> tuple[tuple[int, str, LogEntry], ...]:
        """The number and name of each entry of an open watchlist that was withdrawn, and what the log says of it.

        An entry is known by its number, and by its references where somebody gave it another number.
        """
        return tuple(self._found(connection))

    def _found(self, connection: sqlite3.Connection) -> Iterator[tuple[int, str, LogEntry]]:
        (identity,) = connection.execute("SELECT identity FROM watchlist").fetchone()
        mine = [each for each in self.all() if each.watchlist == identity]
        if not mine:
            return
        by_number = {each.entry: each.logged for each in mine}
        by_reference = {digest: each.logged for each in mine for digest in each.references}
        for number, name in connection.execute("SELECT id, name FROM entries ORDER BY id").fetchall():
            logged = by_number.get(number)
            if logged is None and by_reference:
                digests = (self._audit.keyed_digest(each.encode()) for each in references_of(connection, name))
                logged = next((by_reference[each] for each in digests if each in by_reference), None)
            if logged is not None:
                yield number, name, logged
