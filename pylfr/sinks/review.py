"""The records as a destination: an alert that is in them is before the people who decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pylfr._internal.canonical_json import utc_text
from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.database import Records
from pylfr.governance.adjudication.replay import RECORDS
from pylfr.governance.adjudication.stored import StoredAlert
from pylfr.sinks.delivery import DeliveryError
from pylfr.sinks.record import AlertMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRules:
    """How many people decide on an alert, until when who was matched is retained, and who decided."""

    min_adjudicators: int
    retention: timedelta
    outcomes: timedelta

    def row_of(self, message: AlertMessage, *, now: datetime) -> StoredAlert:
        """The row of an alert in the records; one that is entered late names nobody."""
        erase_at = message.recorded_at + self.retention
        return StoredAlert(
            id=message.id,
            sequence=message.sequence,
            authorisation=message.authorisation,
            camera=message.camera,
            captured_at=utc_text(message.captured_at),
            recorded_at=utc_text(message.recorded_at),
            entry=message.entry if now < erase_at else None,
            score=message.score,
            threshold=message.threshold,
            min_adjudicators=self.min_adjudicators,
            erase_at=utc_text(erase_at),
            forget_at=utc_text(message.recorded_at + self.outcomes),
        )


class ReviewQueue:
    """A ``Destination`` that queues alerts for review; one that is queued already is left as it is."""

    address = RECORDS
    pictures = False

    def __init__(self, records: Records, rules: ReviewRules, *, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._rules = rules
        self._clock = clock

    def deliver(self, message: AlertMessage, timeout_s: float) -> None:  # noqa: ARG002 - the driver has its own
        try:
            self._records.enter(self._rules.row_of(message, now=self._clock()))
        except AdjudicationError as error:
            raise DeliveryError(str(error)) from None

    def close(self) -> None:
        """The records are closed by whoever opened them."""
