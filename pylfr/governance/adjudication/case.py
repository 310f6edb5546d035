"""From a possible match to an outcome: who decided what, and when. No path acts without a person; no time confirms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pylfr._internal.names import LONGEST_NAME, name_fault
from pylfr.errors import AdjudicationError
from pylfr.governance.authorisation.enrolment import identity_of

Verdict = Literal["same person", "different person", "cannot tell"]
Decision = Literal["engage", "do not engage"]
Finding = Literal["true alert", "false alert", "unresolved"]
State = Literal["open", "partly adjudicated", "confirmed", "refuted", "engaged", "not engaged", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjudication:
    """One person's verdict on the two pictures of an alert; ``key`` and ``signature`` where it is signed."""

    alert: str
    adjudicator: str
    verdict: Verdict
    at: datetime
    reason: str = ""
    key: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """An officer's decision to speak to somebody, or not to. Whatever acts takes ``Recorded[Engagement]`` only."""

    alert: str
    officer: str
    decision: Decision
    at: datetime
    reason: str = ""
    key: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What it turned out to be."""

    alert: str
    officer: str
    finding: Finding
    at: datetime
    reason: str = ""
    key: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An alert and everything that people have decided about it.

    ``min_adjudicators`` distinct people must see the same person in both pictures before it counts as confirmed; one
    who does not, or cannot tell, refutes it. A verdict or an outcome that was a mistake is amended, with a reason, by
    another entry of the log; an engagement that was decided on meanwhile remains a fact.
    """

    alert: str
    min_adjudicators: int
    adjudications: tuple[Adjudication, ...] = ()
    engagement: Engagement | None = None
    outcome: Outcome | None = None

    @property
    def state(self) -> State:
        if self.outcome is not None:
            return "closed"
        if self.engagement is not None:
            return "engaged" if self.engagement.decision == "engage" else "not engaged"
        if len(self.adjudications) < self.min_adjudicators:
            return "partly adjudicated" if self.adjudications else "open"
        return "confirmed" if all(each.verdict == "same person" for each in self.adjudications) else "refuted"

    @property
    def finding(self) -> Finding:
        """What the alert counts as: its outcome, or else false where somebody saw two different people."""
        if self.outcome is not None:
            return self.outcome.finding
        return "false alert" if any(each.verdict == "different person" for each in self.adjudications) else "unresolved"

    @property
    def visible_adjudications(self) -> tuple[Adjudication, ...]:
        """The verdicts that may be shown: none before all are in, so that nobody is led by the one before."""
        return () if self.state in ("open", "partly adjudicated") else self.adjudications

    def adjudicate(self, adjudication: Adjudication) -> Case:
        """With one more verdict. Raises ``AdjudicationError`` where all are in, or this person has given one."""
        self._require(adjudication.alert, adjudication.adjudicator, "adjudicated", ("open", "partly adjudicated"))
        if self._place_of(adjudication.adjudicator) is not None:
            raise AdjudicationError(
                f"alert {self.alert} has a verdict of {adjudication.adjudicator!r} already: another person must give "
                "the next one; `pylfr alerts amend` corrects a mistake"
            )
        if adjudication.key is not None and adjudication.key in {each.key for each in self.adjudications}:
            raise AdjudicationError(
                f"alert {self.alert} has a verdict under this key already: another person must give the next one, with "
                "a key of their own"
            )
        return replace(self, adjudications=(*self.adjudications, adjudication))

    def engage(self, engagement: Engagement) -> Case:
        """With the decision to engage or not. Raises ``AdjudicationError`` unless people have confirmed the alert."""
        self._require(engagement.alert, engagement.officer, "engaged on", ("confirmed",))
        return replace(self, engagement=engagement)

    def close(self, outcome: Outcome) -> Case:
        """With what it turned out to be, whether or not somebody was engaged.

        Raises ``AdjudicationError`` before people have refuted the alert or decided on an engagement.
        """
        self._require(outcome.alert, outcome.officer, "given an outcome", ("engaged", "not engaged", "refuted"))
        return replace(self, outcome=outcome)

    def amend_verdict(self, adjudication: Adjudication) -> Case:
        """With another verdict of the same person in place of a mistaken one.

        Raises ``AdjudicationError`` without a reason, or where this person has given no verdict.
        """
        place = self._place_of(adjudication.adjudicator)
        if place is None:
            raise AdjudicationError(
                f"alert {self.alert} has no verdict of {adjudication.adjudicator!r}: only one's own can be amended"
            )
        self._require_amendment(adjudication.alert, adjudication.reason)
        amended = (*self.adjudications[:place], adjudication, *self.adjudications[place + 1 :])
        return replace(self, adjudications=amended)

    def amend_outcome(self, outcome: Outcome) -> Case:
        """With another outcome in place of a mistaken one.

        Raises ``AdjudicationError`` without a reason, or where there is no outcome.
        """
        self._require(outcome.alert, outcome.officer, "amended in its outcome", ("closed",))
        self._require_amendment(outcome.alert, outcome.reason)
        return replace(self, outcome=outcome)

    def _place_of(self, adjudicator: str) -> int | None:
        """Where this person's verdict is among all; None where there is none."""
        known = [identity_of(each.adjudicator) for each in self.adjudications]
        return known.index(identity_of(adjudicator)) if identity_of(adjudicator) in known else None

    def _require(self, alert: str, who: str, done: str, states: tuple[State, ...]) -> None:
        if alert != self.alert:
            raise AdjudicationError(f"a decision about alert {alert} does not belong to alert {self.alert}")
        if (fault := name_fault(who)) is not None:
            raise AdjudicationError(f"the name of whoever decides {fault}, got {who[:LONGEST_NAME]!r}")
        if self.state not in states:
            raise AdjudicationError(
                f"alert {self.alert} is {self.state}: it can be {done} only while it is {' or '.join(states)}"
            )

    def _require_amendment(self, alert: str, reason: str) -> None:
        if alert != self.alert:
            raise AdjudicationError(f"a decision about alert {alert} does not belong to alert {self.alert}")
        if not reason.strip():
            raise AdjudicationError("an amendment must give its reason: say what was mistaken")
