"""A limit on false alerts: when what people refuted shows that it is exceeded, recognition pauses by itself."""

from __future__ import annotations

import math
import time
from datetime import datetime

from pylfr.errors import AuthorisationError
from pylfr.governance.adjudication.replay import LogReplay
from pylfr.governance.adjudication.review import DECIDING
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.chain import LogEntry

# One-sided: the rate is above the ceiling with this confidence.
_CONFIDENCE = 0.95
_BISECTIONS = 60


class NoCeiling:
    """For rehearsals and for deployments without records: nobody adjudicates, so nothing can be counted."""

    def require(self, faces_seen: int) -> None:
        """Nothing is known, nothing is refused."""


class FalseAlertCeiling:
    """Pauses a run when the lower bound of its false-alert rate, refuted alerts a face seen, passes ``ceiling``.

    It counts in the log alone, which is there when the records are not: at most once in ``every_s``, from where it was.
    ``words`` are the terms of the authorisation, JSON. Safe for use from one thread at a time.
    """

    def __init__(
        self,
        audit: AuditLog,
        *,
        authorisation: str,
        words: str,
        since: datetime,
        ceiling: float,
        every_s: float = 5.0,
    ) -> None:
        self._audit = audit
        self._authorisation = authorisation
        self._since = since
        self._ceiling = ceiling
        self._every_s = every_s
        self._read_at = -math.inf
        self._replay = LogReplay({authorisation: words})
        self._last = 0

    def require(self, faces_seen: int) -> None:
        """Raise ``AuthorisationError`` where the ceiling is passed; ``faces_seen`` counts the tracks of the run."""
        if time.monotonic() - self._read_at < self._every_s:
            return
        self._read_at = time.monotonic()
        refuted = self.count_false()
        bound = lower_bound(refuted, max(faces_seen, refuted))
        if bound > self._ceiling:
            raise AuthorisationError(
                f"paused: {refuted} false alerts in {faces_seen} faces are a rate of at least {bound:.2g}, the ceiling "
                f"is {self._ceiling:.2g}; find out why before it is started again"
            )

    def count_false(self) -> int:
        """How many alerts of the run people have refuted, or found to be false afterwards."""
        for entry in self._audit.entries(*DECIDING, after=self._last):
            self._last = entry.sequence
            if self._is_of_run(entry):
                self._replay.take(entry)
        return sum(alert.case.finding == "false alert" for alert in self._replay.made.alerts.values())

    def _is_of_run(self, entry: LogEntry) -> bool:
        """Whether it counts here: alerts of earlier runs, and what was decided on them, are not kept in memory."""
        if entry.kind == "alert":
            return entry.details.get("authorisation") == self._authorisation and entry.at >= self._since
        return "alert" not in entry.details or str(entry.details["alert"]) in self._replay.made.alerts


def lower_bound(count: int, trials: int, *, confidence: float = _CONFIDENCE) -> float:
    """The one-sided lower Clopper-Pearson bound of a rate: 0 for none in any number of trials.

    Clopper, Pearson: The use of confidence or fiducial limits illustrated in the case of the binomial (1934).
    """
    if not 0 <= count <= trials:
        raise ValueError(f"count must be 0 to trials ({trials}), got {count}")
    if count == 0:
        return 0.0
    low, high = 0.0, count / trials
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _at_least(count, trials, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def upper_bound(count: int, trials: int, *, confidence: float = _CONFIDENCE) -> float:
    """The one-sided upper Clopper-Pearson bound of a rate: 1 for all of any number of trials."""
    return 1.0 - lower_bound(trials - count, trials, confidence=confidence)


def _at_least(count: int, trials: int, rate: float) -> float:
    """The probability of ``count`` or more in ``trials`` at ``rate``."""
    if rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    fewer = math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(number + 1)
            - math.lgamma(trials - number + 1)
            + number * math.log(rate)
            + (trials - number) * math.log1p(-rate)
        )
        for number in range(count)
    )
    return max(0.0, 1.0 - fewer)
