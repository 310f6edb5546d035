"""One camera's way into the batch: its decode thread, its few waiting frames, its counts."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pylfr._internal.limits import limit_met
from pylfr._internal.log_context import logged_as
from pylfr.errors import PylfrError
from pylfr.ops import DueTime
from pylfr.protocols import Source
from pylfr.types import Float32, Frame
from pylfr.video.batching.backlog import Backlog
from pylfr.video.batching.closer_look import CLOSER_LOOK_SHED, CloserLook
from pylfr.video.batching.load_shedding import LoadShedder
from pylfr.video.decoding.frame_sampler import Sampler
from pylfr.video.sources.base import due_frames
from pylfr.video.sources.observer import CameraEvent
from pylfr.video.sources.replay_detection import ReplayDetector, replay_rules_of

CameraState = Literal["waiting", "running", "reconnecting", "ended", "failed", "stopped"]

_STATE_AFTER: dict[str, CameraState] = {
    "opened": "running",
    "disconnected": "reconnecting",
    "frozen": "reconnecting",
    "mismatched": "reconnecting",
    "refused": "reconnecting",
    "reconnecting": "reconnecting",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraCounts:
    """What became of one camera's frames so far.

    Of the frames that ``came`` ``not_due`` were skipped to keep the rate of detection, where possible before they
    were decoded; ``passed_on`` went into a batch, and ``dropped`` counts those that were lost, by cause: ``superseded``
    by a newer one, ``rate_lowered`` under load, ``closer_look_shed`` where there was no time for a closer look,
    ``stopped`` while waiting. ``late`` ones are not among those that came. ``waiting`` are those that a batch
    may still take. ``closer`` frames were wanted beyond ``detect_hz``. ``error`` says why the camera ``failed``.
    """

    camera: str
    state: CameraState
    came: int
    not_due: int
    passed_on: int
    waiting: int
    closer: int
    dropped: Mapping[str, int]
    last_frame_at: datetime | None
    error: str | None

    def after(self, earlier: CameraCounts) -> CameraCounts:
        """These counts and those of the same camera ``earlier``, before it was removed and added again."""
        causes = sorted({*self.dropped, *earlier.dropped})
        return replace(
            self,
            came=earlier.came + self.came,
            not_due=earlier.not_due + self.not_due,
            passed_on=earlier.passed_on + self.passed_on,
            closer=earlier.closer + self.closer,
            dropped={cause: earlier.dropped.get(cause, 0) + self.dropped.get(cause, 0) for cause in causes},
            last_frame_at=self.last_frame_at or earlier.last_frame_at,
        )


# Decoding gives way to the one loop that serves all cameras: a frame that is decoded late delays its own camera, a loop
# that waits for a core delays all of them. On two cores ten was better than five, also with more cameras than fit.
_DECODE_NICER = 10

# So many frames of a live camera may wait. With one, a batch that takes longer than the next frame is away loses a
# frame although there is time for it; with two it is only late. With more, frames would grow old where too much comes.
_LIVE_DEPTH = 2


class CameraQueue:
    """Everything here is guarded by the lock of the ``backlog``, which all queues of a batcher share.

    What only the camera's own thread counts, the frames that come, is written without it: hundreds of cameras would
    wait for each other at every frame.
    """

    def __init__(
        self,
        source: Source,
        *,
        backlog: Backlog[CameraQueue],
        detect_hz: float | None,
        closer_hz: float | None,
        pace: LoadShedder,
        depth: Callable[[], int],
        on_event: Callable[[CameraEvent], None],
    ) -> None:
        self.source = source
        self.is_live = source.is_live
        self._waiting: deque[Frame] = deque()
        self._since_s: deque[float] = deque()
        self.is_over = False
        self._backlog = backlog
        self._lock = backlog.lock
        # A recording waits here until a batch has taken frames of it.
        self._room = threading.Condition(backlog.lock)
        # A recording waits here until it is known which frames deserve a closer look.
        self._known = threading.Condition(backlog.lock)
        self._awaits_decision = False
        self._sampler = Sampler(detect_hz)
        self._closer: CloserLook | None = None
        if detect_hz is not None and closer_hz is not None and closer_hz > detect_hz:
            self._closer = CloserLook(detect_hz=detect_hz, hz=closer_hz, is_live=source.is_live)
        rules = replay_rules_of(source)
        self._replay = None if rules is None else ReplayDetector(source.camera, rules)
        self._pace = pace
        self._due_frames_seen = 0
        self._due = DueTime() if source.is_live else None
        self._depth = depth
        self._on_event = on_event
        self._stopping = False
        self._state: CameraState = "waiting"
        self._came = self._not_due = self._passed_on = self._closer_frames = 0
        self._dropped: Counter[str] = Counter()
        self._last_frame_at: datetime | None = None
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"pylfr-decode-{source.camera}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; what waits is dropped and counted. Holds the lock."""
        self._stopping = True
        self._dropped["stopped"] += len(self._waiting)
        lost = len(self._waiting)
        self._waiting.clear()
        self._since_s.clear()
        self._backlog.note(self, added=-lost)
        self._room.notify()
        self._known.notify()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended, after at most ``timeout_s``."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    @property
    def is_full(self) -> bool:
        """Whether waiting longer brings no further frame of this camera. Holds the lock."""
        if self.is_over or self._awaits_decision:
            return True
        return len(self._waiting) >= (1 if self.is_live else self._depth())

    def take(self) -> Frame:
        """The oldest waiting frame. Holds the lock."""
        self._passed_on += 1
        self._since_s.popleft()
        frame = self._waiting.popleft()
        self._backlog.note(self, added=-1)
        self._room.notify()
        return frame

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waits_since_s(self) -> float:
        """Since when its oldest frame waits, on the monotonic clock; infinity where none does. Holds the lock."""
        return self._since_s[0] if self._since_s else math.inf

    def counts(self) -> CameraCounts:
        """Holds the lock."""
        return CameraCounts(
            camera=self.source.camera,
            state=self._state,
            came=self._came,
            not_due=self._not_due,
            passed_on=self._passed_on,
            waiting=len(self._waiting),
            closer=self._closer_frames,
            dropped={cause: count for cause, count in sorted(self._dropped.items()) if count},
            last_frame_at=self._last_frame_at,
            error=self._error,
        )

    @property
    def rate_hz(self) -> float | None:
        return self._sampler.rate_hz if self._closer is None else self._closer.hz

    @property
    def rate_now_hz(self) -> float | None:
        """As ``rate_hz``; of a live camera only while a closer look is wanted and there is time for one."""
        if self._closer is None or not self.is_live:
            return self.rate_hz
        if not self._closer.has_undecided:
            return self._sampler.rate_hz
        with self._lock:
            at = self._last_frame_at
            is_closer = at is not None and self._pace.has_time_left and self._closer.wants(at)
            return self._closer.hz if is_closer else self._sampler.rate_hz

    @property
    def due(self) -> DueTime | None:
        return self._due

    def decided(self, captured_at: datetime, *, left_undecided: bool) -> None:
        """What the engine says of a frame that it took: whether it leaves somebody undecided. Holds the lock."""
        if self._closer is not None:
            self._closer.decided(captured_at, left_undecided=left_undecided)
            if left_undecided and self._due is not None:
                self._due.set(0.0)
            self._known.notify()

    def shown(self, scene: Float32, captured_at: datetime) -> list[CameraEvent]:
        """What the scene of a frame that was taken says of a replay. Holds the lock."""
        return [] if self._replay is None else list(self._replay.look(scene, captured_at))

    def skipped(self, count: int) -> None:
        self._came += count
        self._not_due += count

    def is_due(self, captured_at: datetime) -> bool:
        """Count a decoded frame and say whether it is wanted."""
        if self._replay is not None and (turn := self._replay.note_time(captured_at)) is not None:
            self.report(turn)
        # Whether a frame is decoded in this process or in another, the same ones are to choose from.
        is_apart = self._closer is None or self._closer.is_apart(captured_at)
        is_due = (is_apart or self.is_live) and self._sampler.is_due(captured_at)
        self._came += 1
        self._last_frame_at = captured_at
        self._say_when_due(captured_at)
        if self.is_live and not is_due and not (self._closer is not None and self._closer.has_undecided):
            self._not_due += 1
            return False
        with self._lock:
            is_closer = not is_due and is_apart and self._deserves_closer_look(captured_at)
            self._not_due += not (is_due or is_closer)
            if self.is_live and not self._has_time(is_due=is_due, is_closer=is_closer):
                return False
            self._closer_frames += is_closer
            if (is_due or is_closer) and self._closer is not None:
                self._closer.handed_on(captured_at)
        return is_due or is_closer

    def _say_when_due(self, captured_at: datetime) -> None:
        """When the next frame is wanted; at once where a closer look is. Whoever is undecided may be so since now."""
        if self._due is not None:
            self._due.set(time.monotonic() + self._sampler.seconds_to_next(captured_at))
            if self._closer is not None and self._closer.has_undecided:
                self._due.set(0.0)

    def _deserves_closer_look(self, captured_at: datetime) -> bool:
        """Whether an earlier frame has left somebody undecided; waits until that is known. Holds the lock."""
        closer = self._closer
        if closer is None:
            return False
        if not closer.is_known(captured_at):
            self._awaits_decision = True
            self._backlog.note(self)
            self._known.wait_for(lambda: self._stopping or closer.is_known(captured_at))
            self._awaits_decision = False
            self._backlog.note(self)
        return closer.wants(captured_at)

    def _has_time(self, *, is_due: bool, is_closer: bool) -> bool:
        """Whether a frame of a live camera is taken under the present load, counted where not. Holds the lock."""
        if is_due:
            self._due_frames_seen += 1
            if not self._pace.takes(self._due_frames_seen - 1):
                self._dropped["rate_lowered"] += 1
                return False
        elif is_closer and (self._waiting or not self._pace.takes_closer()):
            self._dropped[CLOSER_LOOK_SHED] += 1
            return False
        return True

    def report(self, event: CameraEvent) -> None:
        with self._lock:
            self._state = _STATE_AFTER.get(event.kind, self._state)
        # A source may say "ended" too; the lane says it once, when the last frame has come.
        if event.kind not in ("ended", "failed"):
            self._on_event(event)

    def lost(self, cause: str, count: int) -> None:
        with self._lock:
            self._dropped[cause] += count

    def _due_frames(self) -> Generator[Frame, None, None]:
        yield from due_frames(self.source, self)

    def _run(self) -> None:
        error: str | None = None
        _give_way()
        try:
            with logged_as(camera=self.source.camera), contextlib.closing(self._due_frames()) as frames:
                for frame in frames:
                    if not self._put(frame):
                        break
        except PylfrError as caught:
            error = str(caught)
        except Exception as caught:  # one camera's failure must not reach the others
            error = limit_met(caught) or f"{type(caught).__name__}: {caught}"
        self._finish(error)

    def _put(self, frame: Frame) -> bool:
        """Let the frame wait for a batch; False once nobody will take it."""
        superseded = 0
        with self._lock:
            if self.is_live:
                if len(self._waiting) >= _LIVE_DEPTH:
                    self._dropped["superseded"] += 1
                    self._pace.count(lost=1)
                    self._since_s.popleft()
                    self._waiting.popleft()
                    superseded = 1
            else:
                self._room.wait_for(lambda: self._stopping or len(self._waiting) < self._depth())
            if self._stopping:
                self._dropped["stopped"] += 1
                return False
            self._waiting.append(frame)
            self._since_s.append(time.monotonic())
            self._backlog.note(self, added=1 - superseded)
            return True

    def _finish(self, error: str | None) -> None:
        with self._lock:
            self._state = "stopped" if self._stopping else "ended" if error is None else "failed"
            self._error = None if self._stopping else error
            self.is_over = True
            self._backlog.note(self)
            is_stopped, came = self._stopping, self._came
        if error is not None and not is_stopped:
            self._on_event(CameraEvent.now(self.source.camera, "failed", error))
        else:
            self._on_event(CameraEvent.now(self.source.camera, "ended", f"after {came} frames"))


def _give_way() -> None:
    """Make this thread, and what it starts, nicer than the rest of the engine; only on Linux can a thread be that."""
    if sys.platform == "linux":
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, min(19, os.getpriority(os.PRIO_PROCESS, me) + _DECODE_NICER))
