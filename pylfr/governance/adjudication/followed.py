"""What ``Review.read`` says, kept up to date entry by entry: for pages that ask many times a second."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from pylfr.governance.adjudication.database import Records
from pylfr.governance.adjudication.replay import Difference, LogReplay, Replay
from pylfr.governance.adjudication.review import DECIDING
from pylfr.governance.adjudication.reviewed import AlertRow, Reviewed, reviewed_of, with_cut
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry

# The log is written first and the records right afterwards: for so long what the records lack is no difference.
_WRITTEN_WITHIN = timedelta(seconds=2)
# All rows are compared with the log again after this time, and no more than this share of it is spent on that.
_COMPARED_EVERY_S, _SHARE = 1.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Every alert that is queued for review by its id, the oldest first, and in what the records differ from the log.

    ``sequence`` is the last entry of the log that all of this covers: a later one is being written just now.
    """

    alerts: dict[str, AlertRow]
    differences: tuple[Difference, ...]
    sequence: int


class FollowedReview:
    """Reads the log from where it was, and of the records what new entries concern. Safe for many threads.

    A difference that somebody makes in the records by hand is found within a second or so; whoever decides is always
    held to what is there at that moment (``Review``).
    """

    def __init__(self, records: Records, audit: AuditLog) -> None:
        self._records = records
        self._audit = audit
        self._keyed_digest = audit.keyed_digest if audit.is_signed else None
        self._lock = threading.Lock()
        self._replay = LogReplay({})
        self._seen = 0
        self._due_s = 0.0
        self._waiting: frozenset[str] = frozenset()
        self._now = Followed(alerts={}, differences=(), sequence=0)

    def read(self) -> Followed:
        """The alerts now. Raises ``AuditError`` where the log is damaged."""
        with self._lock:
            if time.monotonic() >= self._due_s:
                self._read_all()
            else:
                self._read_on()
            return self._now

    def _read_all(self) -> None:
        began = time.monotonic()
        with self._records.transaction() as transaction:
            stored = transaction.stored()
            self._replay, self._seen = LogReplay(stored.words), 0
            self._take_entries()
        reviewed = reviewed_of(self._replay.made, stored, self._keyed_digest)
        if not self._audit.holds(stored.head):
            reviewed = with_cut(reviewed, stored.head)
        before = self._now.alerts
        self._now = Followed(alerts={}, differences=(), sequence=0)
        self._publish(reviewed, frozenset(row.id for row in reviewed.alerts), before)
        took = time.monotonic() - began
        self._due_s = began + max(_COMPARED_EVERY_S, took / _SHARE)

    def _read_on(self) -> None:
        touched = self._take_entries() | self._waiting
        while touched:
            with self._records.transaction() as transaction:
                stored = transaction.stored(only=touched)
            # What was written into the records before this moment is in the log: now it has been taken in too.
            if not (more := self._take_entries()):
                break
            touched |= more
        if not touched:
            self._now = replace(self._now, sequence=self._seen)
            return
        made = self._replay.made
        part = Replay(
            alerts={id_: made.alerts[id_] for id_ in touched if id_ in made.alerts},
            differences=[each for each in made.differences if each.alert is None or each.alert in touched],
        )
        self._publish(reviewed_of(part, stored, self._keyed_digest), touched, self._now.alerts)

    def _take_entries(self) -> frozenset[str]:
        """Take in what was added to the log; the ids of the alerts that it concerns."""
        head, touched = self._audit.head.sequence, set()
        for entry in self._audit.entries(*DECIDING, after=self._seen):
            self._replay.take(entry)
            self._seen = entry.sequence
            if "alert" in entry.details:
                touched.add(str(entry.details["alert"]))
        self._seen = max(self._seen, head)
        return frozenset(touched)

    def _publish(self, fresh: Reviewed, touched: frozenset[str], before: dict[str, AlertRow]) -> None:
        """Show the ``fresh`` rows; of an alert that is being written just now the one ``before``, where it had one."""
        self._waiting = frozenset(row.id for row in fresh.alerts if row.differences and self._is_young(row.id))
        rows = dict(self._now.alerts)
        for row in fresh.alerts:
            if row.id not in self._waiting:
                rows[row.id] = row
            elif row.id in before:
                rows[row.id] = before[row.id]
        fresh_differences = [each for each in fresh.differences if each.alert not in self._waiting]
        others = [each for each in self._now.differences if each.alert not in touched and each not in fresh_differences]
        self._now = Followed(
            alerts=dict(sorted(rows.items(), key=lambda each: (each[1].captured_at, each[0]))),
            differences=(*others, *fresh_differences),
            sequence=min((self._latest(id_).sequence - 1 for id_ in self._waiting), default=self._seen),
        )

    def _is_young(self, id_: str) -> bool:
        return self._records.clock() - self._latest(id_).at < _WRITTEN_WITHIN

    def _latest(self, id_: str) -> LogEntry:
        """The last entry about an alert."""
        alert = self._replay.made.alerts[id_]
        return alert.decisions[-1].entry if alert.decisions else alert.entry
