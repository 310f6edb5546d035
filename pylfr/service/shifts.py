"""The shift as the desk shows it: open alerts, and hand-overs that were signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pylfr.deployment.resources import Resources
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.hand_over import OPEN, HandOver, hand_over_of, hand_over_text, take_over
from pylfr.governance.adjudication.signatures import GivenSignature
from pylfr.service.access import Caller
from pylfr.service.desk import Desk
from pylfr.service.run_log import RunLog
from pylfr.service.views import HandOverView, OpenAlert, ShiftView, SignedHandOver


class Shifts:
    """Hand-overs of one deployment, in its audit log."""

    def __init__(self, resources: Resources, desk: Desk, run_log: RunLog, *, clock: Callable[[], datetime]) -> None:
        self._resources = resources
        self._desk = desk
        self._log = run_log
        self._clock = clock

    def show(self) -> ShiftView:
        """What is open now, who could hand over, and the last hand-over."""
        last = self._last()
        return ShiftView(
            open=[
                OpenAlert(
                    id=row.id,
                    camera=row.camera,
                    captured_at=row.captured_at,
                    possible_match=row.entry,
                    state=row.case.state,
                )
                for row in self._desk.followed.find(states=OPEN)
            ],
            people=sorted(self._resources.people),
            last=HandOverView(by=last.by, taken_from=last.taken_from, alerts=list(last.alerts), at=last.at)
            if last is not None
            else None,
        )

    def take_over(self, given: SignedHandOver, person: Caller) -> ShiftView:
        """Record a signed hand-over. Raises ``AdjudicationError`` where it is not theirs, or not of what is open."""
        if person.person is None:
            raise AdjudicationError("a program takes over nothing: only people do")
        made = HandOver(by=person.name, taken_from=given.taken_from, alerts=tuple(given.alerts), at=given.decided_at)
        last = self._last()
        if last is not None and hand_over_text(last) == hand_over_text(made):
            return self.show()  # it was sent again
        take_over(
            made,
            open_now=[row.id for row in self._desk.followed.find(states=OPEN)],
            people={name: key.text for name, key in self._resources.people.items()},
            key=GivenSignature(public=person.person.key, at=given.decided_at, signature=given.signature),
            now=self._clock(),
            audit=self._resources.audit,
        )
        return self.show()

    def _last(self) -> HandOver | None:
        entry = self._log.read().hand_over
        return hand_over_of(entry) if entry is not None else None
