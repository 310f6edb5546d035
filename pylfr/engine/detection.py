"""Batches and their faces: the next batch is detected while the last one is compared, on a device or on a thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import replace
from queue import SimpleQueue

from pylfr import ops
from pylfr.protocols import AheadDetector, Detector
from pylfr.types import Faces, FrameBatch

FacesOfBatch = tuple[FrameBatch, Faces]

# To ``take``: until there is a batch, or there will be none.
_WAIT = True


def detect_ahead(
    detector: AheadDetector, take: Callable[[bool], FrameBatch | None], found: Callable[[FrameBatch, Faces], None]
) -> Generator[FacesOfBatch, None, None]:
    """Each batch that ``take`` gives with its faces, in order, until it gives None although it was told to wait.

    The detector works by itself: a second batch is begun where one waits, before the first one's faces are asked for.
    ``found`` is told of each batch as soon as its faces are there.
    """
    begun: deque[tuple[FrameBatch, Callable[[], Faces]]] = deque()
    while True:
        batch = take(not begun)
        if batch is not None:
            begun.append((batch, detector.begin(batch.frames)))
            if len(begun) < 2:
                continue
        if not begun:
            return
        earliest, faces_of = begun.popleft()
        faces = _with_scenes(earliest, faces_of())
        found(earliest, faces)
        yield earliest, faces


def detect_beside(
    detector: Detector, take: Callable[[bool], FrameBatch | None], found: Callable[[FrameBatch, Faces], None]
) -> Generator[FacesOfBatch, None, None]:
    """As ``detect_ahead``, for a detector that works while it is called: it has a thread of its own.

    ``take``, the detector and ``found`` run on that thread, one batch ahead of the caller; what they raise is raised
    here, after the earlier batches. Closing the iterator joins the thread: ``take`` must give None by then.
    """
    ready: SimpleQueue[FacesOfBatch | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(1)
    is_over = threading.Event()

    def detect() -> None:
        try:
            while room.acquire() and not is_over.is_set() and (batch := take(_WAIT)) is not None:
                faces = _with_scenes(batch, detector.detect(batch.frames))
                found(batch, faces)
                ready.put((batch, faces))
            ready.put(None)
        except BaseException as error:  # raised where the caller iterates
            ready.put(error)

    thread = threading.Thread(target=detect, name="pylfr-detect", daemon=True)
    thread.start()
    try:
        while (each := ready.get()) is not None:
            if isinstance(each, BaseException):
                raise each
            room.release()
            yield each
    finally:
        is_over.set()
        room.release()
        thread.join()


def _with_scenes(batch: FrameBatch, faces: Faces) -> Faces:
    """The faces with the scene of every frame, which a detector on a device has measured already."""
    return faces if faces.scenes is not None else replace(faces, scenes=ops.measure_scenes(batch.frames))
