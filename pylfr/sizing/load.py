"""Run a number of cameras for some time and measure latency, drops, processor time and memory."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from pylfr.deployment.open import open_load
from pylfr.deployment.sections.recognition import BatchSection, RecognitionSection
from pylfr.engine.alert_policy import PossibleMatch
from pylfr.engine.engine import Engine
from pylfr.engine.observer import Comparison, Observer
from pylfr.engine.summary import Summary
from pylfr.errors import MediaError
from pylfr.faces.detect import FaceDetector
from pylfr.faces.embed import FaceEmbedder
from pylfr.protocols import Gallery, GallerySource
from pylfr.sizing.machine import PowerMeter, give_memory_back, resident_mb
from pylfr.sizing.stopwatch import CpuTimes, Spent, Stopwatch, cpu_times
from pylfr.sizing.trace import LoadTimeline
from pylfr.types import Candidates, Faces, FrameBatch, Reference, Templates
from pylfr.video.batching.closer_look import CLOSER_LOOK_SHED
from pylfr.video.sources.looped import LoopedRecording

RATE = 25
# Cameras begin at odd moments within this time, so that not all of them show the same moment of the recording, as no
# two real ones do: faces that enter everywhere at once would be a burst. What happens before all run does not count.
STAGGER_S = 10.0
_SETTLE_S = 1.5
_TICK_S = 0.25
# More of them than that, and people may be missed: a machine that has to shed so many does not hold its cameras.
_MOST_NOT_COMPARED = 0.25
# The part of a second that consecutive multiples of it divide most evenly.
_GOLDEN = 0.618034

# Stages in the order in which a frame meets them. What the engine's thread does besides is Python's.
STAGES = ("decode", "detect", "track", "embed", "search", "Python")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """What every camera of a load plays, and the networks and rules that analyse it."""

    video: Path
    detector: FaceDetector
    embedder: FaceEmbedder
    gallery: GallerySource
    recognition: RecognitionSection
    batch: BatchSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from the moment a frame was due to the decision on it."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The measurements of ``cameras`` cameras over ``seconds``, once all of them ran.

    ``decided`` is the latency of every frame with a recognised face, ``seen`` that of every analysed frame.
    ``late`` is the share of frames due that had not been decoded. ``not_compared`` faces were shed so that the others
    were decided on in time. ``cpu_s`` is processor seconds by stage;
    ``cores_busy`` and ``others_busy`` are the shares of the machine that this program and all others used (None where
    that cannot be read).
    ``loop_busy`` is the share of time in which the busier of the engine's two threads was not waiting: one detects, the
    other follows, compares and decides.
    """

    cameras: int
    seconds: float
    decided: Latency
    seen: Latency
    frames: int
    late: float
    looked_at: int
    faces: int
    recognised: int
    not_compared: int
    alerts: int
    dropped: dict[str, int]
    least_share: float
    cpu_s: dict[str, float]
    stages: dict[str, Spent]
    cores_busy: float
    others_busy: float | None
    loop_busy: float
    memory_mb: float
    memory_before_mb: float
    watts: float | None
    watts_missing: str
    errors: tuple[str, ...]

    @property
    def latency(self) -> Latency:
        """Of decisions; of analysed frames where no face was recognised at all."""
        return self.decided if self.decided.count else self.seen

    @property
    def faces_a_frame(self) -> float:
        return self.faces / self.looked_at if self.looked_at else 0.0

    @property
    def not_compared_share(self) -> float:
        """Of the faces that could have been compared, those for which there was no time."""
        return self.not_compared / max(1, self.not_compared + self.recognised)

    def why_not_held(self, bound_ms: float) -> str:
        """Why this load is too much, "" where it is held."""
        if self.errors:
            return self.errors[0]
        if not self.looked_at:
            return "no frame was analysed in time"
        if self.dropped:
            return "dropped " + ", ".join(f"{count:,} ({cause})" for cause, count in self.dropped.items())
        if self.late > 0.01:
            return f"{self.late:.0%} of the frames were not decoded in time"
        if self.not_compared_share > _MOST_NOT_COMPARED:
            return f"{self.not_compared_share:.0%} of the faces were not compared in time"
        slower = max(self.decided.p99_ms, self.seen.p99_ms)
        if slower > bound_ms:
            return f"p99 latency {slower:.0f} ms is over the bound of {bound_ms:.0f} ms"
        return ""


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


