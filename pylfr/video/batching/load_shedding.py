"""How often live cameras are analysed under overload: less often, evenly, and counted."""

from __future__ import annotations

# Long enough to see a share, short enough to be back at the full rate within two seconds.
_WINDOW_S = 0.25

# More than this share of the offered frames was superseded before anybody took them: too much comes. Of fewer frames
# than these a share says nothing: one hiccup of a single camera is no load.
_TOO_MANY_LOST = 0.2
_ENOUGH_OFFERED = 8

# Closer looks are for time that is left over: fewer from this share of busy time on, and more below that one.
_TOO_BUSY, _CALM = 0.75, 0.6
_CLOSER_STEP, _LEAST_SHARE = 0.25, 0.05

# The next faster rate is tried where it would keep the engine busy for less than this share of the time.
_ENOUGH_ROOM = 0.85


class LoadShedder:
    """Takes one of ``every`` frames that are due, 1 while all can be analysed and never more than ``slowest``.

    The same for all live cameras, so that none starves. Not thread-safe: its owner holds a lock.
    """

    def __init__(self, *, slowest: int) -> None:
        if slowest < 1:
            raise ValueError(f"slowest must be 1 or more, got {slowest}")
        self.every = 1
        self._closer_share = 1.0
        self._closer_credit = 0.0
        self._slowest = slowest
        self._began_s: float | None = None
        self._taken = self._lost = self._lost_in_window = 0
        self._idle_s = 0.0
        self._busy = 1.0

    def takes(self, number: int) -> bool:
        """Whether the ``number``-th due frame of a camera, from 0, is analysed."""
        return number % self.every == 0

    @property
    def has_time_left(self) -> bool:
        """Whether any frame is taken beyond the cameras' rate."""
        return self._closer_share > 0

    def takes_closer(self) -> bool:
        """Whether there is time for a frame that a camera wants beyond its rate; the cameras share what there is."""
        self._closer_credit += self._closer_share
        if self._closer_credit < 1:
            return False
        self._closer_credit -= 1
        return True

    def count(self, *, taken: int = 0, lost: int = 0, idle_s: float = 0.0) -> None:
        """Frames that went into a batch, frames that a newer one superseded, time spent waiting for any frame."""
        self._taken += taken
        self._lost += lost
        self._lost_in_window += lost
        self._idle_s += idle_s

    def adapt(self, now_s: float) -> bool:
        """Slow down or recover by one step, at most once a window; whether the pace has changed."""
        if self._began_s is None:
            self._began_s = now_s
        window_s = now_s - self._began_s
        if window_s < _WINDOW_S:
            return False
        before = self.every
        offered = self._taken + self._lost
        # A few frames more or less fall into a window; over some of them that evens out.
        busy_now = 1.0 - min(1.0, self._idle_s / window_s)
        self._busy = (self._busy + busy_now) / 2
        busy = min(self._busy, busy_now)
        if offered >= _ENOUGH_OFFERED and self._lost > _TOO_MANY_LOST * offered:
            self.every = min(self._slowest, self.every + 1)
        elif self.every > 1 and not self._lost_in_window and busy * self.every / (self.every - 1) < _ENOUGH_ROOM:
            self.every -= 1
        if self.every > 1 or self._lost_in_window:
            self._closer_share = 0.0
        elif busy_now > _TOO_BUSY:
            self._closer_share = self._closer_share / 2 if self._closer_share > _LEAST_SHARE else 0.0
        elif busy_now < _CALM:
            self._closer_share = min(1.0, self._closer_share + _CLOSER_STEP)
        self._began_s, self._idle_s, self._lost_in_window = now_s, 0.0, 0
        if offered >= _ENOUGH_OFFERED or self.every != before:
            self._taken = self._lost = 0
        return self.every != before
