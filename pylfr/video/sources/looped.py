"""A recording that plays for ever, at its own pace, from a start of its own: what stands in for a live camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pylfr.types import Frame
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.file import FileSource, Pace
from pylfr.video.sources.observer import FrameObserver


class LoopedRecording(CameraSource):
    """A recording played again and again. In real time it is treated as a live camera is: its newest frames win.

    It begins ``starts_after_s`` after it is first read, so that several do not send their frames at the same moment.
    The capture time of a frame is the moment at which its pace says that it is due, however late it was decoded.
    """

    def __init__(self, path: Path, *, camera: str, starts_after_s: float = 0.0, pace: Pace = "real-time") -> None:
        super().__init__(camera)
        self._path = path
        self._starts_after_s = starts_after_s
        self._pace: Pace = pace
        self._lock = threading.Lock()
        self._source: FileSource | None = None
        self._clock_offset_s = 0.0

    def __repr__(self) -> str:
        return f"LoopedRecording({str(self._path)!r}, camera={self._camera!r})"

    @property
    def is_live(self) -> bool:
        return self._pace == "real-time"

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            if self._source is not None:
                self._source.close()

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until it is closed. Raises ``MediaError`` where the recording is damaged."""
        if self._closed.wait(self._starts_after_s):
            return
        with self._lock:
            if self._closed.is_set():
                return
            started_at = datetime.now(UTC)
            self._clock_offset_s = time.monotonic() - started_at.timestamp()
            self._source = FileSource(
                self._path, camera=self._camera, started_at=started_at, pace=self._pace, loop=True, threads=1
            )
        yield from self._source.watched(watch)

    def age_s(self, captured_at: datetime) -> float:
        """Seconds since a frame captured then was due, by a clock that nobody sets."""
        return time.monotonic() - (captured_at.timestamp() + self._clock_offset_s)
