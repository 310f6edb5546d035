"""The deployment's one record of what many engines raise: every alert once, whoever sends it and however often."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from pylfr.cluster.packed_alert import unpack_alert
from pylfr.errors import SinkError
from pylfr.governance.audit.audit import AuditLog
from pylfr.protocols import Sink
from pylfr.types import Alert, Event, Recorded

log = logging.getLogger(__name__)


class ClusterRecord:
    """Records alerts of engines in the deployment's log, then gives them to its sinks.

    One that was recorded is not recorded again. One of the same camera and entry within the cool-down is a repeat,
    whichever engine raised it: a camera that moved to another node starts there without a memory. Repeats are noted,
    by their ids. What the log has already counts, also after the head was restarted; one that arrives again
    then was never confirmed to its node, and may not have reached the sinks.
    """

    def __init__(self, audit: AuditLog, sinks: Sequence[Sink], *, cooldown_s: float) -> None:
        self._audit = audit
        self._sinks = sinks
        self._cooldown = timedelta(seconds=cooldown_s)
        # For each id, whether the sinks were given it since this head started.
        self._known: dict[str, bool] = {}
        self._times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        self.alerts = self.repeats = self.undelivered = 0

    def load(self, *, since: datetime | None) -> None:
        """Take in what the log has; ``since`` is when the run that goes on began. Raises ``AuditError``."""
        for entry in self._audit.entries("alert", "alert-repeated"):
            self._known[str(entry.details["alert"])] = False
            if since is not None and entry.at >= since:
                self.alerts += entry.kind == "alert"
                self.repeats += entry.kind != "alert"
            if entry.kind == "alert":
                who = str(entry.details["camera"]), str(entry.details["entry_digest"])
                self._times[who].append(datetime.fromisoformat(str(entry.details["captured_at"])))

    def take(self, packed: bytes, *, node: str) -> str:
        """Record an alert of a node, unless it is known or a repeat; its id, once the node need not keep it.

        Raises ``AuditError`` where it cannot be recorded, ``ValueError`` for bytes that are no alert.
        """
        alert = unpack_alert(packed)
        if alert.id in self._known:
            if not self._known[alert.id]:
                self._give_again(alert)
            return alert.id
        who = alert.camera, self._audit.keyed_digest(alert.entry.encode())
        if any(abs(alert.captured_at - at) < self._cooldown for at in self._times[who]):
            self._audit.note(
                Event(
                    kind="alert-repeated",
                    details={"alert": alert.id, "camera": alert.camera, "node": node, "entry_digest": who[1]},
                )
            )
            self.repeats += 1
            self._known[alert.id] = True
        else:
            recorded = self._audit.record(alert)
            # From here on it is never recorded again, whatever its sinks do.
            self._known[alert.id] = True
            self._times[who].append(alert.captured_at)
            self.alerts += 1
            self._give(recorded)
        return alert.id

    def close(self) -> None:
        """Let every sink deliver what waits, for a bounded time; what it could not is counted."""
        for sink in self._sinks:
            try:
                sink.close()
            except SinkError as error:
                self.undelivered += error.undelivered
                log.error("%s", error)

    def _give_again(self, alert: Alert) -> None:
        """A head that died may have recorded an alert without giving it to the sinks; one that has it ignores it."""
        recorded = self._audit.recorded(alert)
        if recorded is not None:
            self._give(recorded)
        self._known[alert.id] = True

    def _give(self, recorded: Recorded[Alert]) -> None:
        for sink in self._sinks:
            try:
                sink.send(recorded)
            except SinkError as error:
                self.undelivered += 1
                log.error("alert %s is recorded and was not delivered: %s", recorded.value.id, error)
            except Exception:
                self.undelivered += 1
                log.exception("alert %s is recorded and was not delivered", recorded.value.id)
