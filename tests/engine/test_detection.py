"""A detector of the host works on a thread of its own, one batch ahead, in order, and ends with whoever iterates."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import cast

import pytest

from pylfr.engine.detection import detect_beside
from pylfr.protocols import Detector
from pylfr.types import Faces, Frame, FrameBatch, UInt8
from tests.samples import sample_frame

PATIENCE_S = 10.0


class Batches:
    """Gives so many batches, then None; remembers how many were taken."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.taken = 0

    def take(self, wait: bool) -> FrameBatch | None:
        assert wait
        if not self._left:
            return None
        self._left -= 1
        self.taken += 1
        return FrameBatch(frames=(sample_frame(second=self.taken),))


class Finder:
    model = "none"

    def __init__(self, *, fails_at: int = 0) -> None:
        self.calls = 0
        self._fails_at = fails_at

    def detect(self, images: Sequence[Frame | UInt8]) -> Faces:
        self.calls += 1
        if self.calls == self._fails_at:
            raise ArithmeticError("the third picture")
        return Faces.none()


def test_every_batch_comes_once_in_order_and_is_told_of_when_it_is_detected() -> None:
    batches, told = Batches(20), list[FrameBatch]()
    with closing(detect_beside(Finder(), batches.take, lambda batch, _: told.append(batch))) as found:
        given = [batch for batch, _ in found]
    assert [batch.frames[0].sequence for batch in given] == [25 * number for number in range(1, 21)]
    assert told == given


def test_no_more_than_one_batch_is_ahead_and_that_one_is_detected_meanwhile() -> None:
    batches, finder = Batches(10), Finder()
    with closing(detect_beside(finder, batches.take, lambda _batch, _faces: None)) as found:
        for number, _ in enumerate(found, 1):
            until = time.monotonic() + PATIENCE_S
            while finder.calls < min(10, number + 1) and time.monotonic() < until:
                time.sleep(0.001)
            assert finder.calls == min(10, number + 1)
            assert batches.taken <= number + 1


def test_what_the_detector_raises_comes_after_the_batches_before() -> None:
    with closing(detect_beside(Finder(fails_at=3), Batches(5).take, lambda _batch, _faces: None)) as found:
        assert [next(found)[0].frames[0].sequence for _ in range(2)] == [25, 50]
        with pytest.raises(ArithmeticError, match="the third picture"):
            next(found)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    found = detect_beside(cast(Detector, Finder()), Batches(5).take, lambda _batch, _faces: None)
    next(found)
    assert "pylfr-detect" in {thread.name for thread in threading.enumerate()}
    found.close()
    assert "pylfr-detect" not in {thread.name for thread in threading.enumerate()}
