"""When a camera is analysed more often than ``detect_hz``: while somebody is in view whom the next faces decide on."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from pylfr.video.decoding.frame_sampler import Sampler

# A frame that shows somebody undecided asks for those that follow it by this much. Until then a recording is read
# ahead, so that decoding, detection and comparison overlap.
LAG_S = 0.25

# More than a camera sends in that time; beyond it its clock has jumped.
_MOST_REMEMBERED = 256

# Frames that were worth a closer look and for which there was no time.
CLOSER_LOOK_SHED = "closer_look_shed"


class CloserLook:
    """Which frames of one camera are analysed beyond those that are due at ``detect_hz``, ``hz`` a second at most.

    Of a recording exactly those that lie ``LAG_S`` behind a frame that left somebody undecided, for one period of
    ``detect_hz``: nothing but the recording enters, and whoever asks waits until that is known. Of a live camera
    whatever comes until then, as soon as it is known. Guarded by its owner's lock.
    """

    def __init__(self, *, detect_hz: float, hz: float, is_live: bool) -> None:
        self.hz = hz
        self._is_live = is_live
        self._sampler = Sampler(hz)
        self._lag = timedelta(seconds=LAG_S)
        self._length = timedelta(seconds=1 / detect_hz)
        self._on_the_way: deque[datetime] = deque()
        self._undecided: deque[datetime] = deque(maxlen=_MOST_REMEMBERED)

    @property
    def has_undecided(self) -> bool:
        """Whether some frame has left somebody undecided; needs no lock, and may be late by one frame."""
        return bool(self._undecided)

    def is_apart(self, at: datetime) -> bool:
        """Whether the frame is the first one of its slot, of ``hz`` in a second. Call it once for each frame."""
        return self._sampler.is_due(at)

    def is_known(self, at: datetime) -> bool:
        """Whether it is known of the frame at that time if it is wanted; of a live camera it is what is known now."""
        return self._is_live or not self._on_the_way or self._on_the_way[0] > at - self._lag

    def wants(self, at: datetime) -> bool:
        """Whether an earlier frame has left somebody undecided whom this one may show."""
        if not self._undecided:
            return False
        while self._undecided and self._undecided[0] + self._lag + self._length <= at:
            self._undecided.popleft()
        return any(self._is_live or since + self._lag <= at for since in self._undecided)

    def handed_on(self, at: datetime) -> None:
        """A frame goes to the engine, which will say what it has ``decided``."""
        if not self._is_live:
            self._on_the_way.append(at)

    def decided(self, at: datetime, *, left_undecided: bool) -> None:
        """What the engine says of a frame: whether it leaves somebody undecided."""
        while self._on_the_way and self._on_the_way[0] <= at:
            self._on_the_way.popleft()
        if left_undecided:
            self._undecided.append(at)
