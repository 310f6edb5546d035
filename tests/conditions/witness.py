"""Whoever watches a live camera in tests."""

from __future__ import annotations

import datetime as dates
import threading
import time
from dataclasses import dataclass, field

from pylfr.types import Frame
from pylfr.video.open import LiveSource, ReconnectPolicy
from pylfr.video.sources.observer import CameraEvent

WAIT_S = 30.0
READ_S = 2.0
# For a camera that must stay well, however busy the machine is.
PATIENT = ReconnectPolicy(open_s=20.0, read_s=20.0, first_retry_s=0.1, longest_retry_s=0.3)
SOON = ReconnectPolicy(open_s=4.0, read_s=READ_S, first_retry_s=0.1, longest_retry_s=0.3)


@dataclass
class Witness:
    """Keeps what a camera reports, and closes it after ``frames`` frames or the event ``until``."""

    source: LiveSource
    until: str = ""
    frames: int = 5
    rate_hz: float | None = None
    rate_now_hz: float | None = None
    due: None = None
    events: list[CameraEvent] = field(default_factory=list)
    got: list[Frame] = field(default_factory=list)

    def skipped(self, count: int) -> None:
        pass

    def is_due(self, captured_at: dates.datetime) -> bool:
        return True

    def lost(self, cause: str, count: int) -> None:
        pass

    def report(self, event: CameraEvent) -> None:
        self.events.append(event)
        if event.kind == self.until or time.monotonic() > self._over_s:
            self.source.close()

    def watch(self) -> Witness:
        self._over_s = time.monotonic() + WAIT_S
        timer = threading.Timer(WAIT_S, self.source.close)
        timer.start()
        for frame in self.source.watched(self):
            self.got.append(frame)
            if not self.until and len(self.got) >= self.frames:
                self.source.close()
        timer.cancel()
        return self

    def details(self, kind: str) -> str:
        return " ".join(event.detail for event in self.events if event.kind == kind)
