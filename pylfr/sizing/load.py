"""Run a number of cameras for some time and measure latency, drops, processor time and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pylfr._internal.heap import give_memory_back
from pylfr.deployment.open import open_load
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.engine.alert_policy import PossibleMatch
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Comparison, Observer
from pylfr.errors import MediaError
from pylfr.faces.detect import FaceDetector
from pylfr.faces.embed import FaceEmbedder
from pylfr.protocols import GallerySource
from pylfr.sizing.accounting import Mark, Readings, frames_dropped, load_from
from pylfr.sizing.machine import PowerMeter, resident_mb
from pylfr.sizing.measured_load import RATE, Load
from pylfr.sizing.stopwatch import Stopwatch, cpu_times
from pylfr.sizing.timed_gallery import TimedGallery
from pylfr.sizing.trace import LoadTimeline
from pylfr.types import Faces, FrameBatch
from pylfr.video.sources.looped import LoopedRecording

# Cameras begin at odd moments within this time, so that not all of them show the same moment of the recording, as no
# two real ones do: faces that enter everywhere at once would be a burst. What happens before all run does not count.
STAGGER_S = 10.0
_SETTLE_S = 1.5
_TICK_S = 0.25
# The part of a second that consecutive multiples of it divide most evenly.
_GOLDEN = 0.618034


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """What every camera of a load plays, at how many frames a second, and the networks and rules that analyse it."""

    video: Path
    rate_hz: float = RATE
    detector: FaceDetector
    embedder: FaceEmbedder
    gallery: GallerySource
    recognition: RecognitionSection
    batch: BatchSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The state of a running load, for a progress display."""

    cameras: int
    elapsed_s: float
    of_s: float
    dropped: int


class _Latencies(Observer):
    """How old frames are when their faces are found, and when it is decided on them, each with the moment."""

    def __init__(self, cameras: Sequence[LoopedRecording]) -> None:
        self._cameras = {camera.camera: camera for camera in cameras}
        self.decided: list[tuple[float, float]] = []
        self.seen: list[tuple[float, float]] = []

    def faces_found(self, batch: FrameBatch, faces: Faces) -> None:  # noqa: ARG002
        self._note(batch, range(len(batch)), self.seen)

    def matches_decided(self, comparison: Comparison, matches: Sequence[PossibleMatch]) -> None:  # noqa: ARG002
        decided = np.unique(comparison.tracks.faces.frame_index[comparison.rows]).tolist()
        self._note(comparison.batch, decided, self.decided)

    def _note(self, batch: FrameBatch, which: Sequence[int], noted: list[tuple[float, float]]) -> None:
        now = time.monotonic()
        for index in which:
            frame = batch.frames[index]
            noted.append((now, 1000 * self._cameras[frame.camera].age_s(frame.captured_at)))


