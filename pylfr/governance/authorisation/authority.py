"""May recognition happen here and now? An authorisation says who allowed it, why, where and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from pylfr._internal.canonical_json import Plain, digest, utc_text
from pylfr._internal.toml_model import ConfigModel, Name
from pylfr.errors import AuthorisationError

REHEARSAL = "rehearsal"


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("must say something, it is blank: fill it in")
    return text


def _has_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"must carry a time zone (Z, +01:00), got {moment.isoformat()}")
    return moment


Words = Annotated[str, AfterValidator(_says_something)]
Moment = Annotated[datetime, AfterValidator(_has_zone)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256, hexadecimal")]


class RecordingPermit(ConfigModel):
    """An unsigned authorisation in plain words, for recordings only. Every field is required."""

    purpose: Words = Field(description="why recognition is needed")
    place: Words = Field(description="where the recordings were made")
    cameras: frozenset[str] = Field(min_length=1, description="names of the cameras it covers")
    starts_at: Moment = Field(description="start of the window, with a time zone")
    ends_at: Moment = Field(description="end of the window, with a time zone; the run stops there")
    authorising_officer: Name = Field(description="who authorises it")
    legal_basis: Words = Field(description="the law it rests on")

    @model_validator(mode="after")
    def _window_runs_forward(self) -> RecordingPermit:
        _check_window(self.starts_at, self.ends_at)
        return self

    @property
    def reference(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of all fields: any change gives another reference."""
        return digest(plain_fields(self))[:16]

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        _require_cameras(cameras, self.cameras)
        _require_window(captured_at, self.starts_at, self.ends_at)


class Authorisation(ConfigModel):
    """Leave to look for the people of one watchlist, with named cameras, networks and threshold, for a stated time.

    It means something only under its officer's signature (``pylfr.governance.authorisation.signed``), and only for a
    deployment that it fits in every field (``pylfr.governance.authorisation.checks``). ``cameras`` gives the sha256 of
    each camera's address, zone and expected stream as the deployment file names them; ``watchlist`` that of everybody
    on the list. An ``urgent`` one is short and provisional: unless a later one ``confirms`` its reference, what is
    linked to it is destroyed when it ends.
    """

    deployment: Words
    profile: Words
    purpose: Words
    use_case: Words
    legal_basis: Words
    necessity: Words
    proportionality: Words
    place: Words
    cameras: dict[str, Digest] = Field(min_length=1)
    starts_at: Moment
    ends_at: Moment
    authorising_officer: Name
    operator: Name
    senior_accountable_person: Name
    dpia: str = Field(description="reference of the data protection impact assessment")
    eia: str = Field(description="reference of the equality impact assessment")
    signage_confirmed: bool
    watchlist: Digest
    watchlist_size: int = Field(ge=1)
    detector: Digest
    embedder: Digest
    threshold: float = Field(ge=-1, le=1)
    calibration: Digest | None
    cohorts: Digest | None
    people: dict[str, str] = Field(
        default_factory=dict, description="who may decide on alerts: names and their public keys"
    )
    settings: dict[str, str] = Field(
        default_factory=dict, description="every other setting of the deployment file that matters, by its place"
    )
    urgent: bool = False
    confirms: str | None = None
    signed_at: Moment

    @field_validator("operator")
    @classmethod
    def _operator_is_another(cls, operator: str, info: object) -> str:
        given = getattr(info, "data", {}).get("authorising_officer")
        if given is not None and operator.strip().casefold() == given.strip().casefold():
            raise ValueError(f"must be another person than the authorising officer, both are {operator!r}")
        return operator

    @model_validator(mode="after")
    def _window_runs_forward(self) -> Authorisation:
        _check_window(self.starts_at, self.ends_at)
        return self

    @property
    def reference(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of all fields: any change gives another reference."""
        return digest(plain_fields(self))[:16]

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        _require_cameras(cameras, frozenset(self.cameras))
        _require_window(captured_at, self.starts_at, self.ends_at)


class Rehearsal:
    """Leave to try the engine on recorded material; the engine accepts it for recordings only."""

    __slots__ = ()

    @property
    def reference(self) -> str:
        return REHEARSAL

    @property
    def ends_at(self) -> datetime | None:
        return None

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        """Recorded material may always be rehearsed on."""


def plain_fields(record: RecordingPermit | Authorisation) -> dict[str, Plain]:
    """Every field as it enters digests and files: times in UTC, sets in order."""
    return {name: _plain(getattr(record, name)) for name in type(record).model_fields}


def _plain(value: object) -> Plain:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"an authorisation holds texts, numbers and times, got {type(value).__name__}")


def _check_window(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise ValueError(f"ends_at must lie after starts_at ({utc_text(starts_at)}), got {utc_text(ends_at)}")


def _require_cameras(cameras: frozenset[str], authorised: frozenset[str]) -> None:
    unauthorised = sorted(cameras - authorised)
    if unauthorised:
        raise AuthorisationError(
            f"camera {unauthorised[0]!r} is not authorised; authorised are {', '.join(sorted(authorised))}"
        )


def _require_window(captured_at: tuple[datetime, datetime], starts_at: datetime, ends_at: datetime) -> None:
    first, last = captured_at
    if first < starts_at:
        raise AuthorisationError(
            f"the authorised window starts at {utc_text(starts_at)}, it is {utc_text(first)}: wait, or get another one"
        )
    if last >= ends_at:
        raise AuthorisationError(f"the authorised window ended at {utc_text(ends_at)}, it is {utc_text(last)}")
