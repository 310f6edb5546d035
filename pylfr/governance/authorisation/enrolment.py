"""The origin and the review of a reference image, which a policy asks for before the image may be searched for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pylfr._internal.canonical_json import utc_text
from pylfr.governance.authorisation.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a reference image, given at enrolment. ``captured_on`` is the day on which it was taken."""

    source: str | None = None
    lawful_basis: str | None = None
    captured_on: date | None = None
    proposed_by: str | None = None

    def missing(self) -> tuple[str, ...]:
        """What is missing, in the words of the command line."""
        said = {
            "source": self.source,
            "lawful basis": self.lawful_basis,
            "capture date": self.captured_on,
            "who proposes it": self.proposed_by,
        }
        return tuple(name for name, value in said.items() if value is None or not str(value).strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceReview:
    """A person's word that a reference image may be looked for in one deployment, named as its file names it."""

    by: str
    deployment: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedReference:
    """A reference image as the policy sees it: its entry, its origin and its last review; no picture."""

    entry: str
    origin: Origin
    review: ReferenceReview | None


def enrolment_gaps(
    origin: Origin, *, category: str | None, justification: str | None, profile: Profile
) -> tuple[str, ...]:
    """What ``profile`` asks of an enrolment and this one does not say; nothing where all is there."""
    gaps = list(origin.missing()) if profile.requires_origin else []
    if profile.categories and category not in profile.categories:
        gaps.append(f"a category that is one of {', '.join(profile.categories)} (got {category or 'none'!r})")
    if profile.categories and not (justification or "").strip():
        gaps.append("a justification")
    return tuple(gaps)


def review_gaps(reference: ReviewedReference, *, deployment: str, profile: Profile, now: datetime) -> Iterator[str]:
    """Why ``profile`` does not let this reference image count in ``deployment`` at ``now``; nothing where it does."""
    if not profile.requires_origin:
        return
    missing = reference.origin.missing()
    if missing:
        yield f"{reference.entry!r} does not say {', '.join(missing)}"
    review = reference.review
    if review is None:
        yield f"{reference.entry!r} was reviewed by nobody (`pylfr watchlist review`)"
        return
    if review.deployment != deployment:
        yield f"{reference.entry!r} was reviewed for {review.deployment!r}: review it for {deployment!r}"
    elif now >= review.at + timedelta(hours=profile.review_max_age_h):
        yield f"{reference.entry!r} was reviewed at {utc_text(review.at)}, too long ago: review it again"
    if profile.min_enrollers > 1 and is_same_person(review.by, reference.origin.proposed_by or review.by):
        yield f"{reference.entry!r} was proposed and reviewed by {review.by!r}: another person must review it"


def enrollers_of(references: Iterable[ReviewedReference]) -> frozenset[str]:
    """Everybody who proposed or reviewed any of these, each once however the name is spelt."""
    return frozenset(
        identity_of(name)
        for each in references
        for name in (each.origin.proposed_by, each.review.by if each.review is not None else None)
        if name
    )


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are spellings of one."""
    return identity_of(one) == identity_of(other)


def identity_of(name: str) -> str:
    """A name without what two spellings of it may differ in."""
    return " ".join(name.split()).casefold()
