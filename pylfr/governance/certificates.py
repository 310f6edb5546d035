"""What was measured before a deployment: certificates of calibration and of cohorts, as files with a date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, NonNegativeInt, ValidationError

from pylfr.errors import AuthorisationError
from pylfr.governance.authority import Digest, Moment
from pylfr.governance.canonical import digest
from pylfr.tables import Section, explain


class Rate(Section):
    """A rate with what it was counted from and its 95 % interval."""

    value: float = Field(ge=0, le=1)
    numerator: int = Field(ge=0)
    denominator: int = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class CalibrationCertificate(Section):
    """A threshold (cosine) that was measured to keep FPIR at ``fpir`` for one network, preprocessing and list size.

    ``non_mated_best`` counts the best scores of non-mated searches in bins of equal width from -1 to 1: what a
    deployment's own scores are compared with, to see whether they drift.
    """

    type: Literal["calibration"]
    model: Digest
    preprocessing: Digest
    watchlist_size: int = Field(ge=1)
    threshold: float = Field(ge=-1, le=1)
    fpir: Rate
    material: str = Field(min_length=1, description="what it was measured on")
    non_mated_best: tuple[NonNegativeInt, ...] = ()
    issued_at: Moment
    expires_at: Moment


class CohortCertificate(Section):
    """How a network behaved for groups of people at one threshold (cosine), and what somebody concluded."""

    type: Literal["cohorts"]
    model: Digest
    preprocessing: Digest
    threshold: float = Field(ge=-1, le=1)
    groups: dict[str, Rate] = Field(min_length=2, description="FPIR of each group")
    conclusion: str = Field(min_length=1)
    issued_at: Moment
    expires_at: Moment


Kind = TypeVar("Kind", CalibrationCertificate, CohortCertificate)


def read_calibration(path: Path) -> tuple[CalibrationCertificate, str]:
    """The calibration certificate in ``path`` and its sha256. Raises ``AuthorisationError`` naming what is wrong."""
    return _read(path, CalibrationCertificate)


def read_cohorts(path: Path) -> tuple[CohortCertificate, str]:
    """The cohort certificate in ``path`` and its sha256. Raises ``AuthorisationError`` naming what is wrong."""
    return _read(path, CohortCertificate)


def _read(path: Path, kind: type[Kind]) -> tuple[Kind, str]:
    try:
        fields = json.loads(path.read_bytes())
        return kind.model_validate(fields), digest(fields)
    except OSError as error:
        raise AuthorisationError(f"the certificate {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise AuthorisationError(
            f"the certificate {path}: " + "; ".join(explain(each) for each in error.errors())
        ) from error
    except ValueError as error:
        raise AuthorisationError(f"the certificate {path} is damaged: {error}") from error
