"""What a run did, in numbers: whatever is dropped, refused or not delivered is counted here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from pylfr.faces.input_size import DetectSize
from pylfr.faces.template_pool import Dwell
from pylfr.faces.track import WEAK_DETECTION
from pylfr.types import Event, Frame
from pylfr.video.batching.closer_look import CLOSER_LOOK_SHED
from pylfr.video.sources.observer import CameraEvent

# Why a run ended, where a person stopped it and gave no reason.
STOPPED_BY_OPERATOR = "stopped by the operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSummary:
    """One camera's part: ``frames`` were decoded, ``detected_frames`` of them analysed, ``dropped`` lost by cause.

    ``closer_frames`` were wanted beyond ``detect_hz``, as somebody in view was undecided.
    """

    frames: int
    detected_frames: int
    closer_frames: int
    faces: int
    tracks: int
    alerts: int
    dropped: Mapping[str, int]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """What the record has of a run, or of a part of it: counts as in ``Summary``, and no more.

    ``dropped`` leaves out detections too weak to be faces, and closer looks, which only use spare time.
    """

    authorisation: str
    runtime: str
    frames: int
    detected_frames: int
    faces: int
    tracks: int
    recognised: int
    near_detections: int
    alerts: int
    suppressed: int
    undelivered: int
    unread: int
    dropped: int
    dwell_p50_ms: float
    dwell_p99_ms: float
    dwell_max_ms: float
    seconds: float
    watchlist_size: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The account of one run.

    ``faces`` counts detections, ``tracks`` the faces followed through the picture, ``recognised`` the probes that were
    compared, ``near_detections`` what was too weak to count as a face and is filled in pictures all the same,
    ``suppressed`` repeat alerts inside the cool-down. ``dropped`` counts frames and faces by cause.
    ``frames_in_part`` were analysed only where something had changed, in ``frames_unchanged`` nothing had;
    ``faces_carried`` are faces in unchanged regions, taken from the last full look.
    ``dwell_ms`` says how long probe templates existed. ``undelivered`` counts deliveries that failed:
    each alert once for each sink that refused it, or that its receiver had not confirmed when the run ended. ``unread``
    are alerts that the program which reads ``Engine.run`` did not take; they are recorded, and sent to the sinks.
    """

    rehearsal: bool
    authorisation: str
    frames: int
    detected_frames: int
    closer_frames: int
    frames_in_part: int
    frames_unchanged: int
    faces_carried: int
    faces: int
    tracks: int
    recognised: int
    near_detections: int
    alerts: int
    suppressed: int
    undelivered: int
    unread: int
    dropped: Mapping[str, int]
    dwell_ms: Dwell
    template_memory_locked: bool
    seconds: float
    fps: float
    detector: str
    embedder: str
    runtime: str
    threshold: float
    calibrated: bool
    watchlist_size: int
    watchlist_revision: int
    cameras: Mapping[str, CameraSummary]
    errors: tuple[str, ...]
    stopped_because: str

    def to_json(self) -> str:
        """One line of JSON: ``{"type": "summary", ...}``."""
        return json.dumps({"type": "summary", **asdict(self)})

    def totals(self) -> RunTotals:
        """What the record has of it."""
        return RunTotals(
            authorisation=self.authorisation,
            runtime=self.runtime,
            frames=self.frames,
            detected_frames=self.detected_frames,
            faces=self.faces,
            tracks=self.tracks,
            recognised=self.recognised,
            near_detections=self.near_detections,
            alerts=self.alerts,
            suppressed=self.suppressed,
            undelivered=self.undelivered,
            unread=self.unread,
            dropped=sum(
                count for cause, count in self.dropped.items() if cause not in (WEAK_DETECTION, CLOSER_LOOK_SHED)
            ),
            dwell_p50_ms=self.dwell_ms.p50,
            dwell_p99_ms=self.dwell_ms.p99,
            dwell_max_ms=self.dwell_ms.max,
            seconds=self.seconds,
            watchlist_size=self.watchlist_size,
            because=self.stopped_because,
        )


def run_began(authorisation: str, cameras: frozenset[str], threshold: float, *, decoding: str) -> Event:
    """What the record says when a run begins."""
    return Event(
        kind="run-began",
        details={
            "authorisation": authorisation,
            "cameras": ", ".join(sorted(cameras)),
            "threshold": threshold,
            "decoding": decoding,
        },
    )


def camera_turned(event: CameraEvent) -> Event:
    """What the record says when a camera connects, disconnects, freezes, fails, or is analysed less often."""
    return Event(
        kind=f"camera-{event.kind}",
        details={"camera": event.camera, "at": event.at.isoformat(timespec="milliseconds"), "detail": event.detail},
    )


def camera_refused(camera: str, reason: str) -> Event:
    """What the record says when one camera's frames are no longer authorised and the others' are."""
    return Event(kind="camera-refused", details={"camera": camera, "detail": reason})


def camera_taken_out(camera: str, *, by: str, because: str, frames: int) -> Event:
    """What the record says when somebody takes a camera out of a run."""
    return Event(kind="camera-taken-out", details={"camera": camera, "by": by, "detail": because, "frames": frames})


def camera_taken_in(camera: str, *, by: str, because: str) -> Event:
    """What the record says when somebody takes a camera into a run, or back into it."""
    return Event(kind="camera-taken-in", details={"camera": camera, "by": by, "detail": because})


def camera_sized(frame: Frame, size: DetectSize) -> Event:
    """What the record says when the smallest face sought has decided how large the detector's input is."""
    detail = f"faces are detected in {size.width}x{size.height} of pictures of {frame.width}x{frame.height}"
    return Event(kind="camera-sized", details={"camera": frame.camera, "detail": detail})


def clock_changed(by_s: float) -> Event:
    """What the record says when somebody set the system's clock: by how many seconds."""
    return Event(kind="clock-changed", details={"by_s": round(by_s, 3)})


def watchlist_turned(trouble: str) -> Event:
    """What the record says when the watchlist cannot be read, and its last revision is used, or can be read again."""
    if not trouble:
        return Event(kind="watchlist-recovered", details={})
    return Event(kind="watchlist-unreachable", details={"detail": trouble})


def threshold_raised(before: float, threshold: float, by: str) -> Event:
    """What the record says when somebody asks for more before an alert."""
    return Event(kind="threshold-raised", details={"from": before, "to": threshold, "by": by})


def run_ended(totals: RunTotals) -> Event:
    """What the record says when a run ends: its counts, and no more."""
    return Event(kind="run-ended", details=asdict(totals))


def add_causes(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several counts by cause, causes in alphabetical order, none that is zero."""
    # The engine may count on meanwhile: only a copy does not change while it is read.
    parts = [dict(part) for part in parts]
    causes = sorted({cause for part in parts for cause in part})
    totals = {cause: sum(part.get(cause, 0) for part in parts) for cause in causes}
    return {cause: count for cause, count in totals.items() if count}
