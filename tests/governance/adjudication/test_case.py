"""No path leads from an alert to an action without the people that the policy asks for, by name and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pylfr.errors import AdjudicationError
from pylfr.governance.adjudication.case import Adjudication, Case, Decision, Engagement, Finding, Outcome, Verdict

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)
PEOPLE = st.sampled_from(["Ann", "ann ", "Bob", "Cem", "", "  "])


class AlertToOutcome(RuleBasedStateMachine):
    """Whatever people and clocks do, in whatever order; ``given`` is kept by the test itself, not by the case."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.given: list[tuple[str, str]] = []

    @initialize(needed=st.integers(1, 2))
    def an_alert(self, needed: int) -> None:
        self.case = Case(alert="a", min_adjudicators=needed)

    @rule(hours=st.integers(1, 10_000))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(who=PEOPLE, verdict=st.sampled_from(get_args(Verdict)))
    def somebody_adjudicates(self, who: str, verdict: Verdict) -> None:
        try:
            self.case = self.case.adjudicate(Adjudication(alert="a", adjudicator=who, verdict=verdict, at=self.now))
        except AdjudicationError:
            return
        assert who.strip()
        self.given.append((who.strip().casefold(), verdict))

    @rule(who=PEOPLE, decision=st.sampled_from(get_args(Decision)))
    def somebody_decides_to_engage(self, who: str, decision: Decision) -> None:
        try:
            self.case = self.case.engage(Engagement(alert="a", officer=who, decision=decision, at=self.now))
        except AdjudicationError:
            return
        assert who.strip()
        assert len({name for name, _ in self.given}) >= self.case.min_adjudicators
        assert {verdict for _, verdict in self.given} == {"same person"}

    @rule(who=PEOPLE, finding=st.sampled_from(get_args(Finding)))
    def somebody_says_what_it_was(self, who: str, finding: Finding) -> None:
        try:
            self.case = self.case.close(Outcome(alert="a", officer=who, finding=finding, at=self.now))
        except AdjudicationError:
            return
        assert who.strip()
        assert len({name for name, _ in self.given}) >= self.case.min_adjudicators

    @rule(who=PEOPLE, verdict=st.sampled_from(get_args(Verdict)), reason=st.sampled_from(["", "a mistake"]))
    def somebody_amends_a_verdict(self, who: str, verdict: Verdict, reason: str) -> None:
        amended = Adjudication(alert="a", adjudicator=who, verdict=verdict, at=self.now, reason=reason)
        try:
            self.case = self.case.amend_verdict(amended)
        except AdjudicationError:
            return
        assert reason
        place = [name for name, _ in self.given].index(who.strip().casefold())
        self.given[place] = (who.strip().casefold(), verdict)

    @rule(who=PEOPLE, finding=st.sampled_from(get_args(Finding)), reason=st.sampled_from(["", "a mistake"]))
    def somebody_amends_an_outcome(self, who: str, finding: Finding, reason: str) -> None:
        amended = Outcome(alert="a", officer=who, finding=finding, at=self.now, reason=reason)
        try:
            self.case = self.case.amend_outcome(amended)
        except AdjudicationError:
            return
        assert reason
        assert who.strip()
        assert self.case.outcome is amended

    @invariant()
    def nothing_is_confirmed_without_people(self) -> None:
        if not hasattr(self, "case"):
            return
        if self.case.state in ("confirmed", "engaged", "closed"):
            assert len(self.given) >= self.case.min_adjudicators
            assert len({name for name, _ in self.given}) == len(self.given)
        if len(self.given) < self.case.min_adjudicators:
            assert self.case.visible_adjudications == ()
            assert self.case.state in ("open", "partly adjudicated")


AlertToOutcome.TestCase.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)
TestAlertToOutcome = AlertToOutcome.TestCase


def verdict(who: str, said: Verdict = "same person", alert: str = "a") -> Adjudication:
    return Adjudication(alert=alert, adjudicator=who, verdict=said, at=NOON)


def test_the_same_person_twice_is_refused_however_the_name_is_written() -> None:
    case = Case(alert="a", min_adjudicators=2).adjudicate(verdict("Ann Example"))
    with pytest.raises(AdjudicationError, match="another person"):
        case.adjudicate(verdict("  ann   EXAMPLE"))
    assert case.state == "partly adjudicated"
    assert case.adjudicate(verdict("Bob")).state == "confirmed"


@pytest.mark.parametrize("second", ["different person", "cannot tell"])
def test_one_who_does_not_see_the_same_person_refutes_it(second: Verdict) -> None:
    case = Case(alert="a", min_adjudicators=2).adjudicate(verdict("Ann")).adjudicate(verdict("Bob", second))
    assert case.state == "refuted"
    assert len(case.visible_adjudications) == 2
    with pytest.raises(AdjudicationError, match="is refuted: it can be engaged on only while it is confirmed"):
        case.engage(Engagement(alert="a", officer="Cem", decision="engage", at=NOON))
    with pytest.raises(AdjudicationError, match="is refuted"):
        case.adjudicate(verdict("Dee"))


def test_a_decision_about_another_alert_is_refused() -> None:
    with pytest.raises(AdjudicationError, match="does not belong to alert a"):
        Case(alert="a", min_adjudicators=1).adjudicate(verdict("Ann", alert="b"))
