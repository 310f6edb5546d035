"""What a run takes its time for, and whether it is stuck: histograms that an engine fills while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import datetime

from prometheus_client import CollectorRegistry, Histogram

from pylfr._internal.steady_clock import steady_now
from pylfr.engine.observer import Comparison, Observer
from pylfr.types import Alert, Faces, FrameBatch, Int64, Recorded, Tracks

# Seconds. A frame waits for its batch, is analysed in tens of milliseconds, and under overload grows old.
_ALERT_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class RunMetrics(Observer):
    """Observes one run. ``dated`` are the cameras whose frames are dated by this machine's clock, now.

    Only their alerts have a latency: a recording that plays faster than it was made has none.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        dated: Collection[str],
        now: Callable[[], datetime] = steady_now,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dated = frozenset(dated)
        self._now = now
        self._clock_s = clock_s
        # Detection of the next batch, and recognition of the last one, go on at once.
        self._detect_s = self._lap_s = self._moved_s = clock_s()
        self._under_way = 0
        self._latency = Histogram(
            "pylfr_capture_to_alert_seconds",
            "From the capture of a frame to its alert, recorded and given to the sinks",
            buckets=_ALERT_BUCKETS,
            registry=registry,
        )
        self._stage = Histogram(
            "pylfr_stage_seconds",
            "Time of one batch in one stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self._frames = Histogram("pylfr_batch_frames", "Frames of one batch", buckets=_BATCH_BUCKETS, registry=registry)

    def stuck_for_s(self) -> float:
        """For how long a batch has been under way without any progress; 0 while the engine waits for frames."""
        return self._clock_s() - self._moved_s if self._under_way else 0.0

    def batch_taken(self, batch: FrameBatch) -> None:
        self._frames.observe(len(batch.frames))
        self._under_way += 1
        self._detect_s = self._moved_s = self._clock_s()

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:  # noqa: ARG002
        self._moved_s = self._clock_s()
        self._stage.labels("detect").observe(self._moved_s - self._detect_s)

    def recognition_began(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._lap_s = self._moved_s = self._clock_s()

    def faces_tracked(self, batch: FrameBatch, tracks: Tracks) -> None:  # noqa: ARG002
        self._lap("track")

    def faces_selected(self, batch: FrameBatch, tracks: Tracks, rows: Int64) -> None:  # noqa: ARG002
        self._lap("select")

    def faces_compared(self, comparison: Comparison) -> None:  # noqa: ARG002
        self._lap("compare")

    def alert_recorded(self, recorded: Recorded[Alert]) -> None:
        self._lap("record")
        alert = recorded.value
        if alert.camera in self._dated:
            self._latency.observe(max(0.0, (self._now() - alert.captured_at).total_seconds()))

    def batch_ended(self, batch: FrameBatch) -> None:  # noqa: ARG002
        self._under_way -= 1
        self._lap_s = self._moved_s = self._clock_s()

    def run_ended(self) -> None:
        self._under_way = 0

    def _lap(self, stage: str) -> None:
        now_s = self._clock_s()
        self._stage.labels(stage).observe(now_s - self._lap_s)
        self._lap_s = self._moved_s = now_s
