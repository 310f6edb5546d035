"""A gallery whose searches count as a stage of their own."""

from __future__ import annotations

from contextlib import nullcontext

from pylfr.gallery.index.wrapped import WrappedGallery
from pylfr.protocols import Gallery, GallerySource
from pylfr.sizing.stopwatch import Stopwatch
from pylfr.sizing.trace import LoadTimeline
from pylfr.types import Candidates, Templates


class TimedGallery:
    """A ``GallerySource`` whose searches count for a stage of their own."""

    def __init__(self, source: GallerySource, stopwatch: Stopwatch, timeline: LoadTimeline | None) -> None:
        self._source = source
        self._stopwatch = stopwatch
        self._timeline = timeline

    def refresh(self) -> None:
        self._source.refresh()

    @property
    def trouble(self) -> str:
        return ""

    def snapshot(self) -> Gallery:
        return _TimedSearch(self._source.snapshot(), self._stopwatch, self._timeline)

    def close(self) -> None:
        self._source.close()


class _TimedSearch(WrappedGallery):
    def __init__(self, gallery: Gallery, stopwatch: Stopwatch, timeline: LoadTimeline | None) -> None:
        super().__init__(gallery)
        self._stopwatch = stopwatch
        self._timeline = timeline

    def search(self, probes: Templates, k: int) -> Candidates:
        traced = self._timeline.inside("search") if self._timeline is not None else nullcontext()
        with self._stopwatch.inside("search"), traced:
            return self._gallery.search(probes, k)
