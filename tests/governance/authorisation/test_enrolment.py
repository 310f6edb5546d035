"""Every reference says where it comes from, and another person has looked at it for this deployment: or no start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pylfr.governance.authorisation.enrolment import (
    Origin,
    ReferenceReview,
    ReviewedReference,
    enrolment_gaps,
    review_gaps,
)
from pylfr.governance.authorisation.profiles import profile_names, read_profile
from tests.governance.samples import NOON, ORIGIN, REVIEW, reference

DEPLOYMENT = REVIEW.deployment


def gaps(of: ReviewedReference, *, profile: str = "uk-police", hours: float = 0) -> list[str]:
    now = NOON + timedelta(hours=hours)
    return list(review_gaps(of, deployment=DEPLOYMENT, profile=read_profile(profile), now=now))


@pytest.mark.parametrize("profile", profile_names())
def test_a_reference_that_says_everything_counts_under_every_policy(profile: str) -> None:
    assert gaps(reference(), profile=profile) == []


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (reference(origin=replace(ORIGIN, source=None)), "'REF-1' does not say source"),
        (reference(origin=replace(ORIGIN, source="  ")), "'REF-1' does not say source"),
        (reference(origin=replace(ORIGIN, lawful_basis=None)), "'REF-1' does not say lawful basis"),
        (reference(origin=replace(ORIGIN, captured_on=None)), "'REF-1' does not say capture date"),
        (reference(origin=replace(ORIGIN, proposed_by=None)), "'REF-1' does not say who proposes it"),
        (reference(review=None), "'REF-1' was reviewed by nobody"),
        (reference(review=replace(REVIEW, deployment="last week")), "was reviewed for 'last week': review it for"),
        (reference(review=replace(REVIEW, at=NOON - timedelta(hours=24))), "too long ago"),
        (reference(review=replace(REVIEW, by=" dc d.  example")), "another person must review it"),
    ],
)
def test_what_is_missing_is_named_where_the_policy_asks_and_nothing_where_it_does_not(
    of: ReviewedReference, said: str
) -> None:
    for profile in ("uk-police", "eu-leo"):
        assert any(said in gap for gap in gaps(of, profile=profile))
    assert gaps(of, profile="research") == []


def test_a_review_ends() -> None:
    assert gaps(reference(), hours=21.9) == []
    assert gaps(reference(), hours=22)


def test_one_person_may_propose_and_review_only_where_the_policy_says_so() -> None:
    alone = reference(review=replace(REVIEW, by="DC D. Example"))
    one_is_enough = read_profile("uk-police").model_copy(update={"min_enrollers": 1})
    assert list(review_gaps(alone, deployment=DEPLOYMENT, profile=one_is_enough, now=NOON)) == []


def test_an_enrolment_names_all_that_its_policy_misses() -> None:
    said = enrolment_gaps(Origin(), category=None, justification=" ", profile=read_profile("uk-police"))
    assert said[:4] == ("source", "lawful basis", "capture date", "who proposes it")
    assert "(got 'none')" in said[4]
    assert said[5] == "a justification"
    assert enrolment_gaps(Origin(), category=None, justification=None, profile=read_profile("research")) == ()
    assert (
        enrolment_gaps(ORIGIN, category="wanted on warrant", justification="7", profile=read_profile("uk-police")) == ()
    )


def test_a_review_by_another_for_this_deployment_is_what_counts() -> None:
    late = ReferenceReview(by="Insp. E. Example", deployment=DEPLOYMENT, at=NOON)
    assert gaps(reference(review=late), hours=23) == []
