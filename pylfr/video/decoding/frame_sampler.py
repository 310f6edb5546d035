"""Which frames are analysed: so many a second, evenly, by their capture time."""

from __future__ import annotations

import math
from datetime import datetime

# Of a slot, for time stamps that were rounded.
_FORGIVEN = 0.01


class Sampler:
    """Picks frames at ``rate_hz`` by their capture time, evenly and without drift; None picks every frame.

    Time is cut into slots of equal length from the first frame on, and the first frame of each slot is due.
    """

    def __init__(self, rate_hz: float | None) -> None:
        if rate_hz is not None and not rate_hz > 0:
            raise ValueError(f"detect_hz must be more than 0, or None for every frame, got {rate_hz}")
        self.rate_hz = rate_hz
        self._first: datetime | None = None
        self._slot = 0

    def is_due(self, captured_at: datetime) -> bool:
        if self.rate_hz is None:
            return True
        if self._first is not None:
            slot = slot_of((captured_at - self._first).total_seconds(), self.rate_hz)
            if slot > self._slot:
                self._slot = slot
                return True
            if slot >= 0:
                return False
        # The first frame, or a clock that was set back.
        self._first, self._slot = captured_at, 0
        return True

    def seconds_to_next(self, captured_at: datetime) -> float:
        """How long after a frame that was asked about the next slot begins; 0 or less where every frame is due."""
        if self.rate_hz is None or self._first is None:
            return 0.0
        return (self._slot + 1 - _FORGIVEN) / self.rate_hz - (captured_at - self._first).total_seconds()


def slot_of(at_s: float, rate_hz: float) -> int:
    """The slot of a time, for ``rate_hz`` slots a second from 0; a hundredth of a slot forgives rounded time stamps."""
    return math.floor(at_s * rate_hz + _FORGIVEN)
