"""Follows an audit log as it grows."""

from __future__ import annotations

from collections.abc import Iterator

from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry


class LogFollower:
    """Gives each entry of ``kinds`` once. For one thread at a time.

    ``seen`` is the number of the last entry that was read, of whatever kind: nothing up to it is read again.
    """

    def __init__(self, audit: AuditLog, *kinds: str) -> None:
        self._audit = audit
        self._kinds = kinds
        self.seen = 0

    def new_entries(self) -> Iterator[LogEntry]:
        """The entries that were not given before, oldest first. Raises ``AuditError`` where the log is damaged."""
        # Read before the entries: what is added in between may be of these kinds.
        head = self._audit.head.sequence
        for entry in self._audit.entries(*self._kinds, after=self.seen):
            self.seen = entry.sequence
            yield entry
        self.seen = max(self.seen, head)
