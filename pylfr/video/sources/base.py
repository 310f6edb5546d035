"""What all cameras have in common: a name, an end, and frames only for those who want them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from pylfr.protocols import Source
from pylfr.types import Frame
from pylfr.video.decoding.interruption import Closing
from pylfr.video.sources.observer import AcceptAll, FrameObserver, WatchedSource


class CameraSource(ABC):
    """A ``WatchedSource`` with a name and a flag that ends it. It is live unless a subclass says otherwise."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._closed = Closing()

    @property
    def camera(self) -> str:
        return self._camera

    @property
    def is_live(self) -> bool:
        return True

    def close(self) -> None:
        self._closed.set()

    def frames(self) -> Iterator[Frame]:
        return self.watched(AcceptAll())

    @abstractmethod
    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due."""


class WrappedSource(ABC):
    """A ``WatchedSource`` around another source, whose frames it changes or inspects."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def inner(self) -> Source:
        """The wrapped source."""
        return self._source

    @property
    def camera(self) -> str:
        return self._source.camera

    @property
    def is_live(self) -> bool:
        return self._source.is_live

    def close(self) -> None:
        self._source.close()

    def frames(self) -> Iterator[Frame]:
        return self.watched(AcceptAll())

    @abstractmethod
    def watched(self, watch: FrameObserver) -> Iterator[Frame]:
        """Frames that are due."""


def due_frames(source: Source, watch: FrameObserver) -> Iterator[Frame]:
    """The frames of ``source`` that ``watch`` wants, whether or not the source asks by itself."""
    if isinstance(source, WatchedSource):
        return source.watched(watch)
    return (frame for frame in source.frames() if watch.is_due(frame.captured_at))
