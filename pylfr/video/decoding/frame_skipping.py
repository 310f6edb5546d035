"""Which packets a decoder passes over: those of frames that nobody will look at and that no other frame is made from.

Coders that look ahead (B-frames) make a third to two thirds of all frames such ones. Which they are, the decoder sees
for itself; when frames are wanted, the watch has said.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pylfr.video.decoding.droppable import DroppablePictures
from pylfr.video.decoding.frame_sampler import slot_of

# More than any decoder holds back. Beyond it the time stamps have jumped, and what waits was skipped.
_HELD_BACK = 64


class FrameSkipper:
    """Sets a stream's decoder to skip what is not wanted, packet by packet, and counts what it skipped.

    ``rate_hz`` says how many frames a second are wanted at the moment (None: all): the first one of each slot of that
    length. Slots are counted from the first picture, which is ``from_s`` into the first of them. With ``any_of_slot``,
    as of a live camera, any frame of a slot will do: where one of them is decoded in any case, it is that one.
    ``all_are_needed`` until a picture has come that no other is made from: then all are decoded.
    """

    def __init__(
        self,
        stream: VideoStream,
        *,
        rate_hz: Callable[[], float | None],
        from_s: float = 0.0,
        any_of_slot: bool = False,
    ) -> None:
        self._context = stream.codec_context
        self._droppable = DroppablePictures(self._context) if any_of_slot else None
        self._needed: list[int] = []
        self.all_are_needed = any_of_slot
        self._rate_hz = rate_hz
        self._from_s = from_s
        self._tick_s = float(stream.time_base or 0)
        self._all_hz = float(stream.average_rate or 0) if self._tick_s else 0.0
        self._is_skipping = False
        # The pass of a loop before this one may have ended with a picture that was skipped.
        self._context.skip_frame = "DEFAULT"
        self._first: int | None = None
        self._known: list[int] = []
        self._passed: list[int] = []

    def before(self, packet: Packet[VideoStream] | None) -> None:
        """Set the decoder for this packet; None is the end."""
        if self.all_are_needed and packet is not None:
            # Most cameras send no picture that nobody refers to: then there is nothing to choose.
            if self._droppable is None or not self._droppable.has(packet):
                return
            self.all_are_needed = False
        rate_hz = self._rate_hz()
        pts = None if packet is None else packet.pts
        if rate_hz is None or rate_hz >= self._all_hz or packet is None or pts is None:
            self._skip(is_on=False)
            return
        is_wanted = self._is_wanted(packet, pts, rate_hz)
        self._skip(is_on=not is_wanted)
        if not is_wanted:
            heapq.heappush(self._passed, pts)

    def skipped_before(self, picture: VideoFrame) -> int:
        """How many frames were skipped between the picture that came before and this one."""
        if picture.pts is None:
            return 0
        if self._first is None:
            self._first = picture.pts
        count = 0
        while self._passed and (self._passed[0] < picture.pts or len(self._passed) > _HELD_BACK):
            heapq.heappop(self._passed)
            count += 1
        if self._passed and self._passed[0] == picture.pts:
            heapq.heappop(self._passed)
        return count

    def skipped_at_the_end(self) -> int:
        """How many were skipped after the last picture."""
        count = len(self._passed)
        self._passed.clear()
        return count

    def _skip(self, *, is_on: bool) -> None:
        # Only what changes: to tell the decoder costs more than to know.
        if is_on != self._is_skipping:
            self._context.skip_frame = "NONREF" if is_on else "DEFAULT"
            self._is_skipping = is_on

    def _is_wanted(self, packet: Packet[VideoStream], pts: int, rate_hz: float) -> bool:
        """Whether the frame is the first of its slot, and none of those that are decoded in any case lies in the slot.

        Those shown before and after it are known by then, if it may be left out: frames come in the order in which they
        are made from each other.
        """
        place = bisect_left(self._known, pts)
        before = self._known[place - 1] if place else None
        insort(self._known, pts)
        del self._known[:-_HELD_BACK]
        needed = self._droppable is not None and not self._droppable.has(packet)
        if needed:
            insort(self._needed, pts)
            del self._needed[:-_HELD_BACK]
        if needed or before is None or self._first is None:
            return True
        slot = self._slot(pts - self._first, rate_hz)
        return slot not in (self._slot(each - self._first, rate_hz) for each in (before, *self._needed))

    def _slot(self, ticks: int, rate_hz: float) -> int:
        return slot_of(self._from_s + ticks * self._tick_s, rate_hz)