def run_load(
    setting: Setting,
    cameras: int,
    *,
    seconds: float,
    decode_floor_ms: float,
    impatient: bool = False,
    on_moment: Callable[[Moment], None] = lambda _: None,
    observers: Sequence[Observer] = (),
    stagger_s: float = STAGGER_S,
    timeline: LoadTimeline | None = None,
) -> Load:
    """Play the setting's recording as ``cameras`` live cameras and measure for ``seconds`` once they all run.

    They begin within ``stagger_s``. ``decode_floor_ms`` is the processor time that decoding one frame takes by itself
    (``decode_floor``). An ``impatient`` load ends as soon as a frame was dropped. ``observers`` are called before the
    time is taken: one that sleeps makes the stage slower that it is told about. A ``timeline`` collects what every
    frame waited for. Raises ``MediaError`` where the cameras ended before anything could be measured.
    """
    starts_s = [stagger_s * (number * _GOLDEN % 1) for number in range(cameras)]
    open_camera = LoopedRecording if timeline is None else timeline.open_camera
    sources = [
        open_camera(setting.video, camera=f"camera-{number:03d}", starts_after_s=start_s)
        for number, start_s in enumerate(starts_s)
    ]
    latencies, stopwatch = _Latencies(sources), Stopwatch()
    give_memory_back()
    memory_before_mb = resident_mb()
    engine = open_load(
        sources,
        detector=setting.detector,
        embedder=setting.embedder,
        gallery=TimedGallery(setting.gallery, stopwatch, timeline),
        recognition=setting.recognition,
        batch=setting.batch,
        observers=(*observers, stopwatch, latencies, *((timeline,) if timeline is not None else ())),
    )
    supervisor = _Supervisor(
        engine,
        stopwatch,
        cameras,
        warm_up_s=max(starts_s, default=0.0) + _SETTLE_S,
        seconds=seconds,
        impatient=impatient,
        on_moment=on_moment,
    )
    supervisor.start()
    try:
        with timeline.cores if timeline is not None else nullcontext():
            for _ in engine.run():
                pass
    finally:
        supervisor.finish()
    first, last = supervisor.marks()
    readings = Readings(
        cameras=cameras,
        rate_hz=setting.rate_hz,
        first=first,
        last=last,
        decided=latencies.decided,
        seen=latencies.seen,
        memory_before_mb=memory_before_mb,
        memory_mb=supervisor.memory_mb,
        watts=supervisor.watts,
        watts_missing=supervisor.watts_missing,
    )
    return load_from(readings, decode_floor_ms=decode_floor_ms)


class _Supervisor:
    """Marks the beginning and the end of what is measured, from a thread that is not measured itself."""

    def __init__(
        self,
        engine: Engine,
        stopwatch: Stopwatch,
        cameras: int,
        *,
        warm_up_s: float,
        seconds: float,
        impatient: bool,
        on_moment: Callable[[Moment], None],
    ) -> None:
        self._engine = engine
        self._stopwatch = stopwatch
        self._cameras = cameras
        self._warm_up_s = warm_up_s
        self._seconds = seconds
        self._impatient = impatient
        self._on_moment = on_moment
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="pylfr-supervisor", daemon=True)
        self._marks: list[Mark] = []
        self.memory_mb: list[float] = []
        self.watts: float | None = None
        self.watts_missing = "it ended too early"

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._finished.set()
        self._thread.join()

    def marks(self) -> tuple[Mark, Mark]:
        """Where the measurement began and ended. Raises ``MediaError`` where the run ended before that."""
        if len(self._marks) < 2:
            errors = "; ".join(self._engine.summary().errors)
            raise MediaError(f"the cameras ended before anything could be measured: {errors or 'they were stopped'}")
        first, last = self._marks
        return first, last

    def _supervise(self) -> None:
        try:
            if self._wait(self._warm_up_s, 0.0):
                return
            meter = PowerMeter()
            self._marks.append(self._mark())
            self._wait(self._seconds, self._warm_up_s)
            self._marks.append(self._mark())
            self.watts, self.watts_missing = meter.watts()
        finally:
            self._engine.stop("measured")

    def _wait(self, seconds: float, already_s: float) -> bool:
        """Whether the run ended by itself within that time."""
        until = time.monotonic() + seconds
        of_s = self._warm_up_s + self._seconds
        while (left := until - time.monotonic()) > 0:
            if self._finished.wait(min(_TICK_S, left)):
                return True
            dropped = 0
            if self._marks:
                self.memory_mb.append(resident_mb())
                dropped = sum(frames_dropped(self._engine.summary(), self._marks[0].summary).values())
                if dropped and self._impatient:
                    return False
            self._on_moment(
                Moment(cameras=self._cameras, elapsed_s=already_s + seconds - left, of_s=of_s, dropped=dropped)
            )
        return False

    def _mark(self) -> Mark:
        me = threading.get_native_id()
        return Mark(
            summary=self._engine.summary(), spent=self._stopwatch.spent(), cpu=cpu_times(without=frozenset({me}))
        )
