"""A deployment that is not exactly what was authorised does not start, and every reason is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Authorisation
from pylfr.governance.authorisation.certificates import CalibrationCertificate
from pylfr.governance.authorisation.checks import DeploymentFacts, require_fit
from pylfr.governance.authorisation.profiles import profile_names, read_profile
from pylfr.governance.authorisation.signed import SignedAuthorisation
from pylfr.governance.keys.keys import PublicKey
from tests.governance.samples import (
    CAMERAS,
    DETECTOR,
    NOON,
    PEOPLE,
    RULES,
    SETTINGS,
    TRUST,
    authorisation,
    calibration,
    cohorts,
    facts,
    reference,
)
from tests.governance.samples import OFFICER as OFFICER_NAME

OFFICER, SECOND, OPERATOR, OUTSIDER = (PublicKey(bytes([number]) * 32) for number in range(4))


def of_tracks(**rules: object) -> CalibrationCertificate:
    return calibration(unit="tracks", detector=DETECTOR, rules=RULES.model_copy(update=rules))


def require(
    given: Authorisation | None = None,
    found: DeploymentFacts | None = None,
    *,
    signers: tuple[PublicKey, ...] = (OFFICER,),
    second: PublicKey | None = None,
    record: PublicKey | None = OPERATOR,
    now: datetime = NOON,
    profile: str = "uk-police",
) -> None:
    signed = SignedAuthorisation(authorisation=given or authorisation(), signers=frozenset(signers))
    require_fit(
        signed, found or facts(), read_profile(profile), officer=OFFICER, second_officer=second, record=record, now=now
    )


def test_a_deployment_that_fits_may_start_in_its_window() -> None:
    require()
    require(now=NOON + timedelta(hours=5, minutes=59))
    require(found=facts(measured=of_tracks()))


@pytest.mark.parametrize(
    ("found", "field"),
    [
        (facts(deployment="another"), "deployment"),
        (facts(profile="research"), "profile"),
        (facts(place="Low Street"), "place"),
        (facts(cameras={"north": CAMERAS["north"]}), "cameras: 'south' is authorised"),
        (facts(cameras={**CAMERAS, "west": "a3" * 32}), "cameras: 'west' is not authorised"),
        (facts(cameras={**CAMERAS, "north": "00" * 32}), "cameras: the address, the zone or the stream of 'north'"),
        (facts(people={**PEOPLE, "Dee": PEOPLE["Ann"]}), "people: 'Dee' is not authorised to decide"),
        (facts(people={**PEOPLE, "Dee": PEOPLE["Ann"]}), "people: everybody who decides must have .* of their own"),
        (facts(people={**PEOPLE, "Ann": PEOPLE["Bob"]}), "people: 'Ann' is not authorised to decide, or not with"),
        (facts(people={"Ann": PEOPLE["Ann"]}), "people: uk-police needs 2 who decide"),
        (facts(people={}), "people: uk-police needs 2 who decide"),
        (facts(watchlist="00" * 32), "watchlist"),
        (facts(watchlist_size=13), "watchlist_size"),
        (facts(detector="00" * 32), "detector"),
        (facts(embedder="00" * 32), "embedder"),
        (facts(threshold=0.567), "threshold"),
        (facts(threshold=0.569), "threshold"),
        (facts(calibration_digest="00" * 32), "calibration"),
        (facts(cohorts_digest="00" * 32), "cohorts"),
        (facts(measured_none=True), "calibration: uk-police needs"),
        (facts(compared_none=True), "cohorts: uk-police needs"),
        (facts(preprocessing="00" * 32), "calibration: the certificate is for another preprocessing"),
        (facts(measured=calibration(model="00" * 32)), "calibration: the certificate is for another network"),
        (facts(measured=calibration(watchlist_size=11)), "calibration: it holds for 11 references"),
        (facts(measured=calibration(threshold=0.6)), "calibration: the certificate holds from threshold 0.6"),
        (
            facts(measured=of_tracks(lone_margin=0.5)),
            "calibration: the certificate is for lone_margin 0.5, the deployment",
        ),
        (facts(measured=of_tracks(comparisons_hz=9.0)), "calibration: the certificate is for comparisons_hz 9.0"),
        (facts(measured=of_tracks(detect_hz=4.0)), "calibration: the certificate is for detect_hz 4.0"),
        (facts(measured=of_tracks(side_px=640)), "calibration: the certificate is for side_px 640"),
        (facts(measured=of_tracks(smallest_face_px=40.0)), "calibration: the certificate is for smallest_face_px 40.0"),
        (facts(measured=of_tracks(full_look_s=1.0)), "calibration: the certificate is for full_look_s 1.0"),
        (facts(measured=calibration(detector="00" * 32)), "calibration: the certificate is for another detector"),
        (facts(rules=RULES.model_copy(update={"best_scores": 1})), "calibration: one of photographs holds where two"),
        (facts(arithmetic="bfloat16"), "calibration: .* measured in float32, the deployment's runtime .* in bfloat16"),
        (facts(measured=calibration(arithmetic="bfloat16"), arithmetic="float32"), "calibration: .* in bfloat16"),
        (facts(measured=calibration(arithmetic="bfloat16"), arithmetic="bfloat16"), "cohorts: .* measured in float32"),
        (facts(measured=calibration(arithmetic="bfloat16")), "cohorts: .* measured in float32, the .* in bfloat16"),
        (facts(measured=calibration(expires_at=NOON)), "calibration: .* too old"),
        (facts(measured=calibration(issued_at=NOON + timedelta(days=1))), "calibration: .* in the future"),
        (facts(compared=cohorts(issued_at=NOON - timedelta(days=366))), "cohorts: .* too old"),
        (facts(sealed=False), "watchlist: uk-police needs a sealed one"),
        (facts(categories=frozenset({"others"})), "watchlist: category 'others' is not one of"),
        (facts(categories=frozenset({""})), r"watchlist: category '\(none\)'"),
        (facts(unjustified=2), "watchlist: 2 entries have no justification"),
        (facts(references=(reference(review=None),)), "watchlist: 'REF-1' was reviewed by nobody"),
        (facts(references=(reference(review=None),) * 7), "watchlist: and 2 more such"),
        (
            facts(settings={**SETTINGS, "audit.path": "/tmp/other.log"}),
            "audit.path: authorised is '/srv/audit.log', the deployment has '/tmp/other.log'",
        ),
        (
            facts(settings={**SETTINGS, "sinks.1.url": "https://elsewhere"}),
            "sinks.1.url: authorised is nothing, the deployment has 'https://elsewhere'",
        ),
        (facts(settings={}), "audit.path: authorised is '/srv/audit.log', the deployment has nothing"),
        (facts(trust=None), "trusted_officers: uk-police needs a file of its own owner"),
        (
            facts(trust=replace(TRUST, officers={SECOND: OFFICER_NAME})),
            "officer_key: the key [0-9a-f]{16} is none of the officers' in /etc/pylfr/trusted.toml",
        ),
        (
            facts(trust=replace(TRUST, officers={OFFICER: "Somebody Else"})),
            "officer_key: the key [0-9a-f]{16} is that of 'Somebody Else'",
        ),
        (
            facts(measured=calibration().model_copy(update={"measured": None})),
            "calibration: the certificate is not signed by who measured",
        ),
        (
            facts(compared=cohorts().model_copy(update={"measured": None})),
            "cohorts: the certificate is not signed by who measured",
        ),
        (
            facts(trust=replace(TRUST, measurers={})),
            "calibration: the key [0-9a-f]{16} that signed it is none of the measurers'",
        ),
    ],
)
def test_a_deployment_that_differs_is_refused_by_name(found: DeploymentFacts, field: str) -> None:
    with pytest.raises(AuthorisationError, match=f"recognition is not authorised: .*{field}"):
        require(found=found)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dpia": " "}, "dpia"),
        ({"eia": ""}, "eia"),
        ({"signage_confirmed": False}, "signage_confirmed"),
        ({"ends_at": NOON + timedelta(hours=25)}, "ends_at: uk-police allows a window of 24 h"),
        ({"signed_at": NOON + timedelta(hours=1)}, "signed_at"),
        ({"urgent": True}, "urgent: uk-police knows no urgent"),
        ({"starts_at": NOON + timedelta(minutes=1)}, "starts_at: the authorised window starts"),
        ({"settings": {}}, "settings: this authorisation was signed before settings were"),
        ({"authorising_officer": "Somebody Else"}, "officer_key: the key .* not of 'Somebody Else'"),
    ],
)
def test_words_that_the_profile_does_not_accept_are_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(AuthorisationError, match=field):
        require(authorisation(**changes))


def test_the_window_ends_by_the_clock() -> None:
    with pytest.raises(AuthorisationError, match="ends_at: the authorised window ended"):
        require(now=NOON + timedelta(hours=6))


def test_all_reasons_are_given_at_once() -> None:
    with pytest.raises(AuthorisationError) as caught:
        require(found=facts(place="Low Street", threshold=0.1, watchlist_size=9))
    for field in ("place:", "threshold:", "watchlist_size:"):
        assert field in str(caught.value)


def test_only_the_officers_key_counts_and_it_is_not_the_operators() -> None:
    with pytest.raises(AuthorisationError, match="signature: the authorising officer's key"):
        require(signers=(OUTSIDER,))
    with pytest.raises(AuthorisationError, match="operator's own key cannot authorise"):
        require(record=OFFICER)


def test_a_category_that_needs_it_needs_a_second_officer() -> None:
    child = facts(categories=frozenset({"missing person at risk"}))
    with pytest.raises(AuthorisationError, match="second officer's approval, none is named"):
        require(found=child)
    with pytest.raises(AuthorisationError, match="none is named"):
        require(found=child, second=OFFICER)
    with pytest.raises(AuthorisationError, match="who has not signed"):
        require(found=child, second=SECOND)
    require(found=child, second=SECOND, signers=(OFFICER, SECOND))


def test_an_urgent_authorisation_ends_itself_a_day_after_it_was_signed() -> None:
    found = facts(profile="eu-leo", categories=frozenset())
    signed_at = NOON - timedelta(hours=1)
    urgent = {"profile": "eu-leo", "urgent": True, "signed_at": signed_at, "dpia": "", "eia": ""}
    require(authorisation(**urgent), found, profile="eu-leo")
    late = authorisation(**urgent, ends_at=signed_at + timedelta(hours=24, seconds=1))
    with pytest.raises(AuthorisationError, match="ends_at: an urgent authorisation ends 24 h after it was signed"):
        require(late, found, profile="eu-leo")
    with pytest.raises(AuthorisationError, match="window ended"):
        require(authorisation(**urgent), found, profile="eu-leo", now=NOON + timedelta(hours=6))


@pytest.mark.parametrize("name", ["eu-leo", "private-site", "research", "uk-police"])
def test_every_profile_reads_and_asks_for_what_its_law_asks(name: str) -> None:
    profile = read_profile(name)
    assert profile.name == name
    assert profile_names() == ("eu-leo", "private-site", "research", "uk-police")
    strict = name != "research"
    assert (profile.requires_calibration, profile.requires_cohorts, profile.requires_sealed_watchlist) == (strict,) * 3
    assert profile.min_adjudicators == (2 if strict else 1)
    assert bool(profile.categories) == strict
    assert set(profile.higher_approval) <= set(profile.categories)
    assert (profile.urgent_window_h > 0) == (name == "eu-leo")
    assert profile.fpir_ceiling <= 0.001 or name == "research"


@pytest.mark.parametrize(("user", "said"), [(0, ""), (1000, "trusted_officers: .* belongs to whoever runs this")])
def test_a_root_of_trust_that_the_operator_could_write_is_refused_unless_root_runs_it_all(
    monkeypatch: pytest.MonkeyPatch, user: int, said: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    found = facts(trust=replace(TRUST, reach=("/etc/pylfr/trusted.toml belongs to whoever runs this",)))
    if not said:
        require(found=found)
        return
    with pytest.raises(AuthorisationError, match=said):
        require(found=found)


def test_a_second_officer_is_one_of_those_that_are_trusted() -> None:
    child = facts(
        categories=frozenset({"missing person at risk"}), trust=replace(TRUST, officers={OFFICER: OFFICER_NAME})
    )
    with pytest.raises(AuthorisationError, match=r"second_officer_key: the key [0-9a-f]{16} is none of the officers'"):
        require(found=child, second=SECOND, signers=(OFFICER, SECOND))
