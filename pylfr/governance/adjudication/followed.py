"""What ``Review.read`` says, kept up to date entry by entry: for pages that ask many times a second.

In memory is where the entries of each alert are in the log. What is shown is replayed from those entries and compared
with the records whenever it is shown.
"""

from __future__ import annotations

import sys
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pylfr._internal.parts import in_parts
from pylfr.governance.adjudication.case import State
from pylfr.governance.adjudication.database import Records
from pylfr.governance.adjudication.replay import Difference, LogReplay
from pylfr.governance.adjudication.review import DECIDING
from pylfr.governance.adjudication.reviewed import AlertRow, Reviewed, cut_off, reviewed_of
from pylfr.governance.adjudication.stored import StoredRecords
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry
from pylfr.governance.audit.follower import LogFollower

# The log is written first and the records right afterwards: for so long what the records lack is no difference.
_WRITTEN_WITHIN = timedelta(seconds=2)
# A row that was made is shown again for so long; no more than these are held.
_ROW_LIVES_S, _MOST_ROWS = 1.0, 500
# So many alerts are made and compared at once. Those that nobody asks for have their turn no more often than this, and
# within this share of the time.
_AT_ONCE = 100
_COMPARED_EVERY_S, _SHARE = 0.25, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """In what the records differ from the log, and the last entry of it that everything here covers.

    A later entry is being written just now.
    """

    differences: tuple[Difference, ...]
    sequence: int


@dataclass(slots=True, kw_only=True)
class _Known:
    """Where the entries of an alert are in the log, and, once it is queued for review, what it is sought by."""

    entries: tuple[int, ...] = ()
    place: tuple[datetime, str] | None = None
    camera: str = ""
    state: State = "open"


