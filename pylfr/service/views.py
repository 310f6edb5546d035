"""What the interface says, as documents: an alert as its reader may see it, a decision as its author signed it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from pylfr.governance.adjudication.case import Decision, Finding, State, Verdict

# What a person may write: no control characters, no line breaks.
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]*$"
Reason = Annotated[str, StringConstraints(max_length=500, pattern=ONE_LINE)]
_BASE64 = "[A-Za-z0-9+/]+={0,2}"
Signature = Annotated[
    str,
    StringConstraints(max_length=8192, pattern=rf"^([A-Za-z0-9+/]{{86}}==|{_BASE64}\.{_BASE64}\.{_BASE64})$"),
    Field(description="Ed25519, base64; of a security key its assertion: its data, the browser's, and its signature"),
]


# Of no key: it shows the form.
SIGNATURE = "A" * 86 + "=="
_AT = "2026-05-01T12:00:00.000Z"


class Document(BaseModel):
    """Strict: a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def example(**fields: JsonValue) -> ConfigDict:
    """A document with these fields as the example of its kind."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class ChallengeAsked(Document):
    """Who wants to sign in."""

    model_config = example(name="A. Adams")

    name: str = Field(min_length=1, max_length=200)


class ChallengeGiven(Document):
    """What to sign: the UTF-8 bytes of ``message``, with one's own key."""

    nonce: str
    message: str
    expires_at: datetime


class SignedChallenge(Document):
    """The signature of a challenge."""

    model_config = example(nonce="x3V0b1mXcP9d", signature=SIGNATURE)

    nonce: str = Field(max_length=200)
    signature: Signature


class SessionView(Document):
    """Who is signed in, and until when."""

    name: str
    roles: list[str]
    key: str
    expires_at: datetime


class DecisionView(Document):
    """What somebody decided."""

    by: str
    what: str
    at: datetime
    reason: str


class AlertView(Document):
    """A possible match: a prompt for a person to look.

    ``score`` (cosine) and ``verdicts`` are None until they can lead nobody: before every verdict is in, each reader
    sees only their own. ``differences`` say where the records are not what the signed log says; then nothing may be
    decided.
    """

    id: str
    deployment: str
    camera: str
    captured_at: datetime
    possible_match: str | None = Field(description="the entry's name; null once its retention has ended")
    category: str | None = Field(
        description="why the entry is on the watchlist, as it says now; null for an entry without one, or that is gone"
    )
    state: State
    verdicts_in: int
    verdicts_needed: int
    mine: DecisionView | None = Field(description="the reader's own verdict")
    verdicts: list[DecisionView] | None
    score: float | None
    threshold: float | None
    engagement: DecisionView | None
    outcome: DecisionView | None
    erase_at: datetime | None = Field(description="when the pictures and the name are erased")
    pictures: list[Literal["probe", "reference", "scene"]]
    reasons_for: list[str] = Field(description="decisions that the policy wants a reason for")
    differences: list[str]


class AlertPage(Document):
    """Alerts, the oldest first; ``next`` continues where this page ends."""

    alerts: list[AlertView]
    next: str | None


class SignedDecision(Document):
    """A decision as it was signed: over canonical JSON of format, kind, alert, by, what, decided_at, reason."""

    decided_at: datetime
    reason: Reason = ""
    signature: Signature


class SignedVerdict(SignedDecision):
    """What the two pictures show."""

    model_config = example(what="cannot tell", decided_at=_AT, reason="turned away", signature=SIGNATURE)

    what: Verdict
    amends: bool = Field(default=False, description="replace the signer's earlier verdict; needs a reason")


class SignedEngagement(SignedDecision):
    """Whether somebody is spoken to."""

    model_config = example(what="engage", decided_at=_AT, reason="north gate", signature=SIGNATURE)

    what: Decision


class SignedOutcome(SignedDecision):
    """What it turned out to be."""

    model_config = example(what="true alert", decided_at=_AT, reason="warrant shown", signature=SIGNATURE)

    what: Finding
    amends: bool = Field(default=False, description="replace an earlier outcome; needs a reason")


class OpenAlert(Document):
    """An alert on which somebody still has to decide."""

    id: str
    camera: str
    captured_at: datetime
    possible_match: str | None
    state: State


class SignedHandOver(Document):
    """Somebody takes over a shift: signed over canonical JSON of format, who takes over, from whom, when, and all ids.

    ``alerts`` must be all that are open now.
    """

    model_config = example(
        taken_from="A. Adams", alerts=["0b8f6c1e-0000-4000-8000-000000000000"], decided_at=_AT, signature=SIGNATURE
    )

    taken_from: str = Field(min_length=1, max_length=200)
    alerts: list[str] = Field(max_length=5_000)
    decided_at: datetime
    signature: Signature


class HandOverView(Document):
    """A hand-over as it was signed."""

    by: str
    taken_from: str
    alerts: list[str]
    at: datetime


class ShiftView(Document):
    """What waits for decisions, who could hand over, and the last hand-over."""

    open: list[OpenAlert]
    people: list[str]
    last: HandOverView | None
