"""What was measured before a deployment: certificates of calibration and of cohorts, as files with a date."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from pylfr._internal.canonical_json import canonical, digest
from pylfr._internal.regular_file import read_file
from pylfr._internal.strict_json import parse_json
from pylfr._internal.toml_model import ConfigModel, Name, explain
from pylfr.errors import AuthorisationError
from pylfr.governance.authorisation.authority import Digest, Moment
from pylfr.governance.keys.keys import PublicKey, SigningKey
from pylfr.types import Arithmetic

_FORMAT = b"pylfr-certificate-1\n"
_LARGEST_FILE = 1 << 24
_MOST_MISTAKES = 12
# Rules that there were not at first, with what held then: where that holds, a certificate is signed as it was.
_LATER_RULES: Mapping[str, float | None] = {"smallest_face_px": None, "full_look_s": 0.0}


class CertifiedRate(ConfigModel):
    """A rate with what it was counted from and its 95 % interval."""

    value: float = Field(ge=0, le=1)
    numerator: int = Field(ge=0)
    denominator: int = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class FusionRules(ConfigModel):
    """How the faces of a track become one score: whatever here differs makes another score, and another FPIR."""

    detect_hz: float = Field(gt=0)
    closer_hz: float = Field(ge=0)
    best_scores: int = Field(ge=1)
    lone_margin: float = Field(ge=0)
    comparisons_hz: float | None = Field(gt=0)
    candidates: int = Field(ge=1)
    min_interocular_px: float = Field(ge=0)
    side_px: int | None = None
    smallest_face_px: float | None = None
    full_look_s: float = 0.0


class Measurement(ConfigModel):
    """Who measured, on what, and their signature over the whole certificate."""

    measurer: Name
    tool: str = Field(description="the program that measured, with its version")
    material_sha256: Digest
    result_sha256: Digest | None = Field(
        default=None, description="of the file with all results; None where the certificate holds all of them"
    )
    key: str
    signature: str


class CalibrationCertificate(ConfigModel):
    """A threshold (cosine) that was measured to keep FPIR at ``fpir`` for one network, preprocessing and list size.

    Networks were computed in ``arithmetic``, and the threshold holds in no other.

    ``unit`` says what was searched for: single ``photographs``, or ``tracks`` of people walking by, whose scores were
    fused by ``rules`` behind ``detector``; FPIR is then one a pass. ``non_mated_best`` counts the best scores of
    non-mated searches in bins of equal width from -1 to 1: what a deployment's own scores are compared with, to see
    whether they drift. ``conditions`` are histograms of what the cameras saw, by the names in
    ``pylfr.engine.track_statistics``.
    """

    type: Literal["calibration"]
    model: Digest
    preprocessing: Digest
    arithmetic: Arithmetic = Field(description="what the networks were computed in: scores differ between them")
    watchlist_size: int = Field(ge=1)
    threshold: float = Field(ge=-1, le=1)
    fpir: CertifiedRate
    material: str = Field(min_length=1, description="what it was measured on")
    unit: Literal["photographs", "tracks"] = "photographs"
    detector: Digest | None = None
    rules: FusionRules | None = None
    non_mated_best: tuple[NonNegativeInt, ...] = ()
    conditions: dict[str, tuple[NonNegativeInt, ...]] = Field(default_factory=dict)
    issued_at: Moment
    expires_at: Moment
    measured: Measurement | None = None

    @model_validator(mode="after")
    def _tracks_have_rules(self) -> CalibrationCertificate:
        if self.unit == "tracks" and (self.rules is None or self.detector is None):
            raise ValueError("a threshold for tracks holds for one detector and one way of fusing: give both")
        return self


class CohortCertificate(ConfigModel):
    """How a network behaved for groups of people at one threshold (cosine), and what somebody concluded.

    It was computed in ``arithmetic``, and the rates hold in no other.
    """

    type: Literal["cohorts"]
    model: Digest
    preprocessing: Digest
    arithmetic: Arithmetic
    threshold: float = Field(ge=-1, le=1)
    groups: dict[str, CertifiedRate] = Field(min_length=2, description="FPIR of each group")
    conclusion: str = Field(min_length=1)
    issued_at: Moment
    expires_at: Moment
    measured: Measurement | None = None


Kind = TypeVar("Kind", CalibrationCertificate, CohortCertificate)


def sign_certificate(
    certificate: Kind,
    key: SigningKey,
    *,
    measurer: str,
    tool: str,
    material_sha256: str,
    result_sha256: str | None = None,
) -> Kind:
    """The same certificate with the signature of who measured it, by what program."""
    measured = Measurement(
        measurer=measurer,
        tool=tool,
        material_sha256=material_sha256,
        result_sha256=result_sha256,
        key=key.public.text,
        signature="",
    )
    unsigned = certificate.model_copy(update={"measured": measured})
    signature = base64.b64encode(key.sign(_message(unsigned))).decode("ascii")
    return unsigned.model_copy(update={"measured": measured.model_copy(update={"signature": signature})})


def signer_of(certificate: CalibrationCertificate | CohortCertificate) -> PublicKey | None:
    """Whose signature is under a certificate; None where none is.

    Raises ``AuthorisationError`` where the signature does not verify.
    """
    measured = certificate.measured
    if measured is None:
        return None
    try:
        key, signature = PublicKey.parse(measured.key), base64.b64decode(measured.signature, validate=True)
    except ValueError as error:
        raise AuthorisationError(f"the signature of {measured.measurer!r} cannot be read: {error}") from error
    if not key.verifies(_message(certificate), signature):
        raise AuthorisationError(f"it is not the certificate that {measured.measurer!r} signed: it was changed")
    return key


def describe(certificate: CalibrationCertificate | CohortCertificate) -> str:
    """What was measured, on what, when and by whom, in one line: for whoever signs, starts or reads about a run."""
    measured = certificate.measured
    by = "unsigned" if measured is None else f"by {measured.measurer}, key {PublicKey.parse(measured.key).fingerprint}"
    when = f"{certificate.issued_at:%Y-%m-%d}, {by}"
    if isinstance(certificate, CohortCertificate):
        groups = ", ".join(
            f"{name} {rate.numerator} in {rate.denominator:,}" for name, rate in sorted(certificate.groups.items())
        )
        return f"FPIR by group at threshold {certificate.threshold:g}: {groups}; {certificate.conclusion}; {when}"
    rate = certificate.fpir
    return (
        f"FPIR {rate.value:.2g} ({rate.numerator} in {rate.denominator:,}, 95 % interval {rate.low:.2g} to "
        f"{rate.high:.2g}) at threshold {certificate.threshold:g} with {certificate.watchlist_size:,} on the "
        f"watchlist; {certificate.material}; {when}"
    )


def _message(certificate: CalibrationCertificate | CohortCertificate) -> bytes:
    fields = certificate.model_dump(mode="json")
    if fields.get("rules") is not None:
        fields["rules"] = {name: each for name, each in fields["rules"].items() if _LATER_RULES.get(name, ...) != each}
    fields["measured"] = {name: value for name, value in fields["measured"].items() if name != "signature"}
    return _FORMAT + canonical(fields)


def read_calibration(path: Path) -> tuple[CalibrationCertificate, str]:
    """The calibration certificate in ``path`` and its sha256. Raises ``AuthorisationError`` naming what is wrong."""
    return _read(path, CalibrationCertificate)


def read_cohorts(path: Path) -> tuple[CohortCertificate, str]:
    """The cohort certificate in ``path`` and its sha256. Raises ``AuthorisationError`` naming what is wrong."""
    return _read(path, CohortCertificate)


def _require_own_signature(path: Path, certificate: CalibrationCertificate | CohortCertificate) -> None:
    try:
        signer_of(certificate)
    except AuthorisationError as error:
        raise AuthorisationError(f"the certificate {path}: {error}") from error


def _read(path: Path, kind: type[Kind]) -> tuple[Kind, str]:
    try:
        fields = parse_json(read_file(path, largest=_LARGEST_FILE))
        _require_present_rules(path, fields)
        certificate = kind.model_validate(fields)
        _require_own_signature(path, certificate)
        return certificate, digest(fields)
    except OSError as error:
        raise AuthorisationError(f"the certificate {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise AuthorisationError(
            f"the certificate {path}: " + "; ".join(explain(each) for each in error.errors()[:_MOST_MISTAKES])
        ) from error
    except ValueError as error:
        raise AuthorisationError(f"the certificate {path} is damaged: {error}") from error


def _require_present_rules(path: Path, fields: object) -> None:
    """Raise where a certificate was measured by rules that are gone: nothing of it can be compared with the present."""
    rules = fields.get("rules") if isinstance(fields, dict) else None
    if not isinstance(rules, dict):
        return
    gone = [name for name in rules if name not in FusionRules.model_fields]
    new = [
        f"no {name}" for name, field in FusionRules.model_fields.items() if field.is_required() and name not in rules
    ]
    if gone or new:
        raise AuthorisationError(
            f"the certificate {path} was measured by earlier rules ({', '.join(sorted(gone) + new)}), which chose and "
            "fused faces otherwise: measure again with `pylfr calibrate`"
        )
