"""May recognition happen here and now? An authorisation says who allowed it, why, where and until when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from pylfr.errors import AuthorisationError

REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """Leave to look for the people of one watchlist, at one place, with named cameras, for a stated time.

    Every field is required. Raises ``AuthorisationError`` naming the field that is empty or does not make sense.
    """

    purpose: str
    place: str
    cameras: frozenset[str]
    starts_at: datetime
    ends_at: datetime
    authorising_officer: str
    legal_basis: str

    def __post_init__(self) -> None:
        for name in ("purpose", "place", "authorising_officer", "legal_basis"):
            if not getattr(self, name).strip():
                raise AuthorisationError(f"authorisation.{name} must say something, got an empty text: fill it in")
        if not self.cameras:
            raise AuthorisationError("authorisation.cameras must name at least one camera, got none: name them")
        for name in ("starts_at", "ends_at"):
            if getattr(self, name).tzinfo is None:
                raise AuthorisationError(
                    f"authorisation.{name} must carry a time zone (Z, +01:00), got {getattr(self, name).isoformat()}"
                )
        if self.ends_at <= self.starts_at:
            raise AuthorisationError(
                f"authorisation.ends_at must lie after starts_at ({self.starts_at.isoformat()}), "
                f"got {self.ends_at.isoformat()}"
            )

    @property
    def reference(self) -> str:
        """The first 16 hexadecimal digits of the sha256 of all fields: any change gives another reference."""
        record = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        strangers = sorted(cameras - self.cameras)
        if strangers:
            raise AuthorisationError(
                f"camera {strangers[0]!r} is not authorised; authorised are {', '.join(sorted(self.cameras))}"
            )
        first, last = captured_at
        if first < self.starts_at:
            raise AuthorisationError(
                f"the authorised window starts at {_utc(self.starts_at)}, it is {_utc(first)}: wait, or get another one"
            )
        if last >= self.ends_at:
            raise AuthorisationError(f"the authorised window ended at {_utc(self.ends_at)}, it is {_utc(last)}")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Leave to try the engine on recorded material; the engine accepts it for recordings only."""

    @property
    def reference(self) -> str:
        return REHEARSAL

    @property
    def ends_at(self) -> datetime | None:
        return None

    def require(self, cameras: frozenset[str], captured_at: tuple[datetime, datetime]) -> None:
        """Recorded material may always be rehearsed on."""


def _plain(value: object) -> object:
    """The value as it enters the reference: times in UTC, sets in order."""
    if isinstance(value, datetime):
        return _utc(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
