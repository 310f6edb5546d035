"""One continuous time for a recording whose own time stamps restart, jump, start below zero or are missing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# How long the pause at a restart is taken to be: longer than a face may be out of sight within one track, so that no
# track spans two parts.
RESTART_PAUSE_S = 2.0

# A clock that jumps ahead by more was set, or is another one (as in FFmpeg's own -dts_delta_threshold).
_JUMP_S = 10.0

# Two pictures are never shown at the same time.
_LEAST_STEP_S = 1e-4

# Pictures are shown out of the order in which they are decoded by less than this.
_REORDER_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Time stamps start again: the stream's own time before and after, in seconds."""

    before_s: float
    after_s: float

    def __str__(self) -> str:
        return f"time stamps go from {self.before_s:.3f} s to {self.after_s:.3f} s: a new part begins"


class Timeline:
    """Rewrites the time stamps of one stream's packets, in the order of decoding, so that time goes on.

    A restart is a stamp of decoding that goes back, a key frame that is shown before what came before it, or, where the
    format's clock may jump, a leap of more than ten seconds. Stamps that are missing stay missing: ``time_of`` gives
    their pictures the next place. With ``rate_hz`` the stamps mean nothing, and pictures are counted instead.
    """

    def __init__(
        self, stream: VideoStream, *, clock_may_jump: bool, presentation_times: bool, rate_hz: float | None = None
    ) -> None:
        self._tick = stream.time_base or Fraction(1, 1_000_000)
        rate = rate_hz or stream.average_rate
        self.interval_s = 1.0 / float(rate) if rate else 0.04
        self._is_counted = rate_hz is not None
        self._interval = max(1, round(self.interval_s / self._tick))
        self._clock_may_jump = clock_may_jump
        self._presentation_times = presentation_times
        self._offset = 0
        self._dts: int | None = None
        self._shown: int | None = None
        self._end = 0
        self._unstamped = 0
        self._first: int | None = None
        self._at_s: float | None = None
        self.restarts = 0

    def place(self, packet: Packet[VideoStream]) -> Restart | None:
        """Rewrite the stamps of ``packet``; the restart where it begins a new part."""
        if self._is_counted:
            return None
        dts, pts = packet.dts, packet.pts
        stamp = dts if dts is not None else pts
        if stamp is None:
            self._unstamped += 1
            return None
        restart = self._restart(dts, pts, is_key=packet.is_keyframe)
        if restart is not None:
            self.restarts += 1
            pause = round(RESTART_PAUSE_S / self._tick)
            self._offset = self._end + pause + self._unstamped * self._interval - stamp
            self._shown = None
        elif self._unstamped:
            # The first stamps after packets without any may count from the start again.
            late = self._end + self._unstamped * self._interval - (stamp + self._offset)
            if late * self._tick > _REORDER_S / 3:
                self._offset += late
        self._unstamped = 0
        self._dts = dts
        length = packet.duration or self._interval
        for each in (dts, pts):
            if each is not None:
                self._end = max(self._end, each + self._offset + length)
        if pts is not None:
            self._shown = pts if self._shown is None else max(self._shown, pts)
            packet.pts = pts + self._offset
        if dts is not None:
            packet.dts = dts + self._offset
        return restart

    def time_of(self, picture: VideoFrame) -> float:
        """Seconds from the first picture to this one; always more than that of the picture before."""
        stamp = picture.pts if self._presentation_times else picture.dts
        if stamp is None and self._presentation_times:
            stamp = picture.dts
        before_s = self._at_s
        next_s = 0.0 if before_s is None else before_s + self.interval_s
        if stamp is None or self._is_counted:
            self._at_s = next_s
            return next_s
        if self._first is None:
            self._first = stamp - round(next_s / self._tick)
        at_s = float((stamp - self._first) * self._tick)
        self._at_s = at_s if before_s is None or at_s > before_s + _LEAST_STEP_S else next_s
        return self._at_s

    @property
    def tick_s(self) -> float:
        return float(self._tick)

    def _restart(self, dts: int | None, pts: int | None, *, is_key: bool) -> Restart | None:
        before, after = self._dts, dts
        if before is not None and after is not None:
            leap_s = float((after - before) * self._tick)
            # Rounded stamps may go back a little; ``time_of`` keeps their order.
            has_restarted = leap_s < -self.interval_s or (self._clock_may_jump and leap_s > _JUMP_S)
        elif self._shown is not None and pts is not None:
            before, after = self._shown, pts
            leap_s = float((after - before) * self._tick)
            has_restarted = leap_s < -_REORDER_S or (is_key and leap_s <= 0)
        else:
            return None
        if not has_restarted:
            return None
        return Restart(before_s=float(before * self._tick), after_s=float(after * self._tick))
