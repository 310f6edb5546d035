"""Does an authorisation fit a deployment? In every field, exactly, or recognition does not start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pylfr._internal.canonical_json import utc_text
from pylfr._internal.duration import duration_text
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Authorisation, RecordingPermit
from pylfr.governance.authorisation.certificates import (
    CalibrationCertificate,
    CohortCertificate,
    FusionRules,
    signer_of,
)
from pylfr.governance.authorisation.enrolment import ReviewedReference, identity_of, review_gaps
from pylfr.governance.authorisation.profiles import Profile
from pylfr.governance.authorisation.signed import SignedAuthorisation
from pylfr.governance.authorisation.trust import TrustRoot
from pylfr.governance.keys.keys import PublicKey
from pylfr.governance.keys.person_key import parse_person_key
from pylfr.types import Arithmetic

# A threshold goes through TOML and JSON as the shortest text that reads back: anything above this is another number.
_SAME = 1e-9
# Of many references that may not count, so many are named.
_NAMED = 5
# A certificate of photographs counts one search a person, a track has many: it bounds only the mean of several.
_LEAST_FUSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFacts:
    """What a deployment is, as found on this machine now. Digests are sha256, hexadecimal.

    ``cameras`` gives the digest of each camera's address, zone and expected stream; ``people`` may decide, by name with
    their public keys; ``categories`` are those on the watchlist; ``unjustified`` counts its entries without a
    justification; ``references`` are where its images come from and who reviewed them; ``sealed`` says whether it is
    encrypted under a key that expires; ``arithmetic`` is None where the runtime is left open, which then follows the
    certificate's; ``settings`` is every other setting that is signed, by its place in the deployment file; ``trust``
    the root outside the deployment that says whose keys count.
    """

    deployment: str
    profile: str
    place: str
    cameras: Mapping[str, str]
    people: Mapping[str, str]
    watchlist: str
    watchlist_size: int
    categories: frozenset[str]
    unjustified: int
    references: tuple[ReviewedReference, ...]
    sealed: bool
    detector: str
    embedder: str
    preprocessing: str
    arithmetic: Arithmetic | None
    threshold: float
    rules: FusionRules
    calibration: tuple[CalibrationCertificate, str] | None
    cohorts: tuple[CohortCertificate, str] | None
    settings: Mapping[str, str]
    trust: TrustRoot | None


def require_fit(
    signed: SignedAuthorisation,
    facts: DeploymentFacts,
    profile: Profile,
    *,
    officer: PublicKey,
    second_officer: PublicKey | None,
    record: PublicKey | None,
    now: datetime,
) -> None:
    """Raise ``AuthorisationError`` naming every field in which the deployment is not what was authorised.

    ``officer`` is the key that this deployment trusts; ``record`` the operator's own, which may not be the same.
    """
    reasons = [
        *_signatures(signed, facts, profile, officer, second_officer, record),
        *_trust(signed.authorisation, facts, profile, officer, second_officer),
        *_mismatches(signed.authorisation, facts),
        *_settings(signed.authorisation, facts),
        *_deciders(signed.authorisation, facts, profile),
        *_policy(signed.authorisation, facts, profile),
        *_enrolment(facts, profile, now),
        *_measurements(facts, profile, now),
        *_time(signed.authorisation, profile, now),
    ]
    if reasons:
        raise AuthorisationError("recognition is not authorised: " + "; ".join(reasons))


def _signatures(
    signed: SignedAuthorisation,
    facts: DeploymentFacts,
    profile: Profile,
    officer: PublicKey,
    second_officer: PublicKey | None,
    record: PublicKey | None,
) -> Iterator[str]:
    if officer not in signed.signers:
        yield "signature: the authorising officer's key, which this deployment trusts, did not sign it"
    if record is not None and record in (officer, second_officer):
        yield "officer_key: the operator's own key cannot authorise"
    higher = sorted(facts.categories & set(profile.higher_approval))
    if higher:
        if second_officer is None or second_officer == officer:
            yield f"second_officer_key: category {higher[0]!r} needs a second officer's approval, none is named"
        elif second_officer not in signed.signers:
            yield f"second signature: category {higher[0]!r} needs a second officer's approval, who has not signed"


def _trust(
    authorisation: Authorisation,
    facts: DeploymentFacts,
    profile: Profile,
    officer: PublicKey,
    second_officer: PublicKey | None,
) -> Iterator[str]:
    """Whether the officers' keys are those of officers by a root that the operator could not have written."""
    if facts.trust is None:
        if profile.requires_trusted_officers:
            yield (
                f"trusted_officers: {profile.name} needs a file of its own owner, outside the deployment, that names "
                "the officers with their keys"
            )
        return
    if (flaw := facts.trust.officer_flaw(officer, authorisation.authorising_officer)) is not None:
        yield f"officer_key: {flaw}"
    if second_officer is not None and second_officer not in facts.trust.officers:
        yield f"second_officer_key: the key {second_officer.fingerprint} is none of the officers' in {facts.trust.path}"
    # Root can write every file: that cannot be prevented, and the log and the report say so.
    if os.geteuid() != 0:
        yield from (f"trusted_officers: {reach}" for reach in facts.trust.reach)


