"""Where every frame's time went, as a timeline that chrome://tracing and Perfetto show (Chrome's trace event format).

Each camera is a row with what became of its frames: ``decode`` from the moment at which a frame was due, ``queue``
until a batch took it, or until a newer one replaced it. Detection is a row, and recognition of what it found another,
with its stages, batch by batch; an arrow leads from each frame to the batch that took it. ``breakdown`` says what
frames waited for, and for how long. Counters beside the rows show how many cores each kind of thread used.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pylfr.engine.alert_policy import PossibleMatch
from pylfr.engine.observer import Comparison, Observer
from pylfr.sizing.core_meter import CoreMeter, idle_cores
from pylfr.types import Faces, Frame, FrameBatch, Int64, Tracks
from pylfr.video.sources.looped import LoopedRecording
from pylfr.video.sources.observer import FrameObserver

# Rows of a timeline beside those of cameras.
DETECTION, RECOGNITION = "detection", "recognition"
# So much memory a timeline may take: some minutes of a dozen cameras.
_MOST_EVENTS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took from ``since_s`` to ``until_s`` on the monotonic clock, in a row; ``about`` it, in numbers.

    ``arrow`` is the number of the arrow that leads from its end to the row of detection.
    """

    row: str
    name: str
    since_s: float
    until_s: float
    about: Mapping[str, int | float] = field(default_factory=dict)
    arrow: int | None = None


