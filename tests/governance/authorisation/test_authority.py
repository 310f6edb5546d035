"""Leave to look refuses every camera and every moment that it does not name, and every field that is blank."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit, Rehearsal
from tests.governance.samples import NOON, authorisation


def leave(**changes: object) -> RecordingPermit:
    fields: dict[str, object] = {
        "purpose": "find people wanted for robbery",
        "place": "High Street",
        "cameras": ["north", "south"],
        "starts_at": NOON,
        "ends_at": NOON + timedelta(hours=6),
        "authorising_officer": "Superintendent A. Example",
        "legal_basis": "common law powers",
    }
    return RecordingPermit.model_validate(fields | changes)


@pytest.fixture(params=["leave", "authorisation"])
def either(request: pytest.FixtureRequest) -> RecordingPermit | Authorisation:
    return leave() if request.param == "leave" else authorisation()


def test_authorised_cameras_inside_the_window_pass(either: RecordingPermit | Authorisation) -> None:
    either.require(frozenset({"north"}), (NOON, NOON + timedelta(hours=5)))


def test_a_camera_that_is_not_named_is_refused_by_name(either: RecordingPermit | Authorisation) -> None:
    with pytest.raises(AuthorisationError, match="'west'"):
        either.require(frozenset({"north", "west"}), (NOON, NOON))


@pytest.mark.parametrize(
    ("offset", "words"),
    [(-timedelta(seconds=1), "starts at"), (timedelta(hours=6), "ended at"), (timedelta(days=9), "ended")],
)
def test_a_moment_outside_the_window_is_refused(
    either: RecordingPermit | Authorisation, offset: timedelta, words: str
) -> None:
    with pytest.raises(AuthorisationError, match=words):
        either.require(frozenset({"north"}), (NOON + offset, NOON + offset))


@pytest.mark.parametrize("field", ["purpose", "place", "authorising_officer", "legal_basis"])
def test_an_empty_field_is_refused_by_name(field: str) -> None:
    for make in (leave, authorisation):
        with pytest.raises(ValidationError, match=f"{field}\n.*it is blank"):
            make(**{field: "  "})


def test_no_cameras_no_time_zone_and_a_backward_window_are_refused() -> None:
    for make, none in ((leave, []), (authorisation, {})):
        with pytest.raises(ValidationError, match="cameras"):
            make(cameras=none)
        with pytest.raises(ValidationError, match="time zone"):
            make(starts_at=NOON.replace(tzinfo=None))
        with pytest.raises(ValidationError, match="after starts_at"):
            make(ends_at=NOON)


def test_the_officer_cannot_be_the_operator() -> None:
    with pytest.raises(ValidationError, match="another person than the authorising officer"):
        authorisation(operator=" superintendent a. example")


def test_any_change_gives_another_reference_and_the_same_instant_does_not() -> None:
    zone = timezone(timedelta(hours=1))
    assert leave(starts_at=NOON.astimezone(zone)).reference == leave().reference
    assert authorisation(starts_at=NOON.astimezone(zone)).reference == authorisation().reference
    assert leave(place="Low Street").reference != leave().reference
    assert authorisation(threshold=0.569).reference != authorisation().reference


def test_a_rehearsal_says_that_it_is_one() -> None:
    nothing: tuple[datetime, datetime] = (NOON, NOON)
    Rehearsal().require(frozenset(), nothing)
    assert Rehearsal().reference == "rehearsal"
    assert Rehearsal().ends_at is None