def _settings(authorisation: Authorisation, facts: DeploymentFacts) -> Iterator[str]:
    """Every setting that is not the one that was signed."""
    if not authorisation.settings:
        yield "settings: this authorisation was signed before settings were: draft and sign it anew"
        return
    for place in sorted(set(authorisation.settings) | set(facts.settings)):
        allowed, found = authorisation.settings.get(place), facts.settings.get(place)
        if allowed != found:
            yield f"{place}: authorised is {_said(allowed)}, the deployment has {_said(found)}"


def _said(setting: str | None) -> str:
    return "nothing" if setting is None else repr(setting)


def _mismatches(authorisation: Authorisation, facts: DeploymentFacts) -> Iterator[str]:
    calibration = facts.calibration[1] if facts.calibration is not None else None
    cohorts = facts.cohorts[1] if facts.cohorts is not None else None
    pairs: dict[str, tuple[str | int | None, str | int | None]] = {
        "deployment": (authorisation.deployment, facts.deployment),
        "profile": (authorisation.profile, facts.profile),
        "place": (authorisation.place, facts.place),
        "watchlist": (authorisation.watchlist, facts.watchlist),
        "watchlist_size": (authorisation.watchlist_size, facts.watchlist_size),
        "detector": (authorisation.detector, facts.detector),
        "embedder": (authorisation.embedder, facts.embedder),
        "calibration": (authorisation.calibration, calibration),
        "cohorts": (authorisation.cohorts, cohorts),
    }
    for name, (allowed, found) in pairs.items():
        if allowed != found:
            yield f"{name}: authorised is {_short(allowed)}, the deployment has {_short(found)}"
    if abs(authorisation.threshold - facts.threshold) > _SAME:
        yield f"threshold: authorised is {authorisation.threshold}, the deployment has {facts.threshold}"
    for camera in sorted(set(authorisation.cameras) | set(facts.cameras)):
        if camera not in facts.cameras:
            yield f"cameras: {camera!r} is authorised, the deployment has no such camera"
        elif camera not in authorisation.cameras:
            yield f"cameras: {camera!r} is not authorised"
        elif authorisation.cameras[camera] != facts.cameras[camera]:
            yield f"cameras: the address, the zone or the stream of {camera!r} is not the one that was authorised"


