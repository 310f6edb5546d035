"""The shift as the desk shows it: open alerts, and hand-overs that were signed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pylfr.deployment.resources import Resources
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.hand_over import HAND_OVER, HandOver, hand_over_of, open_alerts, take_over
from pylfr.governance.adjudication.signatures import GivenSignature
from pylfr.service.access import Caller
from pylfr.service.desk import Desk
from pylfr.service.views import HandOverView, OpenAlert, ShiftView, SignedHandOver


class Shifts:
    """Hand-overs of one deployment, in its audit log."""

    def __init__(self, resources: Resources, desk: Desk, *, clock: Callable[[], datetime]) -> None:
        self._resources = resources
        self._desk = desk
        self._clock = clock

    def show(self) -> ShiftView:
        """What is open now, who could hand over, and the last hand-over."""
        entries = tuple(self._desk.entries((HAND_OVER,)))
        last = hand_over_of(entries[-1]) if entries else None
        return ShiftView(
            open=[
                OpenAlert(
                    id=row.id,
                    camera=row.camera,
                    captured_at=row.captured_at,
                    possible_match=row.entry,
                    state=row.case.state,
                )
                for row in open_alerts(self._desk.rows())
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
        take_over(
            HandOver(by=person.name, taken_from=given.taken_from, alerts=tuple(given.alerts), at=given.decided_at),
            open_now=[row.id for row in open_alerts(self._desk.rows())],
            people={name: key.text for name, key in self._resources.people.items()},
            key=GivenSignature(public=person.person.key, at=given.decided_at, signature=given.signature),
            now=self._clock(),
            audit=self._resources.audit,
        )
        return self.show()
