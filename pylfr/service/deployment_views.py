"""What the interface says of the deployment: cameras, authority, watchlist, record and retention."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Base64Bytes, Field, StringConstraints

from pylfr.service.views import ONE_LINE, Document, example

Because = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=ONE_LINE)]
Words = Annotated[str, StringConstraints(max_length=200, pattern=ONE_LINE)]


class CameraView(Document):
    """A camera as the log last said of it."""

    name: str
    state: str
    since: datetime | None
    details: str
    frames: int | None = Field(description="frames that came; null where the engine runs elsewhere")
    frames_hz: float | None = Field(description="analysed frames a second, over the last ten seconds")
    latency_p50_ms: float | None = Field(description="from a frame's capture to its last comparison")
    latency_p99_ms: float | None
    dropped: dict[str, int] = Field(description="frames that were not analysed, by cause")


class DeliveryView(Document):
    """Somewhere alerts are carried to that has not always confirmed them, as the log says."""

    to: str
    is_delayed: bool
    since: datetime
    waiting: int = Field(description="alerts that it had not confirmed when that was recorded")
    refused: int = Field(description="alerts that it refused for good")
    expired: int = Field(description="alerts that were not sent because their retention had ended")
    because: str


class DeploymentView(Document):
    """Under what authority this runs, and with what."""

    name: str
    authorisation: str
    profile: str
    place: str | None
    starts_at: datetime
    ends_at: datetime
    threshold: float
    cameras: list[str]
    people: list[str]
    watchlist_size: int | None
    alerts: int
    is_running: bool = Field(description="whether the engine runs in this process, so that it can be controlled here")
    ended_because: str | None
    counts: dict[str, int] = Field(description="of the run so far; empty where the engine runs elsewhere")
    dropped: dict[str, int] = Field(description="frames and faces that were not analysed, by cause")
    deliveries: list[DeliveryView] = Field(description="where alerts were delayed, refused or given up")


class ThresholdAsked(Document):
    """A higher threshold: more is asked before an alert."""

    model_config = example(threshold=0.6)

    threshold: float = Field(ge=-1, le=1)


class BecauseAsked(Document):
    """Why something is asked for that is recorded with its reason."""

    model_config = example(because="the mast is being moved")

    because: Because


class TermView(Document):
    """One heading of an authorisation, in plain words."""

    name: str
    lines: list[str]


class OriginView(Document):
    """The origin of a reference image, and who reviewed it for which deployment."""

    source: str | None
    lawful_basis: str | None
    captured_on: date | None
    proposed_by: str | None
    reviewed_by: str | None
    reviewed_for: str | None
    reviewed_at: datetime | None


class ListedPersonView(Document):
    """Somebody on the watchlist."""

    id: int
    name: str
    category: str | None
    justification: str | None
    added_at: datetime
    expires_at: datetime | None
    is_expired: bool
    references: list[OriginView]


class WatchlistView(Document):
    """The watchlist, its policy, and the categories that the policy knows (none: any)."""

    revision: int
    sealed: bool
    policy: str | None
    categories: list[str]
    entries: list[ListedPersonView]


class EnrolmentAsked(Document):
    """A reference image for the watchlist, with its origin."""

    model_config = example(
        name="REF-1",
        picture="/9j/4AAQ",
        category="wanted on warrant",
        justification="warrant 7",
        source="custody image",
        lawful_basis="PACE s. 64A",
        captured_on="2025-03-01",
        expires_at="2026-05-02T00:00:00Z",
    )

    name: Annotated[Words, StringConstraints(min_length=1)]
    picture: Base64Bytes = Field(description="a picture file of one face, base64")
    category: Words | None = None
    justification: Because | None = None
    source: Words | None = None
    lawful_basis: Words | None = None
    captured_on: date | None = None
    expires_at: datetime | None = None


class EntryView(Document):
    """An entry of the audit log."""

    sequence: int
    at: datetime
    kind: str
    details: dict[str, str | int | float | bool | None]


class AuditView(Document):
    """The last entries of the audit log, and whether all of it is as it was signed."""

    entries: list[EntryView]
    is_signed: bool
    flaws: list[str]
    differences: list[str]


class RetentionView(Document):
    """Retention, in the words of the policy that is enforced."""

    sentences: list[str]
