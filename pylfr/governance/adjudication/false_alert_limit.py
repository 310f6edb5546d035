"""A limit on false alerts: when what people refuted shows that it is exceeded, recognition pauses by itself."""

from __future__ import annotations

import math
import time
from datetime import datetime

from pylfr.errors import AuthorisationError
from pylfr.governance.adjudication.replay import LogReplay
from pylfr.governance.adjudication.review import DECIDING
from pylfr.governance.audit.audit import AuditLog
from pylfr.governance.audit.follower import LogFollower

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
        self._log = LogFollower(audit, *DECIDING)
        self._authorisation = authorisation
        self._since = since
        self._ceiling = ceiling
        self._every_s = every_s
        self._read_at = -math.inf
        self._replay = LogReplay({authorisation: words})
        # Of each alert of the run the numbers of its entries, and which count as false.
        self._alerts: dict[str, tuple[int, ...]] = {}
        self._false: set[str] = set()

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
        decided = set()
        for entry in self._log.new_entries():
            id_ = str(entry.details.get("alert", ""))
            if entry.kind == "alert":
                if entry.details.get("authorisation") == self._authorisation and entry.at >= self._since:
                    self._alerts[id_] = (entry.sequence,)
            elif not id_:
                self._replay.take(entry)
            elif id_ in self._alerts:
                self._alerts[id_] += (entry.sequence,)
                decided.add(id_)
        for id_ in decided:
            (self._false.add if self._is_false(id_) else self._false.discard)(id_)
        return len(self._false)

    def _is_false(self, id_: str) -> bool:
        """Replayed from its entries, so that none of them stays in memory."""
        alone = self._replay.again()
        for entry in self._audit.at(self._alerts[id_]):
            alone.take(entry)
        return alone.made.alerts[id_].case.finding == "false alert"


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