def _deciders(authorisation: Authorisation, facts: DeploymentFacts, profile: Profile) -> Iterator[str]:
    """Whether those who decide are those who were signed for, enough of them, and each with a key of their own."""
    for name in sorted(set(authorisation.people) | set(facts.people)):
        if authorisation.people.get(name) != facts.people.get(name):
            yield f"people: {name!r} is not authorised to decide, or not with this key"
    keys = {parse_person_key(each).raw for each in facts.people.values()}
    names = {identity_of(each) for each in facts.people}
    if min(len(keys), len(names)) < len(facts.people):
        yield "people: everybody who decides must have a name and a key of their own"
    if profile.requires_signed_decisions and len(facts.people) < profile.min_adjudicators:
        yield (
            f"people: {profile.name} needs {profile.min_adjudicators} who decide, by name with their public keys, the "
            f"deployment names {len(facts.people)}"
        )


def _policy(authorisation: Authorisation, facts: DeploymentFacts, profile: Profile) -> Iterator[str]:
    """What the jurisdiction asks for, whoever has signed."""
    if profile.requires_impact_assessments and not authorisation.urgent:
        for name in ("dpia", "eia"):
            if not getattr(authorisation, name).strip():
                yield f"{name}: {profile.name} needs the assessment's reference"
    if profile.requires_signage and not authorisation.signage_confirmed:
        yield f"signage_confirmed: {profile.name} needs signs that people can read before they are seen"
    if profile.requires_sealed_watchlist and not facts.sealed:
        yield f"watchlist: {profile.name} needs a sealed one (`pylfr watchlist seal`)"
    if facts.watchlist_size > profile.max_watchlist:
        yield f"watchlist_size: {profile.name} allows {profile.max_watchlist}, the watchlist has {facts.watchlist_size}"
    if profile.categories:
        for category in sorted(facts.categories - set(profile.categories)):
            yield f"watchlist: category {category or '(none)'!r} is not one of {', '.join(profile.categories)}"
        if facts.unjustified:
            yield f"watchlist: {facts.unjustified} entries have no justification"


def _enrolment(facts: DeploymentFacts, profile: Profile, now: datetime) -> Iterator[str]:
    """Whether every reference is lawfully held and reviewed: the first few by name, the others counted."""
    gaps = [
        gap
        for reference in facts.references
        for gap in review_gaps(reference, deployment=facts.deployment, profile=profile, now=now)
    ]
    yield from (f"watchlist: {gap}" for gap in gaps[:_NAMED])
    if len(gaps) > _NAMED:
        yield f"watchlist: and {len(gaps) - _NAMED} more such"


def _measurements(facts: DeploymentFacts, profile: Profile, now: datetime) -> Iterator[str]:
    if facts.calibration is None:
        if profile.requires_calibration:
            yield f"calibration: {profile.name} needs a calibration certificate, the deployment names none"
    else:
        calibration = facts.calibration[0]
        yield from _certificate("calibration", calibration, facts, profile, profile.calibration_max_age_days, now)
        yield from _fusion(calibration, facts)
        if facts.watchlist_size > calibration.watchlist_size:
            yield (
                f"calibration: it holds for {calibration.watchlist_size} references, "
                f"the watchlist has {facts.watchlist_size}"
            )
    if facts.cohorts is None:
        if profile.requires_cohorts:
            yield f"cohorts: {profile.name} needs a cohort certificate, the deployment names none"
    else:
        yield from _certificate("cohorts", facts.cohorts[0], facts, profile, profile.cohorts_max_age_days, now)


def _fusion(calibration: CalibrationCertificate, facts: DeploymentFacts) -> Iterator[str]:
    """A score that is fused otherwise than it was measured has another FPIR at the same threshold."""
    if calibration.detector is not None and calibration.detector != facts.detector:
        yield f"calibration: the certificate is for another detector ({calibration.detector[:12]})"
    if calibration.rules is not None:
        for name in FusionRules.model_fields:
            held, found = getattr(calibration.rules, name), getattr(facts.rules, name)
            if held != found:
                yield f"calibration: the certificate is for {name} {held}, the deployment has {found}"
    elif facts.rules.best_scores < _LEAST_FUSED:
        yield (
            "calibration: one of photographs holds where two scores or more are averaged; with best_scores "
            f"{facts.rules.best_scores} every face of a track is another chance for a false alert: set best_scores = "
            f"{_LEAST_FUSED}, or calibrate tracks (--truth or --crowd)"
        )


