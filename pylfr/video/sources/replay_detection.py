"""Signs of a replay: a live camera's pictures stand still or come again, or its time runs backwards.

The noise of a sensor makes each of its pictures differ from all others. What is compared is the scene of frames that
are analysed (``ops.measure_scenes``), which tracking measures anyway, wherever their pixels are; all that is retained
is one salted number of 64 bits, for minutes.
This finds a stuck camera, a still picture and a loop of the same decoded pictures. It does not find a loop that was
coded anew, and it claims no liveness.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pylfr.protocols import Source
from pylfr.types import SCENE_SHAPE, Float32, Frame
from pylfr.video.sources.base import WrappedSource, due_frames
from pylfr.video.sources.observer import CameraEvent, EventKind, FrameObserver

# Rows of a scene near the edges are left out: there cameras write the time, which goes on by itself.
_EDGE_ROWS = SCENE_SHAPE[0] // 6

# A loop is seldom cut where frames are picked, so that of a second round only some pictures meet themselves again.
_LAST_PICTURES = 40
_ENOUGH_SEEN_BEFORE = 8
_LEAST_LOOP_S = 1.0
_MOST_REMEMBERED = 20_000

# Stamps that were in order for so long are in order again.
_IN_ORDER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRules:
    """The same picture for ``unchanged_s`` is reported; a picture is known again for ``remembered_s``. Both seconds.

    Cameras that code a still scene without any change do so until their next key frame: ``unchanged_s`` is longer.
    """

    unchanged_s: float = 10.0
    remembered_s: float = 300.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0 s, got {getattr(self, name)}")


class StampOrder:
    """Whether time stamps grow; says when they stop to, and when they have done so again for five seconds."""

    def __init__(self) -> None:
        self._latest_s: float | None = None
        self._broken_at_s: float | None = None

    def take(self, stamp_s: float, now_s: float) -> tuple[EventKind, str] | None:
        """The turn that this stamp, read at ``now_s``, is, and its words; None for one as it should be."""
        before_s, self._latest_s = self._latest_s, stamp_s
        if before_s is not None and stamp_s <= before_s:
            was_broken, self._broken_at_s = self._broken_at_s is not None, now_s
            if was_broken:
                return None
            if stamp_s == before_s:
                return "backwards", "a time stamp came twice"
            return "backwards", f"a time stamp lies {before_s - stamp_s:.3f} s before the one that came before it"
        if self._broken_at_s is not None and now_s - self._broken_at_s >= _IN_ORDER_S:
            self._broken_at_s = None
            return "recovered", f"time stamps have been in order for {_IN_ORDER_S:g} s"
        return None


class ReplayDetector:
    """Looks at one camera's times and scenes, each in order; each is one thread's at a time."""

    def __init__(self, camera: str, rules: ReplayRules) -> None:
        self._camera = camera
        self._rules = rules
        self._mark: int | None = None
        self._since: datetime | None = None
        self._is_unchanged = False
        self._is_repeating = False
        self._seen: dict[int, datetime] = {}
        self._order: deque[tuple[datetime, int]] = deque()
        self._known: deque[bool] = deque(maxlen=_LAST_PICTURES)
        self._times = StampOrder()

    def note_time(self, at: datetime) -> CameraEvent | None:
        """What the capture time of a frame shows to be wrong, or over; of frames that are not analysed, too."""
        turn = self._times.take(at.timestamp(), time.monotonic())
        return None if turn is None else self._event(*turn)

    def look(self, scene: Float32, at: datetime) -> Iterator[CameraEvent]:
        """What a frame's scene, float32 [18, 32], shows to be wrong, or over."""
        # A number that identifies the picture in this process alone: Python salts it at every start.
        mark = hash(scene[_EDGE_ROWS:-_EDGE_ROWS].tobytes())
        if mark == self._mark and self._since is not None:
            still_s = (at - self._since).total_seconds()
            if not self._is_unchanged and still_s >= self._rules.unchanged_s:
                self._is_unchanged = True
                yield self._event("unchanged", f"exactly the same picture for {still_s:.0f} s")
            return
        if self._is_unchanged and self._since is not None:
            self._is_unchanged = False
            still_s = (at - self._since).total_seconds()
            yield self._event("recovered", f"the picture changes again, after {still_s:.0f} s")
        self._mark, self._since = mark, at
        yield from self._compare(mark, at)

    def _compare(self, mark: int, at: datetime) -> Iterator[CameraEvent]:
        """Whether pictures come again that were there before."""
        while self._order and (
            len(self._order) >= _MOST_REMEMBERED
            or abs((at - self._order[0][0]).total_seconds()) > self._rules.remembered_s
        ):
            then, old = self._order.popleft()
            if self._seen.get(old) == then:
                del self._seen[old]
        seen_at = self._seen.get(mark)
        ago_s = (at - seen_at).total_seconds() if seen_at is not None else 0.0
        self._seen[mark] = at
        self._order.append((at, mark))
        self._known.append(ago_s >= _LEAST_LOOP_S)
        known = sum(self._known)
        if not self._is_repeating and known >= _ENOUGH_SEEN_BEFORE:
            self._is_repeating = True
            yield self._event(
                "repeating", f"{known} of its last {len(self._known)} pictures came before, {ago_s:.0f} s ago"
            )
        elif self._is_repeating and not known:
            self._is_repeating = False
            yield self._event("recovered", "its pictures are new again")

    def _event(self, kind: EventKind, detail: str) -> CameraEvent:
        return CameraEvent.now(self._camera, kind, detail)


class ReplayCheckedSource(WrappedSource):
    """A live camera that its batcher watches for signs of a replay, by ``rules``; its frames are what it gives."""

    def __init__(self, source: Source, rules: ReplayRules) -> None:
        super().__init__(source)
        self.rules = rules

    def __repr__(self) -> str:
        return f"ReplayCheckedSource({self._source!r})"

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due."""
        return due_frames(self._source, watch)


def replay_rules_of(source: Source) -> ReplayRules | None:
    """By which rules ``source``, or what it wraps, is to be watched; None where it is not."""
    while isinstance(source, WrappedSource):
        if isinstance(source, ReplayCheckedSource):
            return source.rules
        source = source.inner
    return None
