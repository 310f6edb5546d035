"""A synthetic crowd as a camera of the engine: painted, compressed, decoded and handed on without touching the disk."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from pylfr.evaluation.crowd.crowd import Scene
from pylfr.evaluation.crowd.walk import RATE
from pylfr.types import Frame
from pylfr.video.decoding.frame_builder import FrameBuilder
from pylfr.video.sources.base import CameraSource
from pylfr.video.sources.observer import FrameObserver


class CrowdSource(CameraSource):
    """A scene seen by ``camera``; its first frame was captured at ``started_at``, the others follow at 25 a second.

    What the engine sees has gone through H.264, as on disk. ``frames`` may be called again and starts over.
    """

    def __init__(self, scene: Scene, *, camera: str, started_at: datetime) -> None:
        super().__init__(camera)
        self._scene = scene
        self._started_at = started_at

    @property
    def is_live(self) -> bool:
        """It waits for whoever takes its frames."""
        return False

    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due, until everybody has walked by."""
        builder = FrameBuilder(self._camera)
        for sequence, picture in enumerate(self._pictures()):
            if self._closed.is_set():
                return
            captured_at = self._started_at + timedelta(seconds=sequence / RATE)
            if watch.is_due(captured_at):
                yield builder.build(picture, sequence=sequence, captured_at=captured_at)

    def _pictures(self) -> Iterator[VideoFrame]:
        decoder = VideoCodecContext.create("h264", "r")
        decoder.thread_count = 1
        for packet in self._scene.packets():
            yield from decoder.decode(packet)
        yield from decoder.decode(None)