class FollowedReview:
    """Reads the log from where it was, and of the records what is shown. Safe for many threads.

    A difference that somebody makes in the records by hand is found when that alert is shown, and otherwise within
    seconds for each thousand alerts; whoever decides is always held to what is there at that moment (``Review``).
    """

    def __init__(self, records: Records, audit: AuditLog) -> None:
        self._records = records
        self._audit = audit
        self._keyed_digest = audit.keyed_digest if audit.is_signed else None
        self._lock = threading.RLock()
        self._due_s = 0.0
        self._begin({})

    def read(self) -> Followed:
        """How things are now. Raises ``AuditError`` where the log is damaged."""
        with self._lock:
            self._follow()
            of_alerts = (each for found in self._differences.values() for each in found)
            waiting = (self._known[id_].entries[-1] - 1 for id_ in self._waiting)
            return Followed(
                differences=(*self._cut, *self._faults, *of_alerts), sequence=min(waiting, default=self._log.seen)
            )

    def count(self) -> int:
        """How many alerts have been queued for review."""
        with self._lock:
            self._follow()
            return len(self._places())

    def rows(self, ids: Iterable[str]) -> dict[str, AlertRow]:
        """Those of these alerts that have been queued for review, by their ids."""
        with self._lock:
            self._follow()
            return self._rows(ids)

    def find(
        self,
        *,
        states: Collection[State] | None = None,
        camera: str | None = None,
        since: datetime | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = sys.maxsize,
    ) -> list[AlertRow]:
        """Alerts in one of the ``states``, of one ``camera``, captured at ``since`` or later, the oldest first.

        At most ``limit``, from the one behind ``after``: a time of capture, and an id.
        """
        with self._lock:
            self._follow()
            places = self._places()
            wanted = (
                id_
                for captured_at, id_ in islice(places, bisect_right(places, after) if after is not None else 0, None)
                if (states is None or self._known[id_].state in states)
                and (camera is None or self._known[id_].camera == camera)
                and (since is None or captured_at >= since)
            )
            found: list[AlertRow] = []
            while some := list(islice(wanted, min(_AT_ONCE, limit - len(found)))):
                # A decision may have come in between.
                found += [row for row in self._rows(some).values() if states is None or row.case.state in states]
            return found

    def _begin(self, words: dict[str, str]) -> None:
        """Forget everything but the terms of deployments, which all else depends on."""
        self._words = words
        self._replay = LogReplay(words)
        self._log = LogFollower(self._audit, *DECIDING)
        self._known: dict[str, _Known] = {}
        # Alerts that have yet to be made anew: something was logged of them that the records may not have yet.
        self._waiting: set[str] = set()
        self._sorted: list[tuple[datetime, str]] | None = None
        self._made: OrderedDict[str, tuple[float, AlertRow]] = OrderedDict()
        # What is wrong with the log, with the terms, and with single alerts.
        self._cut: tuple[Difference, ...] = ()
        self._faults: tuple[Difference, ...] = ()
        self._differences: dict[str, tuple[Difference, ...]] = {}
        self._uncompared: list[str] = []

    def _follow(self) -> None:
        """Take in what is new in the log; compare some of the rest where that is due."""
        self._take_entries()
        made: set[str] = set()
        while fresh := self._waiting - made:
            self._make(fresh)
            made |= fresh
        began = now = time.monotonic()
        if began >= self._due_s:
            self._compare_some()
            now = time.monotonic()
            self._due_s = began + max(_COMPARED_EVERY_S, (now - began) / _SHARE)
        while self._made and now - next(iter(self._made.values()))[0] >= _ROW_LIVES_S:
            self._made.popitem(last=False)

    def _take_entries(self) -> None:
        for entry in self._log.new_entries():
            if "alert" not in entry.details:
                self._replay.take(entry)
                continue
            id_ = str(entry.details["alert"])
            known = self._known.setdefault(id_, _Known())
            known.entries = (*known.entries, entry.sequence)
            self._made.pop(id_, None)
            self._waiting.add(id_)

    def _compare_some(self) -> None:
        """Compare the next alerts with the records; before the first of them, look for what is in one place alone."""
        if not self._uncompared:
            with self._records.transaction() as transaction:
                ids = transaction.alert_ids()
            head = self._stored(()).head
            self._cut = () if self._audit.holds(head) else (cut_off(head),)
            self._uncompared = list(dict.fromkeys((*self._known, *ids, *self._differences)))
        some = self._uncompared[-_AT_ONCE:]
        del self._uncompared[-_AT_ONCE:]
        self._make(some)

    def _places(self) -> list[tuple[datetime, str]]:
        """When each alert was captured, and its id, in order."""
        if self._sorted is None:
            self._sorted = sorted(known.place for known in self._known.values() if known.place is not None)
        return self._sorted

    def _rows(self, ids: Iterable[str]) -> dict[str, AlertRow]:
        ids = [id_ for id_ in ids if id_ in self._known]
        rows = {id_: self._made[id_][1] for id_ in ids if id_ in self._made}
        rows |= self._make([id_ for id_ in ids if id_ not in rows])
        return {id_: rows[id_] for id_ in ids if id_ in rows}

    def _make(self, ids: Collection[str]) -> dict[str, AlertRow]:
        """The rows of these alerts, as the log and the records have them now; what differs is noted."""
        made: dict[str, AlertRow] = {}
        for some in in_parts(ids, _AT_ONCE):
            stored = self._stored(some)
            reviewed = self._reviewed(self._entries(some), stored)
            self._waiting.difference_update(some)
            self._faults += tuple(each for each in reviewed.differences if each.alert is None)
            rows = {row.id: row for row in reviewed.alerts}
            for id_ in some:
                differences = tuple(each for each in reviewed.differences if each.alert == id_)
                row = rows.get(id_)
                if differences and (before := self._before(id_, stored)) is not None:
                    self._waiting.add(id_)
                    row, differences = next(iter(before.alerts), None), ()
                self._note(id_, row, differences)
                if row is not None:
                    made[id_] = row
        return made

    def _stored(self, ids: Collection[str]) -> StoredRecords:
        """What the records have of these alerts; all that was logged before that is taken in."""
        with self._records.transaction() as transaction:
            stored = transaction.stored(only=ids)
        if stored.words == self._words:
            self._take_entries()
        else:
            self._begin(stored.words)
            self._take_entries()
            self._make(self._waiting)
        return stored

    def _entries(self, ids: Iterable[str]) -> list[LogEntry]:
        """The entries of these alerts, as they follow each other in the log."""
        known = (self._known[id_] for id_ in ids if id_ in self._known)
        return self._audit.at(sorted(number for each in known for number in each.entries))

    def _reviewed(self, entries: Iterable[LogEntry], stored: StoredRecords) -> Reviewed:
        going = self._replay.again()
        for entry in entries:
            going.take(entry)
        return reviewed_of(going.made, stored, self._keyed_digest)

    def _before(self, id_: str, stored: StoredRecords) -> Reviewed | None:
        """An alert before what is being written just now, where the records agree with that; None where they do not."""
        entries, stored = self._entries([id_]), stored.of(id_)
        while entries and self._records.clock() - entries.pop().at < _WRITTEN_WITHIN:
            if not (reviewed := self._reviewed(entries, stored)).differences:
                return reviewed
        return None

    def _note(self, id_: str, row: AlertRow | None, differences: tuple[Difference, ...]) -> None:
        """Hold what is known of an alert now."""
        self._differences.pop(id_, None)
        if differences:
            self._differences[id_] = differences
        if row is None:
            return
        known, place = self._known[id_], (row.captured_at, id_)
        if known.place != place:
            known.place, self._sorted = place, None
        known.camera, known.state = sys.intern(row.camera), row.case.state
        self._made[id_] = (time.monotonic(), row)
        self._made.move_to_end(id_)
        if len(self._made) > _MOST_ROWS:
            self._made.popitem(last=False)