class _TimedGallery:
    """A ``GallerySource`` whose searches count for a stage of their own."""

    def __init__(self, source: GallerySource, stopwatch: Stopwatch, timeline: LoadTimeline | None) -> None:
        self._source = source
        self._stopwatch = stopwatch
        self._timeline = timeline

    def refresh(self) -> None:
        self._source.refresh()

    @property
    def trouble(self) -> str:
        return ""

    def snapshot(self) -> Gallery:
        return _TimedSearch(self._source.snapshot(), self._stopwatch, self._timeline)

    def close(self) -> None:
        self._source.close()


class _TimedSearch:
    def __init__(self, gallery: Gallery, stopwatch: Stopwatch, timeline: LoadTimeline | None) -> None:
        self._gallery = gallery
        self._stopwatch = stopwatch
        self._timeline = timeline

    @property
    def model(self) -> str:
        return self._gallery.model

    @property
    def revision(self) -> int:
        return self._gallery.revision

    def __len__(self) -> int:
        return len(self._gallery)

    def search(self, probes: Templates, k: int) -> Candidates:
        traced = self._timeline.inside("search") if self._timeline is not None else nullcontext()
        with self._stopwatch.inside("search"), traced:
            return self._gallery.search(probes, k)

    def reference(self, entry: int) -> Reference:
        return self._gallery.reference(entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """Everything that counts up, at one moment."""

    summary: Summary
    spent: dict[str, Spent]
    cpu: CpuTimes


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
    frame waited for.
    """
    starts_s = [stagger_s * (number * _GOLDEN % 1) for number in range(cameras)]
    open_camera = LoopedRecording if timeline is None else timeline.open_camera
    sources = [
        open_camera(setting.video, camera=f"camera-{number:03d}", starts_after_s=start_s)
        for number, start_s in enumerate(starts_s)
    ]
    latencies, stopwatch = _Latencies(sources), Stopwatch()
    give_memory_back()
    before_mb = resident_mb()
    engine = open_load(
        sources,
        detector=setting.detector,
        embedder=setting.embedder,
        gallery=_TimedGallery(setting.gallery, stopwatch, timeline),
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
    return _account(supervisor, latencies, cameras, before_mb, decode_floor_ms)


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
        self.marks: list[_Mark] = []
        self.memory_mb: list[float] = []
        self.watts: float | None = None
        self.watts_missing = "it ended too early"

    def start(self) -> None:
        self._thread.start()

    def errors(self) -> tuple[str, ...]:
        return self._engine.summary().errors

    def finish(self) -> None:
        self._finished.set()
        self._thread.join()

    def _supervise(self) -> None:
        try:
            if self._wait(self._warm_up_s, 0.0):
                return
            meter = PowerMeter()
            self.marks.append(self._mark())
            self._wait(self._seconds, self._warm_up_s)
            self.marks.append(self._mark())
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
            if self.marks:
                self.memory_mb.append(resident_mb())
                dropped = sum(_drops(self._engine.summary(), self.marks[0].summary).values())
                if dropped and self._impatient:
                    return False
            self._on_moment(
                Moment(cameras=self._cameras, elapsed_s=already_s + seconds - left, of_s=of_s, dropped=dropped)
            )
        return False

    def _mark(self) -> _Mark:
        me = threading.get_native_id()
        return _Mark(
            summary=self._engine.summary(), spent=self._stopwatch.spent(), cpu=cpu_times(without=frozenset({me}))
        )


def _drops(after: Summary, before: Summary) -> dict[str, int]:
    """Frames lost between two moments, by cause, in whatever camera.

    Closer looks are for time that is left over: that there is none is no loss of what was asked for.
    """
    dropped: Counter[str] = Counter()
    for name, camera in after.cameras.items():
        was = before.cameras[name].dropped if name in before.cameras else {}
        for cause, count in camera.dropped.items():
            dropped[cause] += count - was.get(cause, 0)
    return {cause: count for cause, count in dropped.items() if count and cause not in ("stopped", CLOSER_LOOK_SHED)}


def _not_compared(summary: Summary) -> int:
    return summary.dropped.get("not_compared_budget", 0)


def _account(
    supervisor: _Supervisor, latencies: _Latencies, cameras: int, before_mb: float, decode_floor_ms: float
) -> Load:
    if len(supervisor.marks) < 2:
        raise MediaError(
            "the cameras ended before anything could be measured: "
            + ("; ".join(supervisor.errors()) or "they were stopped")
        )
    first, last = supervisor.marks
    seconds = last.cpu.at_s - first.cpu.at_s
    spent = _difference(first.spent, last.spent)
    frames = last.summary.frames - first.summary.frames
    looked_at = {
        name: camera.detected_frames - first.summary.cameras[name].detected_frames
        for name, camera in last.summary.cameras.items()
    }
    mean = sum(looked_at.values()) / max(cameras, 1)
    own_s = last.cpu.own_s - first.cpu.own_s
    busy = _or_none(last.cpu.busy_s, first.cpu.busy_s)
    cores = len(os.sched_getaffinity(0))
    return Load(
        cameras=cameras,
        seconds=round(seconds, 2),
        decided=_latency(latencies.decided, first.cpu.at_s, last.cpu.at_s),
        seen=_latency(latencies.seen, first.cpu.at_s, last.cpu.at_s),
        frames=frames,
        late=max(0.0, 1 - frames / max(1.0, cameras * RATE * seconds)),
        looked_at=sum(looked_at.values()),
        faces=last.summary.faces - first.summary.faces,
        recognised=last.summary.recognised - first.summary.recognised,
        not_compared=_not_compared(last.summary) - _not_compared(first.summary),
        alerts=last.summary.alerts - first.summary.alerts,
        dropped=_drops(last.summary, first.summary),
        least_share=min(looked_at.values()) / mean if mean else 0.0,
        cpu_s=_by_stage(first.cpu, last.cpu, spent, frames * decode_floor_ms / 1000),
        stages=spent,
        cores_busy=own_s / (seconds * cores),
        others_busy=None if busy is None else max(0.0, (busy - own_s) / (seconds * cores)),
        loop_busy=min(1.0, _busier_s(spent) / seconds),
        memory_mb=float(np.median(supervisor.memory_mb)) if supervisor.memory_mb else resident_mb(),
        memory_before_mb=before_mb,
        watts=supervisor.watts,
        watts_missing=supervisor.watts_missing,
        errors=last.summary.errors,
    )


def _busier_s(spent: dict[str, Spent]) -> float:
    """How long the thread that detects was busy, or the one that does the rest, whichever is longer."""
    detect_s = spent["detect"].wall_s if "detect" in spent else 0.0
    return max(detect_s, sum(each.wall_s for each in spent.values()) - detect_s)


def _difference(first: dict[str, Spent], last: dict[str, Spent]) -> dict[str, Spent]:
    none = Spent(calls=0, wall_s=0.0, cpu_s=0.0)
    return {
        name: Spent(
            calls=each.calls - first.get(name, none).calls,
            wall_s=each.wall_s - first.get(name, none).wall_s,
            cpu_s=each.cpu_s - first.get(name, none).cpu_s,
        )
        for name, each in last.items()
    }


def _by_stage(first: CpuTimes, last: CpuTimes, spent: dict[str, Spent], decode_floor_s: float) -> dict[str, float]:
    """Processor seconds by stage.

    Threads of libraries work for the networks: their time is divided in proportion to how long detection and embedding
    took. Python's part is what its threads used outside every stage, and what decoding used beyond the decoder's need.
    """

    def cpu(*names: str) -> float:
        return sum(spent[name].cpu_s for name in names if name in spent)

    def wall(name: str) -> float:
        return spent[name].wall_s if name in spent else 0.0

    library_s = last.library_s - first.library_s
    networks_s = wall("detect") + wall("embed")
    to_detect = wall("detect") / networks_s if networks_s else 0.5
    decode_s = last.decode_s - first.decode_s
    python_s = last.python_s - first.python_s - sum(each.cpu_s for each in spent.values())
    return {
        "decode": min(decode_s, decode_floor_s),
        "detect": cpu("detect") + library_s * to_detect,
        "track": cpu("track"),
        "embed": cpu("embed") + library_s * (1 - to_detect),
        "search": cpu("search"),
        "Python": max(0.0, python_s) + cpu("plan", "decide") + max(0.0, decode_s - decode_floor_s),
    }


def _latency(noted: list[tuple[float, float]], since: float, until: float) -> Latency:
    taken = np.array([ms for at, ms in noted if since <= at <= until])
    if not len(taken):
        return Latency(count=0, p50_ms=0.0, p99_ms=0.0, max_ms=0.0)
    p50, p99 = np.percentile(taken, (50, 99))
    return Latency(count=len(taken), p50_ms=float(p50), p99_ms=float(p99), max_ms=float(taken.max()))


def decode_floor(video: Path, *, frames: int = 150) -> float:
    """Milliseconds of processor time to decode one frame of ``video``, and nothing else. Raises ``MediaError``."""
    taken: list[float] = []
    try:
        with av.open(str(video)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            before = time.thread_time()
            for _ in container.decode(video=0):
                now = time.thread_time()
                taken.append((now - before) * 1000)
                before = now
                if len(taken) == frames:
                    break
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise MediaError(f"video {video} cannot be decoded ({error}): give another one") from error
    if not taken:
        raise MediaError(f"video {video} holds no frame: give another one")
    return float(np.mean(taken))


def _or_none(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