class LoadTimeline(Observer):
    """Collects spans of a run. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._queued: dict[str, dict[int, float]] = {}
        # Detection of one batch and recognition of the one before go on at once.
        self._since_s = {DETECTION: 0.0, RECOGNITION: 0.0}
        self._cpu_since_s = {DETECTION: 0.0, RECOGNITION: 0.0}
        self._batch = {DETECTION: 0, RECOGNITION: 0}
        self._arrows = 0
        self.left_out = 0
        # To be entered while the load runs.
        self.cores = CoreMeter()

    @property
    def spans(self) -> tuple[Span, ...]:
        with self._lock:
            return tuple(self._spans)

    def open_camera(self, path: Path, *, camera: str, starts_after_s: float) -> TracedCamera:
        """A camera of a load whose frames are noted as they are decoded."""
        return TracedCamera(path, camera=camera, starts_after_s=starts_after_s, decoded=self._decoded)

    def batch_taken(self, batch: FrameBatch) -> None:
        now_s = time.monotonic()
        self._begin(DETECTION, now_s)
        for frame in batch.frames:
            self._leave_queue(frame, now_s)

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        self._lap(DETECTION, "detect", frames=len(batch), cameras=len(batch.cameras), faces=len(faces))

    def recognition_began(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._begin(RECOGNITION, time.monotonic())

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:  # noqa: ARG002
        self._lap(RECOGNITION, "track", faces=len(tracks))

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:  # noqa: ARG002
        self._lap(RECOGNITION, "select", chosen=len(rows))

    def faces_compared(self, comparison: Comparison) -> None:
        self._lap(RECOGNITION, "embed", faces=len(comparison.rows))

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:  # noqa: ARG002
        self._lap(RECOGNITION, "decide", matches=len(matches))

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """A span inside the stage that is under way."""
        since_s = time.monotonic()
        yield
        about = {"batch": self._batch[RECOGNITION]}
        self._note(Span(row=RECOGNITION, name=name, since_s=since_s, until_s=time.monotonic(), about=about))

    def to_json(self) -> bytes:
        """The timeline in Chrome's trace event format, times in microseconds from its first span on."""
        spans = sorted(self.spans, key=lambda each: each.since_s)
        began_s = spans[0].since_s if spans else 0.0
        stages = [DETECTION, RECOGNITION]
        rows = {row: place for place, row in enumerate([*stages, *sorted({each.row for each in spans} - {*stages})])}
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": place, "name": "thread_name", "args": {"name": row}}
            for row, place in rows.items()
        ]
        for each in spans:
            at = round((each.since_s - began_s) * 1e6)
            long = round((each.until_s - each.since_s) * 1e6)
            where = {"pid": 1, "tid": rows[each.row]}
            events.append({"ph": "X", **where, "name": each.name, "ts": at, "dur": long, "args": dict(each.about)})
            if each.arrow is not None:
                arrow = {"cat": "frame", "name": "frame", "id": each.arrow, "pid": 1}
                events.append({"ph": "s", **arrow, "tid": rows[each.row], "ts": at + long})
                events.append({"ph": "f", "bp": "e", **arrow, "tid": 0, "ts": at + long + 1})
        for sample in self.cores.samples:
            used = {kind: round(cores, 3) for kind, cores in sample.cores.items()}
            at = round((sample.since_s - began_s) * 1e6)
            events.append({"ph": "C", "pid": 1, "name": "cores", "ts": at, "args": used})
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
                    about={"frame": sequence, **({"batch": self._batch[DETECTION]} if is_taken else {})},
                    arrow=self._arrows if is_taken else None,
                )
            )

    def _decoded(self, frame: Frame, late_s: float) -> None:
        now_s = time.monotonic()
        about = {"frame": frame.sequence}
        self._note(Span(row=frame.camera, name="decode", since_s=now_s - late_s, until_s=now_s, about=about))
        self._queued.setdefault(frame.camera, {})[frame.sequence] = now_s

    def _begin(self, row: str, now_s: float) -> None:
        """A row begins with its next batch; until now it has waited for it."""
        self._note(Span(row=row, name="wait", since_s=self._since_s[row] or now_s, until_s=now_s))
        self._batch[row] += 1
        self._since_s[row], self._cpu_since_s[row] = now_s, time.thread_time()

    def _lap(self, row: str, name: str, **counts: int) -> None:
        """The end of a stage, with what its thread has used of the processor meanwhile."""
        now_s, cpu_s = time.monotonic(), time.thread_time()
        about = {"batch": self._batch[row], **counts, "cpu_ms": round(1000 * (cpu_s - self._cpu_since_s[row]), 2)}
        self._note(Span(row=row, name=name, since_s=self._since_s[row], until_s=now_s, about=about))
        self._since_s[row], self._cpu_since_s[row] = now_s, cpu_s

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Of the frames whose latency lies about one quantile: milliseconds, and the mean of what they are made of.

    ``decode`` from the moment at which a frame was due, ``queue`` until a batch took it, ``detect`` with the others of
    its batch, ``hand_over`` until recognition was free, ``recognise`` until the batch was decided on. ``idle_cores``
    of this machine were left idle by this process meanwhile, in the mean; nan where that was not sampled.
    """

    quantile: float
    latency_ms: float
    frames: int
    decode_ms: float
    queue_ms: float
    detect_ms: float
    hand_over_ms: float
    recognise_ms: float
    idle_cores: float


def frame_moments(spans: Sequence[Span]) -> npt.NDArray[np.float64]:
    """When each frame with a recognised face was due, decoded, taken, detected in, compared from and decided on.

    float64 [N, 6], seconds on the monotonic clock, in order of latency.
    """
    decoded = {(each.row, each.about["frame"]): each for each in spans if each.name == "decode"}
    detected = {each.about["batch"]: each for each in spans if each.name == "detect"}
    stages: dict[int | float, list[Span]] = {}
    for each in spans:
        if each.row == RECOGNITION and each.name != "wait":
            stages.setdefault(each.about["batch"], []).append(each)
    found: list[tuple[float, ...]] = []
    for queue in (each for each in spans if each.name == "queue"):
        decode, detect = decoded.get((queue.row, queue.about["frame"])), detected.get(queue.about["batch"])
        of_batch = stages.get(queue.about["batch"], [])
        if decode is None or detect is None or not any(each.name == "embed" for each in of_batch):
            continue
        began_s, ended_s = min(each.since_s for each in of_batch), max(each.until_s for each in of_batch)
        found.append((decode.since_s, queue.since_s, queue.until_s, detect.until_s, began_s, ended_s))
    moments = np.array(found, np.float64).reshape(-1, 6)
    return moments[np.argsort(moments[:, -1] - moments[:, 0])]


def breakdown(timeline: LoadTimeline, *, quantiles: Sequence[float] = (0.5, 0.9, 0.99)) -> tuple[Breakdown, ...]:
    """What frames with a recognised face waited for, at each quantile of their latency; empty where there are none."""
    moments = frame_moments(timeline.spans)
    if not len(moments):
        return ()
    cores = len(os.sched_getaffinity(0))
    idle = idle_cores(timeline.cores.samples, moments[:, 0], moments[:, -1], cores=cores)
    return tuple(_about(moments, idle, quantile) for quantile in quantiles)


def _about(moments: npt.NDArray[np.float64], idle: npt.NDArray[np.float64], quantile: float) -> Breakdown:
    """The frame at the quantile, with those within half a percent of it; frames by latency, with their moments."""
    near, place = len(moments) // 200, min(len(moments) - 1, int(quantile * len(moments)))
    those = slice(max(0, place - near), place + near + 1)
    parts = 1000 * np.diff(moments[those], axis=1)
    decode, queue, detect, hand_over, recognise = parts.mean(axis=0).round(1).tolist()
    return Breakdown(
        quantile=quantile, latency_ms=round(1000 * float(moments[place, -1] - moments[place, 0]), 1),
        frames=len(moments), decode_ms=decode, queue_ms=queue, detect_ms=detect, hand_over_ms=hand_over,
        recognise_ms=recognise, idle_cores=round(float(idle[those].mean()), 2),
    )  # fmt: skip
