"""Many cameras into one batch, by size or deadline: the newest frames of a live camera win, recordings wait."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType

from pylfr.protocols import Source
from pylfr.types import Float32, Frame, FrameBatch
from pylfr.video.batching.backlog import Backlog
from pylfr.video.batching.camera_queue import CameraCounts, CameraQueue
from pylfr.video.batching.load_shedding import LoadShedder
from pylfr.video.sources.observer import EVERY_CAMERA, CameraEvent, log_event

__all__ = ["Batcher", "CameraCounts"]

log = logging.getLogger(__name__)

# How many events are held for somebody who does not fetch them; all of them are in the log.
_MOST_EVENTS = 1_000

# A camera that is silent at the end is waited for as long as its reads may take, and a little more.
_JOIN_S = 10.0


class Batcher:
    """Reads every source on a thread of its own and gives their frames in batches of at most ``size``.

    Use it once, as a context manager, and iterate: ``with Batcher(sources) as batches: for batch in batches: ...``.
    A batch goes out when ``size`` frames wait, when the oldest has waited ``wait_ms``, or when no camera can add to it.
    Frames of one camera stay in order; where more wait than fit, cameras take turns. ``detect_hz`` picks frames by
    their capture time (None: every frame). Of a live camera the two newest wait, a recording is held back instead.
    Where live frames come faster than batches are taken, all live cameras are analysed less often, down to
    ``min_detect_hz`` (None: never less often): an event says so, and ``rate_lowered`` counts what was skipped.
    With ``closer_hz`` a camera is analysed so often while somebody in view is undecided (``CloserLook``): whoever
    takes batches must say of each what it has ``decided``, or recordings wait for it. What it has ``shown`` tells
    whether a live camera replays something.
    A camera that fails is reported, and the others go on. The iteration ends when all cameras have, or after ``stop``;
    one that ``stays_open`` waits for further cameras instead.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        size: int = 16,
        wait_ms: float = 20.0,
        detect_hz: float | None = 8.0,
        min_detect_hz: float | None = None,
        closer_hz: float | None = None,
        stays_open: bool = False,
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be 1 or more, got {size}")
        if not wait_ms >= 0:
            raise ValueError(f"wait_ms must be 0 or more, got {wait_ms}")
        self._size = size
        self._wait_s = wait_ms / 1000.0
        if detect_hz is not None and min_detect_hz is not None and not 0 < min_detect_hz <= detect_hz:
            raise ValueError(f"min_detect_hz must be more than 0 and at most {detect_hz}, got {min_detect_hz}")
        self._detect_hz = detect_hz
        self._closer_hz = closer_hz
        self._pace = LoadShedder(
            slowest=1 if detect_hz is None or min_detect_hz is None else math.floor(detect_hz / min_detect_hz + 1e-6)
        )
        self._backlog: Backlog[CameraQueue] = Backlog(size)
        self._lock = self._backlog.lock
        self._lanes: dict[str, CameraQueue] = {}
        # What was counted of cameras before they were removed: one that is added again goes on from there.
        self._earlier: dict[str, CameraCounts] = {}
        self._events: deque[CameraEvent] = deque(maxlen=_MOST_EVENTS)
        self.stays_open = stays_open
        self._started = False
        self._stopped = False
        with self._lock:
            for source in sources:
                self._admit(source)

    @property
    def cameras(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._lanes)

    @property
    def is_live(self) -> bool:
        """Whether any camera is live."""
        with self._lock:
            return any(lane.is_live for lane in self._lanes.values())

    @property
    def live_cameras(self) -> frozenset[str]:
        """The names of the live ones."""
        with self._lock:
            return frozenset(camera for camera, lane in self._lanes.items() if lane.is_live)

    def __enter__(self) -> Batcher:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the decode threads. Raises ``RuntimeError`` where they were started before."""
        with self._lock:
            if self._started:
                raise RuntimeError("a Batcher runs once: make another for another run")
            self._started = True
            if self._stopped:
                return
            for lane in self._lanes.values():
                lane.start()

    def stop(self) -> None:
        """End the iteration at once and the threads soon. May be called from any thread, more than once."""
        with self._lock:
            self._stopped = True
            for lane in self._lanes.values():
                lane.stop()
            self._backlog.changed.notify()
            sources = [lane.source for lane in self._lanes.values()]
        for source in sources:
            source.close()

    def close(self) -> None:
        """Stop, and wait for the threads. One whose camera is silent ends when its read times out."""
        self.stop()
        until = time.monotonic() + _JOIN_S
        with self._lock:
            lanes = list(self._lanes.values())
        for lane in lanes:
            if not lane.join(until - time.monotonic()):
                log.warning("camera %s still waits for a silent camera; its thread ends by itself", lane.source.camera)

    def add(self, source: Source) -> None:
        """Take in another camera, also while running. Raises ``ValueError`` where one of that name is there."""
        with self._lock:
            lane = self._admit(source)
            if self._started and not self._stopped:
                lane.start()

    def remove(self, camera: str) -> CameraCounts:
        """Leave a camera out from now on; its last counts, which stay. Raises ``KeyError`` for no such camera."""
        with self._lock:
            lane = self._lanes.pop(camera)
            lane.stop()
            self._backlog.dismiss(lane)
        lane.source.close()
        lane.join(_JOIN_S)
        with self._lock:
            counts = lane.counts()
            self._earlier[camera] = counts if camera not in self._earlier else counts.after(self._earlier[camera])
            return counts

    def end(self, camera: str) -> None:
        """Let a camera send no more frames; its counts stay. Raises ``KeyError`` where there is none of that name."""
        with self._lock:
            source = self._lanes[camera].source
        source.close()

    def counts(self) -> Mapping[str, CameraCounts]:
        """What became of every camera's frames so far."""
        with self._lock:
            now = {camera: lane.counts() for camera, lane in self._lanes.items()}
            before = self._earlier
            return {
                **before,
                **{camera: each.after(before[camera]) if camera in before else each for camera, each in now.items()},
            }

    def take_events(self) -> tuple[CameraEvent, ...]:
        """What happened to the cameras since the last call, oldest first; at most the last 1,000."""
        with self._lock:
            events = tuple(self._events)
            self._events.clear()
            return events

    def __iter__(self) -> Iterator[FrameBatch]:
        while (batch := self.take()) is not None:
            yield batch

    def take(self, *, wait: bool = True) -> FrameBatch | None:
        """The next batch, None once there will be no more; without ``wait`` also where none is to go out yet.

        One thread at a time. Raises ``RuntimeError`` before ``start``.
        """
        if not self._started:
            raise RuntimeError("a Batcher must be started: take batches inside `with batcher:`")
        with self._lock:
            came_s = time.monotonic()
            if not (self._await_batch() if wait else self._is_due()):
                return None
            batch = FrameBatch(frames=tuple(lane.take() for lane in islice(self._backlog.turns(), self._size)))
            changed = self._keep_pace(came_s, batch)
        if changed is not None:
            self._note(changed)
        return batch

    def decided(self, frames: Sequence[Frame], left_undecided: Sequence[bool]) -> None:
        """Say of frames that were taken whether each leaves somebody undecided; those of one camera in order."""
        with self._lock:
            for frame, is_open in zip(frames, left_undecided, strict=True):
                if frame.camera in self._lanes:
                    self._lanes[frame.camera].decided(frame.captured_at, left_undecided=is_open)

    def shown(self, frames: Sequence[Frame], scenes: Float32) -> None:
        """Say what frames that were taken show, float32 [N, 18, 32]; those of one camera in order.

        Cameras that are watched for signs of a replay (``ReplayCheckedSource``) are judged by it.
        """
        with self._lock:
            events = [
                event
                for frame, scene in zip(frames, scenes, strict=True)
                if frame.camera in self._lanes
                for event in self._lanes[frame.camera].shown(scene, frame.captured_at)
            ]
        for event in events:
            self._note(event)

    def _admit(self, source: Source) -> CameraQueue:
        if source.camera in self._lanes:
            raise ValueError(f"every camera must have a name of its own, got {source.camera!r} twice")
        lane = CameraQueue(
            source,
            backlog=self._backlog,
            detect_hz=self._detect_hz,
            closer_hz=self._closer_hz,
            pace=self._pace,
            depth=self._depth,
            on_event=self._note,
        )
        self._lanes[source.camera] = lane
        self._backlog.admit(lane)
        return lane

    def _depth(self) -> int:
        """How many frames of a recording may wait: its share of a batch, and one to be decoded meanwhile."""
        return -(-self._size // max(1, len(self._lanes))) + 1

    def _await_batch(self) -> bool:
        """Wait until a batch should go out; False once there will be no more. Holds the lock."""
        backlog = self._backlog
        backlog.changed.wait_for(lambda: self._stopped or backlog.waiting or self._is_over())
        if self._stopped or not backlog.waiting:
            return False
        backlog.changed.wait_for(lambda: self._stopped or backlog.is_complete, timeout=self._patience_s())
        # Whoever stopped the batcher, or removed the camera, has emptied its queue meanwhile.
        return backlog.waiting > 0

    def _is_due(self) -> bool:
        """Whether a batch should go out now. Holds the lock."""
        backlog = self._backlog
        return not self._stopped and backlog.waiting > 0 and (backlog.is_complete or self._patience_s() <= 0)

    def _patience_s(self) -> float:
        """How long the oldest frame may still wait."""
        return max(0.0, self._backlog.oldest_s + self._wait_s - time.monotonic())

    def _is_over(self) -> bool:
        return not self.stays_open and all(lane.is_over for lane in self._lanes.values())

    def _keep_pace(self, came_s: float, batch: FrameBatch) -> CameraEvent | None:
        """Analyse less often where too much comes, and more often again; the event that says so. Holds the lock."""
        now_s = time.monotonic()
        live = sum(self._lanes[frame.camera].is_live for frame in batch.frames if frame.camera in self._lanes)
        self._pace.count(taken=live, idle_s=now_s - came_s)
        before = self._pace.every
        if self._detect_hz is None or not self._pace.adapt(now_s):
            return None
        rate = f"live cameras are analysed {self._detect_hz / self._pace.every:.3g} times a second"
        if self._pace.every > before:
            return CameraEvent.now(EVERY_CAMERA, "slowed", f"{rate}: more frames arrive than can be analysed")
        return CameraEvent.now(EVERY_CAMERA, "recovered", rate)

    def _note(self, event: CameraEvent) -> None:
        log_event(event)
        with self._lock:
            self._events.append(event)
