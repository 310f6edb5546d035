"""What the log says of runs, cameras, deliveries and shifts, taken in as it grows: each entry is read once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

from pylfr.governance.adjudication.hand_over import HAND_OVER
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.audit.follower import LogFollower
from pylfr.service.deliveries import DELIVERY_KINDS, delivery_after
from pylfr.service.deployment_views import DeliveryView
from pylfr.video.sources.observer import EventKind

_CAMERA_KINDS = tuple(f"camera-{kind}" for kind in (*get_args(EventKind), "taken-out", "taken-in"))
_KINDS = ("deployed", "run-began", "run-ended", "threshold-raised", HAND_OVER, *_CAMERA_KINDS, *DELIVERY_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The last run as the log has it, and the last hand-over.

    ``references`` are the entries of the watchlist when it started, ``threshold`` is what it asks for by now; both are
    None before any run. ``ended_because`` is None while it goes on. ``cameras`` has the last entry of each.
    """

    references: int | None = None
    threshold: float | None = None
    ended_because: str | None = None
    hand_over: LogEntry | None = None
    cameras: Mapping[str, LogEntry] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryView] = field(default_factory=dict)


class RunLog:
    """Follows one log. Safe for many threads."""

    def __init__(self, audit: AuditLog) -> None:
        self._log = LogFollower(audit, *_KINDS)
        self._lock = threading.Lock()
        self._facts = RunFacts()

    def read(self) -> RunFacts:
        """The facts now. Raises ``AuditError`` where the log is damaged."""
        with self._lock:
            for entry in self._log.new_entries():
                self._facts = _after(self._facts, entry)
            return self._facts


def _after(facts: RunFacts, entry: LogEntry) -> RunFacts:
    """The facts with one more entry."""
    details = entry.details
    if entry.kind == "deployed":
        references = details.get("references")
        return replace(facts, references=references if isinstance(references, int) else None)
    if entry.kind == "run-began":
        return replace(facts, threshold=float(str(details["threshold"])), ended_because=None)
    if entry.kind == "threshold-raised":
        return replace(facts, threshold=float(str(details["to"])))
    if entry.kind == "run-ended":
        return replace(facts, ended_because=str(details.get("because")))
    if entry.kind == HAND_OVER:
        return replace(facts, hand_over=entry)
    if entry.kind in DELIVERY_KINDS:
        to = str(details.get("to"))
        return replace(facts, deliveries={**facts.deliveries, to: delivery_after(facts.deliveries.get(to), entry)})
    camera = str(details.get("camera"))
    last = facts.cameras.get(camera)
    # One that was taken out ends by itself a moment later: that says less.
    if entry.kind == "camera-ended" and last is not None and last.kind == "camera-taken-out":
        return facts
    return replace(facts, cameras={**facts.cameras, camera: entry})
