"""An authorisation refuses every camera and every moment that it does not name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.authority import Authorisation, Rehearsal

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)


def authorisation(
    *,
    purpose: str = "find people wanted for robbery",
    place: str = "High Street",
    cameras: frozenset[str] = frozenset({"north", "south"}),
    starts_at: datetime = NOON,
    ends_at: datetime = NOON + timedelta(hours=6),
    authorising_officer: str = "Superintendent A. Example",
    legal_basis: str = "common law powers",
) -> Authorisation:
    return Authorisation(
        purpose=purpose,
        place=place,
        cameras=cameras,
        starts_at=starts_at,
        ends_at=ends_at,
        authorising_officer=authorising_officer,
        legal_basis=legal_basis,
    )


def test_authorised_cameras_inside_the_window_pass() -> None:
    authorisation().require(frozenset({"north"}), (NOON, NOON + timedelta(hours=5)))


def test_a_camera_that_is_not_named_is_refused_by_name() -> None:
    with pytest.raises(AuthorisationError, match="'west'"):
        authorisation().require(frozenset({"north", "west"}), (NOON, NOON))


@pytest.mark.parametrize(
    ("offset", "words"),
    [(-timedelta(seconds=1), "starts at"), (timedelta(hours=6), "ended at"), (timedelta(days=9), "ended")],
)
def test_a_moment_outside_the_window_is_refused(offset: timedelta, words: str) -> None:
    with pytest.raises(AuthorisationError, match=words):
        authorisation().require(frozenset({"north"}), (NOON + offset, NOON + offset))


@pytest.mark.parametrize("field", ["purpose", "place", "authorising_officer", "legal_basis"])
def test_an_empty_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(AuthorisationError, match=f"authorisation.{field}"):
        authorisation(**{field: "  "})  # type: ignore[arg-type]


def test_no_cameras_no_time_zone_and_a_backward_window_are_refused() -> None:
    with pytest.raises(AuthorisationError, match="cameras"):
        authorisation(cameras=frozenset())
    with pytest.raises(AuthorisationError, match="time zone"):
        authorisation(starts_at=NOON.replace(tzinfo=None))
    with pytest.raises(AuthorisationError, match="after starts_at"):
        authorisation(ends_at=NOON)


def test_any_change_gives_another_reference_and_the_same_instant_does_not() -> None:
    same = authorisation(starts_at=NOON.astimezone(timezone(timedelta(hours=1))))
    assert same.reference == authorisation().reference
    assert authorisation(place="Low Street").reference != authorisation().reference
    assert authorisation(cameras=frozenset({"north"})).reference != authorisation().reference


def test_a_rehearsal_says_that_it_is_one() -> None:
    assert Rehearsal().reference == "rehearsal"
    assert Rehearsal().ends_at is None
