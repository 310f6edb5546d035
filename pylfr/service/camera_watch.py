"""What the engine beside the service does, camera by camera: rates, latencies, and a preview that shows nobody."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from pylfr._internal.steady_clock import steady_now
from pylfr.engine.observer import Observer
from pylfr.faces.redact import covered_scene
from pylfr.types import Faces, FrameBatch, UInt8

# Rates and latencies are of these last seconds.
_WINDOW_S = 10.0
# A preview is asked for again and again; it ends where nobody does so for this long. Pictures come no faster.
_WATCHED_S, _PREVIEW_EVERY_S = 5.0, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRates:
    """Of the last ten seconds: analysed frames a second, and ms from the capture of a frame to its last comparison."""

    frames_hz: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """A picture of a camera, uint8 [H, W, 3] RGB, every face in it filled; when it was captured, and its number."""

    picture: UInt8
    captured_at: datetime
    number: int


@dataclass(slots=True, kw_only=True)
class _Camera:
    latencies: deque[tuple[float, float]] = field(default_factory=deque)
    watched_until: float = 0.0
    taken_at: float = 0.0
    preview: Preview | None = None


class CameraWatch(Observer):
    """Observes a run for the pages. Methods of the observer run on the engine's thread, all others on any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:
        now = time.monotonic()
        for index, frame in enumerate(batch.frames):
            with self._lock:
                camera = self._cameras.setdefault(frame.camera, _Camera())
                is_wanted = now < camera.watched_until and now - camera.taken_at >= _PREVIEW_EVERY_S
            if is_wanted:
                picture = covered_scene(frame, faces.boxes[faces.frame_index == index])
                with self._lock:
                    number = camera.preview.number + 1 if camera.preview is not None else 1
                    camera.preview = Preview(picture=picture, captured_at=frame.captured_at, number=number)
                    camera.taken_at = now

    def batch_ended(self, batch: FrameBatch) -> None:
        at, now = time.monotonic(), steady_now()
        with self._lock:
            for frame in batch.frames:
                known = self._cameras.setdefault(frame.camera, _Camera()).latencies
                known.append((at, (now - frame.captured_at).total_seconds() * 1000))
                while known and at - known[0][0] >= _WINDOW_S:
                    known.popleft()

    def rates(self, camera: str) -> CameraRates:
        """What is known of a camera's last ten seconds."""
        now = time.monotonic()
        with self._lock:
            known = self._cameras.get(camera)
            latencies = sorted(ms for at, ms in known.latencies if now - at < _WINDOW_S) if known is not None else []
        if not latencies:
            return CameraRates(frames_hz=0.0, latency_p50_ms=None, latency_p99_ms=None)
        return CameraRates(
            frames_hz=round(len(latencies) / _WINDOW_S, 1),
            latency_p50_ms=_quantile(latencies, 0.5),
            latency_p99_ms=_quantile(latencies, 0.99),
        )

    def watch(self, camera: str) -> Preview | None:
        """Have pictures made of a camera for some seconds from now on; the last one, None where there is none yet."""
        now = time.monotonic()
        with self._lock:
            known = self._cameras.setdefault(camera, _Camera())
            if now >= known.watched_until:
                known.preview = None  # what was seen before nobody looked is not shown as if it were now
            known.watched_until = now + _WATCHED_S
            return known.preview


def _quantile(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))], 1)
