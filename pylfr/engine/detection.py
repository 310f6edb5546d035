"""Batches and their faces: a detector that works asynchronously is given the next batch before the last is compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

from pylfr.protocols import AheadDetector, Detector
from pylfr.types import Faces, FrameBatch


def detect_ahead(detector: Detector, take: Callable[[bool], FrameBatch | None]) -> Iterator[tuple[FrameBatch, Faces]]:
    """Each batch that ``take`` gives with its faces, in order, until it gives None although it was told to wait."""
    at_once = 2 if isinstance(detector, AheadDetector) else 1
    begun: deque[tuple[FrameBatch, Callable[[], Faces]]] = deque()
    while True:
        batch = take(not begun)
        if batch is not None:
            begun.append((batch, _begin(detector, batch)))
            if len(begun) < at_once:
                continue
        if not begun:
            return
        earliest, faces_of = begun.popleft()
        yield earliest, faces_of()


def _begin(detector: Detector, batch: FrameBatch) -> Callable[[], Faces]:
    """A call that gives the batch's faces; a detector that works asynchronously has begun."""
    if isinstance(detector, AheadDetector):
        return detector.begin(batch.frames)
    return partial(detector.detect, batch.frames)