def _certificate(
    name: str,
    certificate: CalibrationCertificate | CohortCertificate,
    facts: DeploymentFacts,
    profile: Profile,
    max_age_days: float,
    now: datetime,
) -> Iterator[str]:
    yield from _measurer(name, certificate, facts, profile)
    if certificate.model != facts.embedder:
        yield f"{name}: the certificate is for another network ({certificate.model[:12]})"
    if certificate.preprocessing != facts.preprocessing:
        yield f"{name}: the certificate is for another preprocessing ({certificate.preprocessing[:12]})"
    # A runtime that is left open uses the arithmetic of the calibration.
    computed = facts.arithmetic or (facts.calibration[0].arithmetic if facts.calibration is not None else None)
    if computed not in (None, certificate.arithmetic):
        yield (
            f"{name}: the certificate was measured in {certificate.arithmetic}, the deployment's runtime computes in "
            f"{computed}: set runtime to one of {certificate.arithmetic}, or measure again with it"
        )
    if facts.threshold < certificate.threshold - _SAME:
        held = certificate.threshold
        yield f"{name}: the certificate holds from threshold {held}, the deployment has {facts.threshold}"
    if now >= min(certificate.expires_at, certificate.issued_at + timedelta(days=max_age_days)):
        yield f"{name}: the certificate of {utc_text(certificate.issued_at)} is too old; measure again"
    if certificate.issued_at > now:
        yield f"{name}: the certificate is dated {utc_text(certificate.issued_at)}, which lies in the future"


def _measurer(
    name: str, certificate: CalibrationCertificate | CohortCertificate, facts: DeploymentFacts, profile: Profile
) -> Iterator[str]:
    """Whether the certificate was signed by somebody whose measurements count."""
    if not profile.requires_signed_certificates:
        return
    signer = signer_of(certificate)
    if signer is None:
        yield f"{name}: the certificate is not signed by who measured (`pylfr calibrate --key`, `pylfr evaluate --key`)"
    elif facts.trust is not None and signer not in facts.trust.measurers:
        yield f"{name}: the key {signer.fingerprint} that signed it is none of the measurers' in {facts.trust.path}"


def window_fault(authority: RecordingPermit | Authorisation, profile: Profile) -> str | None:
    """How much longer the window is than the profile allows; None where it is not."""
    length, longest = authority.ends_at - authority.starts_at, timedelta(hours=profile.max_window_h)
    if length <= longest:
        return None
    return f"{profile.name} allows a window of {duration_text(longest)}, this one has {duration_text(length)}"


def _time(authorisation: Authorisation, profile: Profile, now: datetime) -> Iterator[str]:
    if (fault := window_fault(authorisation, profile)) is not None:
        yield f"ends_at: {fault}"
    if authorisation.signed_at > now:
        yield f"signed_at: {utc_text(authorisation.signed_at)} lies in the future"
    if authorisation.urgent:
        latest = authorisation.signed_at + timedelta(hours=profile.urgent_window_h)
        if not profile.urgent_window_h:
            yield f"urgent: {profile.name} knows no urgent authorisation"
        elif authorisation.ends_at > latest:
            hours = f"{profile.urgent_window_h:g} h after it was signed"
            yield f"ends_at: an urgent authorisation ends {hours}, at {utc_text(latest)} or before"
    if now >= authorisation.ends_at:
        yield f"ends_at: the authorised window ended at {utc_text(authorisation.ends_at)}, it is {utc_text(now)}"
    elif now < authorisation.starts_at:
        yield f"starts_at: the authorised window starts at {utc_text(authorisation.starts_at)}, it is {utc_text(now)}"


def _short(value: str | int | None) -> str:
    text = "none" if value is None else str(value)
    return f"{text[:12]}..." if len(text) == 64 else repr(text)
