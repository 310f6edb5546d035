"""Where every frame's time went, as a timeline that chrome://tracing and Perfetto show (Chrome's trace event format).

Each camera is a row with what became of its frames: ``decode`` from the moment at which a frame was due, ``queue``
until a batch took it, or until a newer one replaced it. The engine is a row with its stages, batch by batch; an arrow
leads from each frame to the batch that took it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pylfr.engine.alert_policy import PossibleMatch
from pylfr.engine.observer import Comparison, Observer
from pylfr.types import Faces, Frame, FrameBatch, Int64, Tracks
from pylfr.video.sources.looped import LoopedRecording
from pylfr.video.sources.observer import FrameObserver

_ENGINE = "engine"
# So much memory a timeline may take: some minutes of a dozen cameras.
_MOST_EVENTS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took from ``since_s`` to ``until_s`` on the monotonic clock, in a row; ``about`` it, in numbers.

    ``arrow`` is the number of the arrow that leads from its end to the row of the engine.
    """

    row: str
    name: str
    since_s: float
    until_s: float
    about: dict[str, int | float] = field(default_factory=dict)
    arrow: int | None = None


class LoadTimeline(Observer):
    """Collects spans of a run. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._queued: dict[str, dict[int, float]] = {}
        self._since_s = 0.0
        self._arrows = 0
        self.left_out = 0

    @property
    def spans(self) -> tuple[Span, ...]:
        with self._lock:
            return tuple(self._spans)

    def open_camera(self, path: Path, *, camera: str, starts_after_s: float) -> TracedCamera:
        """A camera of a load whose frames are noted as they are decoded."""
        return TracedCamera(path, camera=camera, starts_after_s=starts_after_s, decoded=self._decoded)

    def batch_taken(self, batch: FrameBatch) -> None:
        now_s = time.monotonic()
        self._note(Span(row=_ENGINE, name="wait", since_s=self._since_s or now_s, until_s=now_s))
        for frame in batch.frames:
            self._leave_queue(frame, now_s)
        self._since_s = now_s

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        self._lap("detect", frames=len(batch), cameras=len(batch.cameras), faces=len(faces))

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:  # noqa: ARG002
        self._lap("track", faces=len(tracks))

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:  # noqa: ARG002
        self._lap("select", chosen=len(rows))

    def faces_compared(self, comparison: Comparison) -> None:
        self._lap("embed", faces=len(comparison.rows))

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:  # noqa: ARG002
        self._lap("decide", matches=len(matches))

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """A span inside the stage that is under way."""
        since_s = time.monotonic()
        yield
        self._note(Span(row=_ENGINE, name=name, since_s=since_s, until_s=time.monotonic()))

    def to_json(self) -> bytes:
        """The timeline in Chrome's trace event format, times in microseconds from its first span on."""
        spans = sorted(self.spans, key=lambda each: each.since_s)
        began_s = spans[0].since_s if spans else 0.0
        rows = {row: place for place, row in enumerate([_ENGINE, *sorted({each.row for each in spans} - {_ENGINE})])}
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": place, "name": "thread_name", "args": {"name": row}}
            for row, place in rows.items()
        ]
        for each in spans:
            at = round((each.since_s - began_s) * 1e6)
            long = round((each.until_s - each.since_s) * 1e6)
            where = {"pid": 1, "tid": rows[each.row]}
            events.append({"ph": "X", **where, "name": each.name, "ts": at, "dur": long, "args": each.about})
            if each.arrow is not None:
                arrow = {"cat": "frame", "name": "frame", "id": each.arrow, "pid": 1}
                events.append({"ph": "s", **arrow, "tid": rows[each.row], "ts": at + long})
                events.append({"ph": "f", "bp": "e", **arrow, "tid": 0, "ts": at + long + 1})
        whole = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"spans_left_out": self.left_out}}
        return json.dumps(whole, separators=(",", ":")).encode()

    def _leave_queue(self, frame: Frame, now_s: float) -> None:
        """Note how long the frame waited; whatever was decoded before it and still waited has been replaced."""
        waiting = self._queued.get(frame.camera, {})
        for sequence in sorted(each for each in waiting.copy() if each <= frame.sequence):
            is_taken = sequence == frame.sequence
            self._arrows += is_taken
            self._note(
                Span(
                    row=frame.camera,
                    name="queue" if is_taken else "replaced",
                    since_s=waiting.pop(sequence),
                    until_s=now_s,
                    arrow=self._arrows if is_taken else None,
                )
            )

    def _decoded(self, frame: Frame, late_s: float) -> None:
        now_s = time.monotonic()
        self._note(Span(row=frame.camera, name="decode", since_s=now_s - late_s, until_s=now_s))
        self._queued.setdefault(frame.camera, {})[frame.sequence] = now_s

    def _lap(self, name: str, **about: int) -> None:
        now_s = time.monotonic()
        self._note(Span(row=_ENGINE, name=name, since_s=self._since_s, until_s=now_s, about=dict(about)))
        self._since_s = now_s

    def _note(self, span: Span) -> None:
        with self._lock:
            if len(self._spans) < _MOST_EVENTS:
                self._spans.append(span)
            else:
                self.left_out += 1


class TracedCamera(LoopedRecording):
    """A ``LoopedRecording`` whose frames are noted when they are decoded, with how long ago they were due."""

    def __init__(
        self, path: Path, *, camera: str, starts_after_s: float, decoded: Callable[[Frame, float], None]
    ) -> None:
        super().__init__(path, camera=camera, starts_after_s=starts_after_s)
        self._decoded = decoded

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, each noted before it waits for a batch."""
        for frame in super().watched(watch):
            self._decoded(frame, self.age_s(frame.captured_at))
            yield frame
