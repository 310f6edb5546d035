"""What a source tells its reader while it decodes: every frame that came, and every turn that the camera took."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from pylfr._internal.steady_clock import steady_now
from pylfr.ops import DueTime
from pylfr.protocols import Source
from pylfr.types import Frame

log = logging.getLogger(__name__)

EventKind = Literal[
    "opened",
    "disconnected",
    "reconnecting",
    "frozen",
    "ended",
    "failed",
    "late",
    "slowed",
    "recovered",
    "mismatched",
    "unchanged",
    "repeating",
    "backwards",
    "restarted",
    "noted",
    "refused",
]

# The camera of an event that concerns all of them.
EVERY_CAMERA = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraEvent:
    """A turn that a camera took at ``at`` (UTC). ``detail`` is for people and never holds a credential.

    ``opened``: pictures come; ``disconnected``: the other side closed or refused; ``frozen``: it kept the line open
    and sent nothing; ``reconnecting``: the next attempt and when; ``ended``: a recording was read to its end;
    ``failed``: this camera gives no more pictures. ``late``: it was decoded too slowly, or came in a burst, and frames
    were skipped to be at the live edge again. ``slowed`` and ``recovered``: under load all live cameras
    (``EVERY_CAMERA``) are analysed less often, or more often again.

    ``refused``: it does not let us in (password, path), or must not be used (certificate, redirect).

    ``mismatched``: it sends another stream than was authorised, and is not analysed. ``unchanged``: its picture stands
    still; ``repeating``: pictures come again that it sent before; ``backwards``: its time stamps do not grow.
    ``recovered`` of one camera: the last of these is over.

    ``restarted``: a recording's time stamps, or its codec, start anew in the middle; it is analysed to its end, and no
    track spans two parts. ``noted``: what a person should know about the stream, such as other streams beside it.
    """

    camera: str
    kind: EventKind
    at: datetime
    detail: str = ""

    @classmethod
    def now(cls, camera: str, kind: EventKind, detail: str = "") -> CameraEvent:
        return cls(camera=camera, kind=kind, at=steady_now(), detail=detail)


class FrameObserver(Protocol):
    """Whoever reads a source and wants to know more than its frames. Called on the source's own thread."""

    @property
    def rate_hz(self) -> float | None:
        """About how many frames a second are wanted at most, evenly spread; None for every frame."""
        ...

    @property
    def rate_now_hz(self) -> float | None:
        """How many of them are wanted at the moment. Asked for each packet."""
        ...

    @property
    def due(self) -> DueTime | None:
        """When the next frame of a live camera is wanted, which may change; None where it asks of every frame."""
        ...

    def skipped(self, count: int) -> None:
        """Count frames that came and were not wanted, by ``rate_now_hz`` or before they were ``due``: nobody asks."""
        ...

    def is_due(self, captured_at: datetime) -> bool:
        """Whether a decoded frame is wanted. Called once for each; where it is not, its planes are never touched."""
        ...

    def report(self, event: CameraEvent) -> None: ...

    def lost(self, cause: str, count: int) -> None:
        """Count frames that were left out before they were decoded."""
        ...


@runtime_checkable
class WatchedSource(Source, Protocol):
    """A source that asks before it builds a frame and reports what happens to the camera."""

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """As ``frames``, but only the frames that are due."""
        ...


class AcceptAll:
    """The watch of a reader that wants every frame: what happens to the camera goes into the log."""

    rate_hz = None
    rate_now_hz = None
    due = None

    def skipped(self, count: int) -> None:
        raise AssertionError(f"every frame is wanted, got {count} skipped")

    def is_due(self, captured_at: datetime) -> bool:  # noqa: ARG002
        return True

    def report(self, event: CameraEvent) -> None:
        log_event(event)

    def lost(self, cause: str, count: int) -> None:
        """Nobody counts here: the event ``late`` says how many."""


def log_event(event: CameraEvent) -> None:
    """Write an event into the log; what a person should look at as a warning."""
    level = logging.INFO if event.kind in ("opened", "ended", "recovered") else logging.WARNING
    log.log(level, "camera %s %s%s", event.camera, event.kind, f": {event.detail}" if event.detail else "")
