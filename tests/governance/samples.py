"""An authorisation and the deployment that it fits, to be changed in one field at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylfr.deployment.recognition import fusion_rules_of
from pylfr.deployment.sections.recognition import RecognitionSection
from pylfr.governance.authorisation.authority import Authorisation, plain_fields
from pylfr.governance.authorisation.certificates import (
    CalibrationCertificate,
    CertifiedRate,
    CohortCertificate,
    FusionRules,
    Kind,
    sign_certificate,
)
from pylfr.governance.authorisation.checks import DeploymentFacts
from pylfr.governance.authorisation.enrolment import Origin, ReferenceReview, ReviewedReference
from pylfr.governance.authorisation.trust import TrustRoot
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.types import Arithmetic

NOON = datetime(2026, 1, 11, 12, tzinfo=UTC)
OFFICER = "Superintendent A. Example"
PEOPLE = {name: PublicKey(bytes([60 + place]) * 32).text for place, name in enumerate(("Ann", "Bob", "Cem"))}
CAMERAS = {"north": "a1" * 32, "south": "a2" * 32}
DETECTOR, EMBEDDER, PREPROCESSING = "d1" * 32, "e1" * 32, "f1" * 32
LIST, CALIBRATION, COHORTS = "b1" * 32, "c1" * 32, "c2" * 32
SETTINGS = {"audit.path": "/srv/audit.log", "decode.isolation": "process"}
OFFICER_KEY, SECOND_KEY = (PublicKey(bytes([number]) * 32) for number in range(2))
MEASURER = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TRUST = TrustRoot(
    path=Path("/etc/pylfr/trusted.toml"),
    officers={OFFICER_KEY: OFFICER, SECOND_KEY: "Superintendent S. Example"},
    measurers={MEASURER.public: "Evaluation unit"},
    sha256="aa" * 32,
    reach=(),
)
RULES = fusion_rules_of(RecognitionSection())
RATE = CertifiedRate(value=0.001, numerator=10, denominator=10_000, low=0.0005, high=0.0018)


def authorisation(**changes: object) -> Authorisation:
    fields: dict[str, object] = {
        "deployment": "Market Square, 11 January",
        "profile": "uk-police",
        "purpose": "find people wanted for robbery",
        "use_case": "overt deployment",
        "legal_basis": "common law policing powers",
        "necessity": "other means were tried",
        "proportionality": "one afternoon, one square",
        "place": "Market Square",
        "cameras": CAMERAS,
        "people": PEOPLE,
        "starts_at": NOON,
        "ends_at": NOON + timedelta(hours=6),
        "authorising_officer": OFFICER,
        "operator": "PC B. Example",
        "senior_accountable_person": "ACC C. Example",
        "dpia": "DPIA-7",
        "eia": "EIA-7",
        "signage_confirmed": True,
        "watchlist": LIST,
        "watchlist_size": 12,
        "detector": DETECTOR,
        "embedder": EMBEDDER,
        "threshold": 0.568,
        "calibration": CALIBRATION,
        "cohorts": COHORTS,
        "settings": SETTINGS,
        "signed_at": NOON - timedelta(hours=1),
    }
    return Authorisation.model_validate(fields | changes)


def changed(given: Authorisation, **changes: object) -> Authorisation:
    return Authorisation.model_validate({**plain_fields(given), **changes})


def calibration(**changes: object) -> CalibrationCertificate:
    fields: dict[str, object] = {
        "type": "calibration",
        "model": EMBEDDER,
        "preprocessing": PREPROCESSING,
        "arithmetic": "float32",
        "watchlist_size": 100,
        "threshold": 0.568,
        "fpir": RATE,
        "material": "10,000 non-mated passes",
        "issued_at": NOON - timedelta(days=30),
        "expires_at": NOON + timedelta(days=300),
    }
    return _signed(CalibrationCertificate.model_validate(fields | changes))


def cohorts(**changes: object) -> CohortCertificate:
    fields: dict[str, object] = {
        "type": "cohorts",
        "model": EMBEDDER,
        "preprocessing": PREPROCESSING,
        "arithmetic": "float32",
        "threshold": 0.568,
        "groups": {"one": RATE, "other": RATE},
        "conclusion": "no difference above 2 to 1 was found; 1.6 to 1 could have been missed",
        "issued_at": NOON - timedelta(days=30),
        "expires_at": NOON + timedelta(days=300),
    }
    return _signed(CohortCertificate.model_validate(fields | changes))


def _signed(certificate: Kind) -> Kind:
    return sign_certificate(certificate, MEASURER, measurer="Evaluation unit", tool="a test", material_sha256="ab" * 32)


ORIGIN = Origin(source="custody", lawful_basis="s. 64A PACE", captured_on=date(2025, 3, 1), proposed_by="DC D. Example")
REVIEW = ReferenceReview(by="Insp. E. Example", deployment="Market Square, 11 January", at=NOON - timedelta(hours=2))


def reference(*, origin: Origin = ORIGIN, review: ReferenceReview | None = REVIEW) -> ReviewedReference:
    return ReviewedReference(entry="REF-1", origin=origin, review=review)


def facts(
    *,
    deployment: str = "Market Square, 11 January",
    profile: str = "uk-police",
    place: str = "Market Square",
    cameras: dict[str, str] | None = None,
    people: dict[str, str] | None = None,
    watchlist: str = LIST,
    watchlist_size: int = 12,
    categories: frozenset[str] = frozenset({"wanted on warrant"}),
    unjustified: int = 0,
    references: tuple[ReviewedReference, ...] | None = None,
    sealed: bool = True,
    detector: str = DETECTOR,
    embedder: str = EMBEDDER,
    preprocessing: str = PREPROCESSING,
    arithmetic: Arithmetic | None = None,
    threshold: float = 0.568,
    rules: FusionRules = RULES,
    measured: CalibrationCertificate | None = None,
    compared: CohortCertificate | None = None,
    calibration_digest: str = CALIBRATION,
    cohorts_digest: str = COHORTS,
    settings: dict[str, str] | None = None,
    trust: TrustRoot | None = TRUST,
    measured_none: bool = False,
    compared_none: bool = False,
) -> DeploymentFacts:
    return DeploymentFacts(
        deployment=deployment,
        profile=profile,
        place=place,
        cameras=CAMERAS if cameras is None else cameras,
        people=PEOPLE if people is None else people,
        watchlist=watchlist,
        watchlist_size=watchlist_size,
        categories=categories,
        unjustified=unjustified,
        references=(reference(),) if references is None else references,
        sealed=sealed,
        detector=detector,
        embedder=embedder,
        preprocessing=preprocessing,
        arithmetic=arithmetic,
        threshold=threshold,
        rules=rules,
        calibration=None if measured_none else (measured or calibration(), calibration_digest),
        cohorts=None if compared_none else (compared or cohorts(), cohorts_digest),
        settings=SETTINGS if settings is None else settings,
        trust=trust,
    )
