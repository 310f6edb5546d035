"""Who reads a recording in tests."""

from __future__ import annotations

from datetime import datetime

from pylfr.video.decoding.frame_sampler import Sampler
from pylfr.video.sources.observer import CameraEvent
from tests.samples import NOON


class RecordingWatch:
    """A ``FrameObserver`` that wants ``rate_hz`` frames a second, or every frame, and notes what it is told.

    One that does not say so is asked about every frame: ``says_so``.
    """

    def __init__(self, rate_hz: float | None = None, *, says_so: bool = True) -> None:
        self.rate_hz = self.rate_now_hz = rate_hz if says_so else None
        self.due = None
        self.events: list[CameraEvent] = []
        self.asked: list[datetime] = []
        self.skipped_frames = 0
        self._sampler = Sampler(rate_hz)

    def skipped(self, count: int) -> None:
        assert count > 0
        assert self.rate_hz is not None, "every frame is wanted"
        self.skipped_frames += count

    def is_due(self, captured_at: datetime) -> bool:
        self.asked.append(captured_at)
        return self._sampler.is_due(captured_at)

    def report(self, event: CameraEvent) -> None:
        self.events.append(event)

    def lost(self, cause: str, count: int) -> None:
        raise AssertionError(f"{count} frames of a recording were lost: {cause}")

    @property
    def times_s(self) -> list[float]:
        """The frames that it was asked about, in seconds after ``NOON``."""
        return [(captured_at - NOON).total_seconds() for captured_at in self.asked]
