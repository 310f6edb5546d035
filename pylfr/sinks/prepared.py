"""Work that must be on disk before an alert is logged, so that a kill leaves no alert in the log alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pylfr.protocols import Audit
from pylfr.types import Alert, Event, Recorded


class PreparedAudit:
    """An ``Audit`` that logs an alert after each of ``prepare`` has run. What one of them raises prevents the entry."""

    def __init__(self, audit: Audit, prepare: Sequence[Callable[[Alert], None]]) -> None:
        self._audit = audit
        self._prepare = tuple(prepare)

    def record(self, alert: Alert) -> Recorded[Alert]:
        for prepare in self._prepare:
            prepare(alert)
        return self._audit.record(alert)

    def note(self, event: Event) -> None:
        self._audit.note(event)

    def close(self) -> None:
        self._audit.close()
