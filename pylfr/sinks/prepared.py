"""What must be on a disk before the log has an alert, so that a kill in between leaves no alert in the log alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pylfr.protocols import Audit
from pylfr.types import Alert, Event, Recorded


class PreparedAudit:
    """An ``Audit`` into whose log an alert comes once each of ``prepare`` has done its part."""

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
